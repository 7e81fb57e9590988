"""The recorder: what is kept, with which probability, and that no answer waits for it or fails by it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

import premodel
from bundles import Made
from premodel.cli.main import main
from premodel.domains.image.domain import ImageDomain
from premodel.errors import OptionError, StoreError
from premodel.runtime.engine import Premodel
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.record_store import RecordStore
from premodel.serving.recorder import OUTCOMES, PLACES, Recorder
from premodel.serving.service import Service
from premodel.serving.shadow import Shadow
from premodel.serving.steady_clock import SteadyClock
from serving_client import INFER, running, samples, until

RAW = {"inference-header-content-length": "0"}


def outcomes(client: Any) -> dict[str, float]:
    found = samples(client)
    return {outcome: found["premodel_records_total", outcome] for outcome in OUTCOMES}


def test_what_was_asked_and_answered_is_kept(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    for run in (1, 2):  # the second goes on where the first ended
        service = Service(Premodel(made.path), "small", Limits(), recorder=Recorder(path, 1.0))
        with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
            for image in made.small.images[:5]:
                assert client.post(INFER, content=image.read_bytes(), headers=RAW).status_code == 200
            until(lambda: outcomes(client)["kept"] == 5)
            assert samples(client)["premodel_record_store_bytes",] > 0
        with RecordStore(path) as store:
            assert store.counts().records == 5 * run
    with RecordStore(path) as store, premodel.load(made.path) as clf:
        for record, image in zip(reversed(list(store.records())), made.small.images[:5] * 2, strict=True):
            answer = clf.predict(image)
            assert record.data == image.read_bytes()
            assert (record.answer["label"], record.answer["candidate"]) == (answer.label, answer.candidate)
            assert record.answer["ran"] == list(answer.ran)
            assert record.kept == 1.0


def test_a_shadow_comparison_is_kept_with_its_input(answering: Path, tmp_path: Path) -> None:
    image = cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))[1].tobytes()
    with premodel.load(answering) as clf:
        bundle = clf.bundle
        record = {"singles": [{"name": "m", "accuracy": 0.5, "latency_ms": 1.0}]}
        clf.bundle = replace(bundle, training_record=record)
        service = Service(clf, "small", Limits(), Shadow(clf, 1.0), recorder=Recorder(tmp_path / "r.db", 1.0))
        with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
            label = client.post(INFER, content=image, headers=RAW).json()["outputs"][0]["data"][0]
            until(lambda: outcomes(client)["kept"] == 1 and samples(client)["premodel_shadow_total", "agree"] == 1)
    with RecordStore(tmp_path / "r.db") as store:
        (kept,) = store.records()
        assert kept.shadow == {"candidate": "m", "outcome": "agree", "answer": label}


def test_pixels_are_kept_as_they_were(made: Made, answering: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    recorder, domain = Recorder(tmp_path / "r.db", 1.0), ImageDomain()
    counted: list[str] = []
    with premodel.load(answering) as clf:
        recorder.start(counted.append)
        recorder.answered([pixels], [clf.predict(pixels)], "digest", domain)
        until(lambda: bool(counted))
        recorder.stop()
    with RecordStore(tmp_path / "r.db") as store:
        (kept,) = store.records()
        assert np.array_equal(domain.decode(kept.data).rgb, pixels)
        assert kept.answer["premodel"] == "digest"


def test_unsure_answers_are_kept_up_to_twice_as_often(answering: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", 0.2, seed=1)
    with premodel.load(answering) as clf:
        answer = clf.predict(np.zeros((8, 8, 3), np.uint8))
    sure, unsure = replace(answer, confidence=1.0), replace(answer, confidence=0.25)
    assert recorder.probability(sure) == pytest.approx(0.2)
    assert recorder.probability(unsure) == pytest.approx(0.35)
    assert recorder.probability(replace(answer, confidence=float("nan"))) == pytest.approx(0.2)
    assert recorder.probability(replace(answer, abstained=True)) == pytest.approx(0.4)
    tickets = [recorder.answered([b"x"], [unsure], "", None)[0] for _ in range(60)]
    assert sum(one is not None for one in tickets) == pytest.approx(21, abs=12)
    assert {round(one.kept, 9) for one in tickets if one is not None} == {0.35}
    recorder.stop()


def test_what_is_too_much_is_dropped_and_a_store_that_fails_is_counted(answering: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", 1.0)
    counted: list[str] = []
    release, begun = threading.Event(), threading.Event()
    add = recorder._store.add

    def held(*args: Any) -> list[int]:
        begun.set()
        assert release.wait(30)
        return add(*args)

    recorder._store.add = held  # type: ignore[method-assign]
    with premodel.load(answering) as clf:
        answer = clf.predict(np.zeros((8, 8, 3), np.uint8))
    recorder.start(counted.append)
    recorder.answered([b"x"], [answer], "", None)
    assert begun.wait(30)
    recorder.answered([b"x"] * (PLACES + 3), [answer] * (PLACES + 3), "", None)
    assert counted == ["dropped"] * 3
    release.set()
    until(lambda: counted.count("kept") == PLACES + 1)

    def full(*_: Any) -> list[int]:
        raise StoreError("database or disk is full")

    recorder._store.add = full  # type: ignore[method-assign]
    recorder.answered([b"x"], [answer], "", None)
    until(lambda: counted[-1] == "failed")
    recorder._store.add = add  # type: ignore[method-assign]
    recorder.answered([b"y"], [answer], "", None)
    until(lambda: counted[-1] == "kept")
    recorder.stop()


def test_old_records_go_but_not_while_the_clock_jumps(answering: Path, tmp_path: Path) -> None:
    now = {"wall": 1_000_000.0, "steady": 0.0}
    recorder = Recorder(tmp_path / "r.db", 1.0, days=1.0, clock=SteadyClock(lambda: now["wall"], lambda: now["steady"]))
    with premodel.load(answering) as clf:
        answer = clf.predict(np.zeros((8, 8, 3), np.uint8))
    counted: list[str] = []
    recorder.start(counted.append)

    def record() -> None:
        seen = len(counted)
        recorder.answered([b"x"], [answer], "", None)
        until(lambda: len(counted) > seen)

    record()
    now["wall"] += 9 * 86_400  # it jumps nine days, and back
    record()
    now["wall"] -= 9 * 86_400
    record()
    now.update(steady=700.0, wall=1_000_700.0)
    record()
    now.update(steady=2 * 86_400.0, wall=1_000_000.0 + 2 * 86_400)
    record()
    record()
    recorder.stop()
    assert counted == ["kept"] * 6
    with RecordStore(tmp_path / "r.db") as store:
        assert store.counts().records == 2  # the four of two days ago are gone


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"share": 0.0}, "share of the answers"),
        ({"share": 1.5}, "above 0, up to 1"),
        ({"days": float("nan")}, "days"),
        ({"max_mb": 1.0}, "10 to 1e"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, given: dict[str, float], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        Recorder(tmp_path / "r.db", **given)  # type: ignore[arg-type]


def test_the_command_goes_on_after_a_kill(made: Made, tmp_path: Path, capsys: Any) -> None:
    from urllib.request import Request, urlopen

    path = tmp_path / "records.db"
    image = made.small.images[0].read_bytes()

    def ask(url: str) -> None:
        request = Request(f"{url}/v2/models/small/infer", image, {"Content-Type": "application/octet-stream"})
        with urlopen(request, timeout=30) as response:
            assert response.status == 200

    def kept() -> int:
        with RecordStore(path) as store:
            return store.counts().records

    with running(made.path, "--record", path, "--record-share", "1") as (url, process):
        ask(url)
        until(lambda: kept() == 1)
        process.kill()
    with running(made.path, "--record", path, "--record-share", "1") as (url, _):
        ask(url)
        until(lambda: kept() == 2)
    assert main(["serve", str(made.path), "--record-share", "0.5"]) == 2
    assert "add --record STORE" in capsys.readouterr().err
