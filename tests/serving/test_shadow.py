"""The shadow check: drawn, compared, dropped; the answer never waits for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from starlette.testclient import TestClient

import premodel
from bundles import Made, bundle_of, make_bundle
from policy_makers import MAKERS
from premodel.cli.main import main
from premodel.errors import OptionError
from premodel.runtime.bundle import write_bundle
from premodel.runtime.engine import Premodel
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.service import Service
from premodel.serving.shadow import OUTCOMES, PLACES, Shadow, best_candidate
from serving_client import INFER, running, samples, until

RAW = {"inference-header-content-length": "0"}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A premodel whose bundle states how accurate each candidate is."""
    made = make_bundle(tmp_path_factory.mktemp("reported"), MAKERS["select, the paper's chain"])
    accuracy = made.tables.correct("top1").mean(axis=0).tolist()
    singles = [
        {"name": name, "accuracy": right, "latency_ms": ms, "valid": True}
        for name, right, ms in zip(made.tables.candidates, accuracy, made.tables.latency_ms.tolist(), strict=True)
    ]
    bundle = replace(bundle_of(made.small, made.tables, made.policy), training_record={"singles": singles})
    write_bundle(made.path, bundle, folder=made.small.zoo.parent)
    return made


def outcomes(client: Any) -> dict[str, float]:
    found = samples(client)
    return {outcome: found["premodel_shadow_total", outcome] for outcome in OUTCOMES}


def ask(client: Any, image: Path) -> int:
    return int(client.post(INFER, content=image.read_bytes(), headers=RAW).status_code)


def test_the_best_is_the_most_accurate_and_the_faster_of_equals() -> None:
    rows = [("slow", 0.9, 9.0), ("fast", 0.9, 2.0), ("worse", 0.8, 1.0)]
    singles = [dict(zip(("name", "accuracy", "latency_ms"), row, strict=True)) for row in rows]
    assert best_candidate({"singles": singles}, "b") == "fast"
    for wrong in ({}, {"singles": []}, {"singles": [{"name": "a"}]}, {"singles": 1}):
        with pytest.raises(OptionError, match="train it again"):
            best_candidate(wrong, "b")


def test_every_answer_is_compared_with_the_best_candidates(reported: Made) -> None:
    clf = Premodel(reported.path)
    service = Service(clf, "small", Limits(), Shadow(clf, 1.0))
    accuracy = reported.tables.correct("top1").mean(axis=0)
    column = int(accuracy.argmax())
    best = reported.tables.top_labels[:, column, 0]
    with premodel.load(reported.path) as alone:
        agree = sum(alone.predict(path).label == best[row] for row, path in enumerate(reported.small.images))
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        for number, path in enumerate(reported.small.images, 1):
            assert ask(client, path) == 200
            until(lambda number=number: sum(outcomes(client).values()) == number)  # type: ignore[misc]
        found = outcomes(client)
    assert found == {"agree": agree, "differ": len(best) - agree, "failed": 0, "dropped": 0}
    assert found["differ"] > 0


def test_answers_do_not_wait_and_what_is_too_much_is_dropped(reported: Made) -> None:
    clf = Premodel(reported.path)
    shadow = Shadow(clf, 1.0)
    service = Service(clf, "small", Limits(), shadow)
    release, begun = threading.Event(), threading.Event()
    compare = shadow._compare

    def held(*args: Any) -> str:
        begun.set()
        assert release.wait(30)
        return compare(*args)

    shadow._compare = held  # type: ignore[method-assign]
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        assert ask(client, reported.small.images[0]) == 200
        assert begun.wait(30)
        for path in reported.small.images[: PLACES + 3]:
            assert ask(client, path) == 200, "answered although the shadow check stands still"
        until(lambda: outcomes(client)["dropped"] == 3)
        release.set()
        until(lambda: sum(outcomes(client).values()) == PLACES + 4)
        assert outcomes(client)["failed"] == 0


def test_a_failing_best_candidate_is_counted(reported: Made) -> None:
    counted: list[str] = []
    with premodel.load(reported.path) as clf:
        shadow = Shadow(clf, 1.0)
        answers = [clf.predict(reported.small.images[0])]
        shadow.start(counted.append)
        shadow.answered([b"no image"], answers, busy=False)
        until(lambda: len(counted) == 1)
        shadow.stop()
    assert counted == ["failed"]


def test_the_draw_is_the_asked_share_and_nothing_is_taken_on_when_busy(reported: Made) -> None:
    counts = []
    with premodel.load(reported.path) as clf:
        answer = clf.predict(reported.small.images[0])
        for share in (0.25, 0.25, 0.01):
            counted: list[str] = []
            shadow = Shadow(clf, share)
            shadow.start(counted.append)
            shadow.answered([b""] * 4000, [answer] * 4000, busy=True)
            shadow.stop()
            assert set(counted) == {"dropped"}
            counts.append(len(counted))
    assert counts[0] == counts[1] == pytest.approx(1000, abs=100)
    assert counts[2] == pytest.approx(40, abs=20)


def test_abstentions_are_not_drawn(reported: Made, abstaining: Made) -> None:
    with premodel.load(abstaining.path) as silent:
        answer = next(a for a in map(silent.predict, abstaining.small.images) if a.abstained)
    with premodel.load(reported.path) as clf:
        shadow, counted = Shadow(clf, 1.0), []  # type: ignore[var-annotated]
        shadow.start(counted.append)
        shadow.answered([b""], [answer], busy=True)
        shadow.stop()
    assert counted == []


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_no_share(reported: Made, share: float) -> None:
    with premodel.load(reported.path) as clf, pytest.raises(OptionError, match="above 0, up to 1"):
        Shadow(clf, share)


def test_the_command(reported: Made) -> None:
    image = reported.small.images[0].read_bytes()

    def compared() -> bool:
        with urlopen(url + "/metrics") as metrics:
            text = metrics.read().decode()
        return any(f'premodel_shadow_total{{outcome="{word}"}} 1.0' in text for word in ("agree", "differ"))

    with running(reported.path, "--shadow", 1) as (url, _):
        with urlopen(Request(url + INFER, image, {"Inference-Header-Content-Length": "0"})) as response:
            assert response.status == 200
        until(compared)


def test_the_command_refuses_a_bundle_that_knows_no_best(made: Made, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(made.path), "--port", "0", "--shadow", "0.5"]) == 2
    assert "train it again" in capfd.readouterr().err
