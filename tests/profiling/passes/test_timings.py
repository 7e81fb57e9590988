"""Timing: interleaving worked by hand on a clock of the test's own, and the pass on recorded latencies."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import select, update

from premodel.backends.replay import ReplayBackend
from premodel.domains.image.decode import Image
from premodel.domains.image.features.extractor import Extractor
from premodel.errors import DatasetError, OptionError, RunError, StoreError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.footprint import measure_footprint
from premodel.profiling.passes import interleaved
from premodel.profiling.passes import timings as timing_pass
from premodel.profiling.passes.interleaved import Subject, time_interleaved
from premodel.profiling.passes.timings import TimingResult
from premodel.profiling.profile import ProfileOptions, ProfileReport, _note_how_timing_went, profile
from premodel.profiling.progress import Silent
from premodel.profiling.samples import draw_inputs, take_inventory
from premodel.records import UNFINISHED
from premodel.runtime.conditions import OtherLoad, cores, device_name, measure_conditions
from premodel.store.measurements import StoredTiming, decode_subject, read_timings, unpack_runs
from premodel.store.schema import FEATURE_COSTS, TIMINGS
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

PNG = bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1])


class FakeTime:
    """Every work takes as long as it states, decoding 2 ms; nothing else takes time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms = 0.0
        self.turns: list[str] = []
        monkeypatch.setattr(interleaved, "now_ms", lambda: self.ms)

    def decode(self, _: bytes) -> Image:
        self.ms += 2.0
        self.turns.append("decode")
        return Image(np.zeros((4, 4, 3), np.uint8))

    def subject(self, name: str, ms: float, jitter: float = 0.0) -> Subject:
        rng = np.random.default_rng(0)

        def work(_: Image) -> dict[str, float]:
            spent = ms + jitter * float(rng.exponential())
            self.ms += spent
            self.turns.append(name)
            return {"preprocess": 0.25 * spent, "run": 0.75 * spent}

        return Subject(name, work)


def ignore(_: Iterable[Subject], __: bool) -> None:
    pass


def test_everything_takes_turns_until_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)
    quick, slow, decoding = clock.subject("quick", 1.0), clock.subject("slow", 20.0), Subject("decode", None)
    done: dict[str, int] = {}

    def hand_over(subjects: Iterable[Subject], finished: bool) -> None:
        done.update({subject.name: len(subject.runs_ms) for subject in subjects if finished})

    time_interleaved([quick, slow, decoding], [], [PNG], clock.decode, 60.0, 0, hand_over)
    assert all(subject.timing().valid for subject in (quick, slow, decoding))
    assert sorted(done) == ["decode", "quick", "slow"]
    assert quick.timing().mean_ms == pytest.approx(1.0)
    assert slow.timing().mean_ms == pytest.approx(20.0)
    assert decoding.timing().mean_ms == pytest.approx(2.0)
    assert quick.timing().count >= 500
    assert quick.stages_ms["preprocess"] == pytest.approx(0.25 * sum(quick.runs_ms))
    # A round is one decoding and then each in turn, in both orders; warm-up is not counted.
    assert Counter(clock.turns)["quick"] > len(quick.runs_ms)
    rounds = "".join({"decode": "d", "quick": "q", "slow": "s"}[turn] for turn in clock.turns).split("d")[1:]
    assert {"qs", "sq"} <= set(rounds)
    # The slow one was done first and still took part until the end, to disturb the caches.
    assert set(rounds[-20:]) == {"qs", "sq"}
    assert done["slow"] < done["decode"] < done["quick"]


