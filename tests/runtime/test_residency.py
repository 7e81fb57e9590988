"""What is opened, what stays and what is passed over where memory does not hold all networks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bundles import Made, make_bundle, small_zoo
from policy_makers import make_stopping
from premodel.runtime.bundle import read_bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.prefetch import PrefetchedCandidates
from premodel.runtime.residency import OpeningTimes, Worth, needless
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo

WAIT_S = 20.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return small_zoo(tmp_path_factory.mktemp("zoo"))


def lazy(small: SmallZoo, budget_mb: float, load_ms: float = 10.0) -> PrefetchedCandidates:
    """Three networks of 10 MB that take `load_ms` to open, by the profile."""
    candidates = read_zoo(small.zoo).candidates
    names = [one.name for one in candidates]
    return PrefetchedCandidates(
        candidates,
        lambda one: one.model.file,
        None,
        budget_mb,
        dict.fromkeys(names, 10.0),
        dict.fromkeys(names, load_ms),
    )


def is_open(candidates: PrefetchedCandidates, index: int) -> bool:
    prices = candidates.load_price_ms(3)
    assert prices is not None
    return bool(prices[index] == 0 and candidates.load_ms(3)[index] == 0)  # type: ignore[index]


def wait_until_open(candidates: PrefetchedCandidates, index: int) -> None:
    end = time.monotonic() + WAIT_S
    while not is_open(candidates, index):
        assert time.monotonic() < end, f"{index} was not opened"
        time.sleep(0.01)


def test_opening_counts_nothing_where_all_fit(small: SmallZoo) -> None:
    assert lazy(small, 30).load_price_ms(3) is None
    prices = lazy(small, 29).load_price_ms(3)
    assert prices is not None
    assert prices.tolist() == [10, 10, 10]


def test_what_was_worth_more_than_its_opening_is_opened_beside_the_answers(small: SmallZoo) -> None:
    candidates = lazy(small, 20)
    for index in (0, 1):
        with candidates.use(index):
            pass
    candidates.note_worth({0: 50.0})
    candidates.note_worth({2: 4.0})
    assert candidates.load_price_ms(3).tolist() == [0, 0, pytest.approx(6.0)]  # type: ignore[union-attr]
    candidates.note_worth({2: 8.0})
    wait_until_open(candidates, 2)
    assert is_open(candidates, 0), "worth more than the other"
    assert not is_open(candidates, 1)
    assert candidates.loaded_mb() == 20
    candidates.close()


def test_what_is_worth_less_than_those_in_its_way_stays_closed(small: SmallZoo) -> None:
    candidates = lazy(small, 10)
    with candidates.use(0):
        pass
    for _ in range(5):
        candidates.note_worth({0: 100.0})
        candidates.note_worth({2: 90.0})
    assert is_open(candidates, 0)
    assert candidates.load_price_ms(3)[2] > 10  # type: ignore[index]
    candidates.close()


def test_one_that_is_to_be_kept_is_not_unloaded_for_another(small: SmallZoo) -> None:
    candidates = lazy(small, 10)
    with candidates.use(0):
        pass
    for _ in range(4):
        candidates.note_worth({2: 90.0}, keep=0)
    assert is_open(candidates, 0)
    with candidates.use(1, keep=0), pytest.raises(AssertionError):
        assert is_open(candidates, 0), "where nothing else makes room it has to go"
    candidates.close()


def test_a_model_that_cannot_be_opened_beside_the_answers_is_lost_and_nothing_else(tmp_path: Path) -> None:
    small = small_zoo(tmp_path / "zoo")
    candidates = lazy(small, 20)
    for index in range(3):  # the first has to go for the last
        with candidates.use(index):
            pass
    read_zoo(small.zoo).candidates[0].model.file.write_bytes(b"nothing")
    candidates.note_worth({0: 500.0})
    end = time.monotonic() + WAIT_S
    while 0 not in candidates.unavailable and time.monotonic() < end:
        time.sleep(0.01)
    assert "sha256" in candidates.unavailable[0]
    with candidates.use(2) as opened:
        assert opened.name == "m2"
    candidates.close()


def test_closing_while_a_network_is_opened_leaves_nothing_open(small: SmallZoo) -> None:
    for _ in range(5):
        candidates = lazy(small, 20)
        for index in range(3):
            with candidates.use(index):
                pass
        candidates.note_worth({0: 500.0})
        candidates.close()
        for thread in threading.enumerate():
            if thread.name == "premodel-prefetch":
                thread.join(WAIT_S)
        assert candidates.loaded_mb() == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path]:
    """A bundle whose networks take 10 MB each, and 40 ms to open by the profile."""
    folder = tmp_path_factory.mktemp("made")
    made = make_bundle(folder, lambda tables: make_stopping(tables, "cascade-routing", "best+20pt"), n=40)
    singles = [{"name": name, "memory_mb": 10.0, "load_ms": 40.0} for name in made.small.names]
    path = folder / "loading.premodel"
    bundle = read_bundle(made.path)
    record = {**bundle.training_record, "singles": singles}
    write_bundle(path, type(bundle)(**{**vars(bundle), "training_record": record}), folder=made.small.zoo.parent)
    return made, path


def test_an_engine_settles_on_what_fits(made: tuple[Made, Path]) -> None:
    bundle, path = made
    with Premodel(path, zoo=bundle.small.zoo.parent, memory_budget_mb=20) as clf:
        answers = [clf.predict(image) for image in bundle.small.images * 3]
        assert clf._candidates.loaded_mb() <= 20
    assert all(not answer.abstained and not answer.failed for answer in answers)
    settled = [answer.ran for answer in answers[-len(bundle.small.images) :]]
    assert len({name for ran in settled for name in ran}) <= 3


def test_times_and_worth_by_hand() -> None:
    times = OpeningTimes([4.0, 0.0])
    assert (times.bound_ms(0), times.usual_ms(0), times.bound_ms(1)) == (8.0, 4.0, 0.0)
    for took_ms in range(1, 11):
        times.note(0, float(took_ms))
    assert times.bound_ms(0) == 10.0
    assert times.usual_ms(0) == 7.0, "of the last eight, 3 to 10"
    worth = Worth(1)
    worth.note({0: 8.0})
    for _ in range(50):
        worth.note({})
    assert worth.of([0]) == pytest.approx(4.0)
    assert needless([5.0, 5.0, 1.0], 5.0) == [0, 2]