def test_a_negligible_part_does_not_take_longer_than_the_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would never be valid, and need 50,000 rounds."""
    clock = FakeTime(monkeypatch)
    tiny, quick = clock.subject("features", 0.001, jitter=0.02), clock.subject("quick", 1.0)
    tiny.part = True
    time_interleaved([quick, tiny], [], [PNG], clock.decode, 60.0, 0, ignore)
    assert tiny.timing().valid
    assert quick.timing().valid
    assert len(tiny.runs_ms) <= len(quick.runs_ms)
    noisy = clock.subject("features", 1.0, jitter=200.0)
    noisy.part = True
    time_interleaved([clock.subject("quick", 1.0), noisy], [], [PNG], clock.decode, 3.0, 0, ignore)
    assert not noisy.timing().valid


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)
    noisy = clock.subject("noisy", 1.0, jitter=200.0)
    time_interleaved([noisy], [], [PNG], clock.decode, 3.0, 0, ignore)
    assert not noisy.timing().valid
    assert "5 % allowed" in noisy.timing().reason
    assert 3000 <= clock.ms <= 3000 + 500 + 2500  # cap, warm-up, and the round in which it ended


def test_unfinished_records_are_handed_over_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)
    when: list[float] = []

    def hand_over(subjects: Iterable[Subject], finished: bool) -> None:
        if not finished and list(subjects):
            when.append(clock.ms)

    time_interleaved(
        [clock.subject("quick", 0.1)], [clock.subject("other", 5.0)], [PNG], clock.decode, 60.0, 0, hand_over
    )
    assert len(when) > 10
    assert max(np.diff(when)) <= 1010


def test_one_that_has_its_record_only_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)
    other = clock.subject("other", 3.0)
    other_decoding = Subject("decode", None)
    time_interleaved([clock.subject("quick", 1.0)], [other, other_decoding], [PNG], clock.decode, 60.0, 0, ignore)
    turns = Counter(clock.turns)
    assert turns["other"] >= 500
    assert other_decoding.runs_ms == []


def test_a_failing_subject_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime(monkeypatch)

    def work(_: Image) -> dict[str, float]:
        raise RunError("the network is tired")

    failing = Subject("failing", work)
    time_interleaved([failing], [clock.subject("other", 5.0)], [PNG], clock.decode, 2.0, 0, ignore)
    timing = failing.timing()
    assert (timing.count, timing.valid) == (0, False)
    assert timing.reason == "every run failed: the network is tired"


LATENCY_MS = (12.0, 30.0)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.random.default_rng(5).random((8, 2)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("slow"), correct=correct, latency_ms=LATENCY_MS)


def run(
    small: SmallZoo, store: Path, seconds: float, passes: tuple[str, ...] = ("timings",), **options: str
) -> ProfileReport:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    return profile(zoo, dataset, store, ProfileOptions(passes, max_timing_seconds=seconds, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def timed(slow: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store") / "s.db"
    run(slow, store, 4.0, ("predictions", "timings", "features"))
    return store


def records(store: Path) -> dict[str, StoredTiming]:
    with Store(store) as opened:
        return read_timings(opened, device_name())


def test_records_hold_what_was_measured(slow: SmallZoo, timed: Path) -> None:
    found = records(timed)
    candidates = read_zoo(slow.zoo).candidates
    for candidate, latency in zip(candidates, LATENCY_MS, strict=True):
        record = found[candidate.timing_key]
        # A recorded latency is a lower bound; this machine may be busy, so the upper one is loose.
        assert latency <= record.timing.median_ms <= 4 * latency + 20
        assert record.timing.count == len(unpack_runs(record.runs_ms)) >= 30
        assert min(unpack_runs(record.runs_ms)) >= latency
        assert 0 < record.preprocess_mean_ms < record.timing.mean_ms
        assert record.footprint.load_ms > 0
        assert record.footprint.memory_mb >= 0
    decoding = found[decode_subject(1, read_zoo(slow.zoo).detail)].timing
    assert 0 < decoding.mean_ms < LATENCY_MS[0]
    assert "stopped after 4 s" in decoding.reason or decoding.valid


def test_tables_carry_the_timings(slow: SmallZoo, timed: Path) -> None:
    tables = load_tables(timed)
    found = records(timed)
    assert tables.candidates == slow.names
    for j, candidate in enumerate(read_zoo(slow.zoo).candidates):
        record = found[candidate.timing_key]
        assert tables.latency_ms[j] == record.timing.mean_ms
        assert tables.timings[j] == record.timing
        assert tables.memory_mb[j] == record.footprint.memory_mb
    assert np.isnan(tables.energy_mj).all()
    assert tables.decode_ms == found[decode_subject(1, read_zoo(slow.zoo).detail)].timing.mean_ms
    np.testing.assert_allclose(tables.end_to_end_ms() - tables.latency_ms, tables.decode_ms)
    costs = tables.feature_costs
    names = tables.feature_names
    assert set(costs.needs) == set(names) == set(Extractor().names)
    assert set(costs.cost_items_ms) == set(Extractor().cost_items())
    whole = next(record for subject, record in found.items() if subject.startswith("features:"))
    assert costs.of(names) == pytest.approx(whole.timing.mean_ms, rel=1e-6)
    assert 0 < costs.of(names[:1]) < costs.of(names)
    assert tables.conditions["device"] == device_name()
    assert tables.conditions["seed"] == 0
    assert "other_cores" in tables.conditions


def test_what_is_timed_is_not_timed_again(
    slow: SmallZoo, timed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an inference")

    before = records(timed)
    monkeypatch.setattr(ReplayBackend, "predict", never)
    report = run(slow, timed, 60.0)
    assert report.timings is not None
    assert (report.timings.timed, report.timings.kept) == ([], 4)
    assert records(timed) == before


def test_invalid_records_are_timed_again_when_asked(
    slow: SmallZoo, timed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(timed) as store:
        key = read_zoo(slow.zoo).candidates[0].timing_key
        change = update(TIMINGS).where(TIMINGS.c.subject == key).values(valid=False, reason="noise")
        store.write(lambda connection: connection.execute(change))
        others = update(TIMINGS).where(TIMINGS.c.subject != key).values(valid=True, reason="")
        store.write(lambda connection: connection.execute(others))
    report = run(slow, timed, 2.0)
    assert report.timings is not None
    assert report.timings.timed == []
    assert report.timings.invalid == ["m0"]
    report = run(slow, timed, 2.0, retime="invalid")
    assert report.timings is not None
    assert report.timings.timed == ["m0"]
    assert "noise" not in records(timed)[key].timing.reason


def test_a_record_broken_off_is_continued(slow: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = timing_pass.time_interleaved

    def broken_off(subjects, others, images, decode, seconds, seed, hand_over) -> None:  # type: ignore[no-untyped-def]
        def stop(some: Iterable[Subject], done: bool) -> None:
            hand_over(some := tuple(some), done)
            if some and not done:
                raise KeyboardInterrupt

        real(subjects, others, images, decode, seconds, seed, stop)

    with monkeypatch.context() as patch:
        patch.setattr(timing_pass, "time_interleaved", broken_off)
        with pytest.raises(KeyboardInterrupt):
            run(slow, tmp_path / "s.db", 60.0, ("predictions", "timings", "features"))
    with Store(tmp_path / "s.db") as store, pytest.raises(StoreError) as caught:
        load_tables(store)
    assert "s.db: timing of the features was broken off; run: premodel profile" in str(caught.value)
    assert str(caught.value).endswith("--only timings")
    key = read_zoo(slow.zoo).candidates[1].timing_key
    first = records(tmp_path / "s.db")[key]
    assert first.timing.reason == UNFINISHED
    assert not first.timing.valid
    runs = unpack_runs(first.runs_ms)
    assert len(runs) >= 5
    run(slow, tmp_path / "s.db", 1.0)
    second = records(tmp_path / "s.db")[key]
    assert unpack_runs(second.runs_ms)[: len(runs)] == runs
    assert second.timing.count > len(runs)
    assert not second.unfinished
    with Store(tmp_path / "s.db") as store, store.reading() as connection:
        assert len(connection.execute(select(FEATURE_COSTS)).all()) == len(Extractor().cost_items())


def test_energy_survives_another_timing(slow: SmallZoo, tmp_path: Path) -> None:
    run(slow, tmp_path / "s.db", 0.5)
    with Store(tmp_path / "s.db") as store:
        store.write(lambda connection: connection.execute(update(TIMINGS).values(energy_mj=3.5)))
    run(slow, tmp_path / "s.db", 0.5, retime="all")
    assert {record.energy_mj for record in records(tmp_path / "s.db").values()} == {3.5}


def test_devices_are_kept_apart(slow: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    run(slow, store, 0.3, ("predictions", "timings", "features"), device="board-a")
    run(slow, store, 0.3, device="board-b")
    assert records(store) == {}
    with pytest.raises(OptionError, match="timings of several devices; allowed: board-a, board-b"):
        load_tables(store)
    with pytest.raises(OptionError, match="no timings of this device; given: board-c"):
        load_tables(store, device="board-c")
    a, b = load_tables(store, device="board-a"), load_tables(store, device="board-b")
    assert a.conditions["device"] == "board-a"
    assert not np.array_equal(a.latency_ms, b.latency_ms)


def test_images_are_drawn_that_decode(slow: SmallZoo, tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((6, 1), bool))
    dataset = read_dataset(small.data, small.labels, label_names=read_zoo(small.zoo).labels)
    for image in small.images[:4]:
        image.write_bytes(b"no image " + image.name.encode())
    entries = take_inventory(dataset, range(6), Silent()).entries
    small.images[5].write_bytes(small.images[4].read_bytes())  # no longer what was listed
    assert draw_inputs(dataset, entries, 0) == [small.images[4].read_bytes()]
    with pytest.raises(DatasetError, match="no image can be decoded; given: 4 files"):
        draw_inputs(dataset, entries[:4], 0)


def test_a_footprint_of_a_network_that_fails_is_not_a_number(slow: SmallZoo) -> None:
    candidate = read_zoo(slow.zoo).candidates[0]
    found = measure_footprint(candidate, PNG)  # no answer is recorded for it
    assert np.isnan(found.load_ms)
    gone = replace(candidate, model=replace(candidate.model, file=Path("/nowhere")))
    assert np.isnan(measure_footprint(gone, PNG).memory_mb)


def test_conditions_name_the_machine() -> None:
    assert device_name() == device_name()
    assert device_name().endswith(f"-{cores()}-cores")
    assert set(device_name()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    found = measure_conditions("d", 3, seed=4)
    assert (found.device, found.threads, found.seed) == ("d", 3, 4)
    assert found.cpu
    assert found.versions["numpy"] == np.__version__


def test_own_work_is_not_other_load() -> None:
    load = OtherLoad()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    found = load.cores()
    if found is None:
        pytest.skip("this system does not tell")
    assert 0 <= found <= cores() * 1.1


def test_what_to_do_about_timings_is_said_once() -> None:
    def said(result: TimingResult) -> list[str]:
        notes: list[str] = []
        _note_how_timing_went(notes.append, result, {})
        return notes

    where = "on an idle machine; on one that is as busy as before the verdict will be the same"
    high = "other programs kept 1.0 cores busy (cc 1.0) while timing; latencies may be too high"
    busy = TimingResult(invalid=["a", "b"], other_cores=1.0, other_processes={"cc": 1.0})
    assert said(TimingResult()) == []
    assert said(TimingResult(invalid=["a"])) == [f"INVALID timings: a: measure them again with --retime {where}"]
    assert said(replace(busy, invalid=[])) == [f"{high}: measure them again with --retime all {where}"]
    assert said(busy) == [f"{high}; INVALID timings: a, b: measure them again with --retime all {where}"]
