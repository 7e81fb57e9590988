"""Candidates under a memory budget: opened when needed, unloaded when idle, never while they answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import premodel
from bundles import Made, make_bundle, small_zoo
from policy_makers import MAKERS
from premodel.domains.image.decode import decode
from premodel.errors import ModelError, OptionError, RunError
from premodel.runtime.candidate import Network
from premodel.runtime.lazy_candidates import FILE_FACTOR, LazyCandidates
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo

WAIT_S = 60
MEASURED = {"m0": 10.0, "m1": 10.0, "m2": 10.0}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return small_zoo(tmp_path_factory.mktemp("zoo"))


def lazy(small: SmallZoo, budget_mb: float | None, measured_mb: dict[str, float] | None = None) -> LazyCandidates:
    candidates = read_zoo(small.zoo).candidates
    measured = MEASURED if measured_mb is None else measured_mb
    return LazyCandidates(candidates, lambda one: one.model.file, None, budget_mb, measured)


def test_the_one_used_longest_ago_is_unloaded(small: SmallZoo) -> None:
    candidates = lazy(small, 20)
    networks: dict[int, Network] = {}
    for index in (0, 1, 0):
        with candidates.use(index) as opened:
            networks[index] = opened.network
    assert candidates.loaded_mb() == 20
    with candidates.use(2):
        assert candidates.loaded_mb() == 20
    with candidates.use(0) as opened:
        assert opened.network is networks[0], "used after m1, so it stayed"
    with candidates.use(1) as opened:
        assert opened.network is not networks[1], "unloaded and opened anew"
        assert opened.predict(decode(small.images[0])).labels.size
    with pytest.raises(RunError, match="closed"):
        networks[1].backend.predict(np.zeros((1, 8, 8, 3), np.uint8))


def test_without_a_budget_all_stay(small: SmallZoo) -> None:
    candidates = lazy(small, None)
    first = []
    for index in range(3):
        with candidates.use(index) as opened:
            first.append(opened)
    for index in range(3):
        with candidates.use(index) as opened:
            assert opened is first[index]
    assert candidates.loaded_mb() == 30


def test_an_answer_in_progress_keeps_its_model_and_the_next_waits(small: SmallZoo) -> None:
    candidates = lazy(small, 20)
    begun, done = threading.Event(), threading.Event()

    def want() -> None:
        begun.set()
        with candidates.use(2):
            done.set()

    with candidates.use(0) as first:
        with candidates.use(1) as second:
            thread = threading.Thread(target=want)
            thread.start()
            assert begun.wait(WAIT_S)
            image = decode(small.images[0])
            for opened in (first, second) * 20:
                assert opened.predict(image).labels.size
            assert not done.is_set(), "there is no room while both are in use"
        assert done.wait(WAIT_S), "one of them was released"
        assert first.predict(image).labels.size, "the other one was not unloaded"
    thread.join(WAIT_S)


def test_many_threads_stay_below_the_budget_and_lose_no_model(small: SmallZoo) -> None:
    candidates = lazy(small, 20)
    image = decode(small.images[0])
    expected = [int(np.argmax(small.probabilities[0, index])) for index in range(3)]
    highest: list[float] = []

    def work(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, 3, 60).tolist():
            with candidates.use(index) as opened:
                assert opened.predict(image).labels[0] == expected[index]
                highest.append(candidates.loaded_mb())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(highest) == 480
    assert max(highest) <= 20


def test_views_share_one_network_and_its_room(tmp_path: Path) -> None:
    small = small_zoo(tmp_path, m=3, models=["a", "b"], views={"a": [{"name": "mirror", "mirror": True}]})
    candidates = lazy(small, 10, {"a": 10.0, "a@mirror": 10.0, "b": 10.0})
    with candidates.use(0) as one, candidates.use(1) as other:
        assert one.network is other.network
        assert candidates.loaded_mb() == 10
    with candidates.use(2):
        assert candidates.loaded_mb() == 10


def test_one_that_stays_open_is_never_unloaded(small: SmallZoo) -> None:
    candidates = lazy(small, 20)
    kept = candidates[0]
    for index in (1, 2, 1, 2):
        with candidates.use(index):
            assert candidates[0] is kept
    _ = candidates[1]
    with pytest.raises(RunError, match=r"m2 has no room beside those that stay open; given: 10.0 MB and 20.0 MB"):
        candidates.use(2).__enter__()


def test_a_candidate_larger_than_the_whole_budget_is_named(small: SmallZoo) -> None:
    with pytest.raises(OptionError, match=r"candidate m1 is larger.*given: 20 MB; allowed: 30.0 MB \(measured\)"):
        lazy(small, 20, {"m0": 1.0, "m1": 30.0}).check_budget(range(3))
    lazy(small, 20, MEASURED).check_budget(range(3))


def test_what_was_not_measured_is_taken_from_the_file(small: SmallZoo) -> None:
    candidates = lazy(small, None, {})
    size = (small.zoo.parent / "models" / "m1.npz").stat().st_size
    assert candidates.memory_mb(1) == pytest.approx(FILE_FACTOR * size / 1e6)
    with pytest.raises(OptionError, match=r"m0.*2 times its file"):
        lazy(small, size / 1e6, {}).check_budget([0])


def test_one_that_cannot_be_opened_takes_no_room(small: SmallZoo) -> None:
    def find(candidate: Candidate) -> Path:
        if candidate.name == "m1":
            raise ModelError("model file is missing", where="m1")
        return candidate.model.file

    candidates = LazyCandidates(read_zoo(small.zoo).candidates, find, None, 10, {"m0": 10.0, "m2": 10.0})
    for _ in range(2):
        with pytest.raises(RunError, match="model file is missing"):
            candidates.use(1).__enter__()
    with candidates.use(0):
        pass
    assert list(candidates.unavailable) == [1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("made"), MAKERS["select, the paper's chain"])


def test_a_premodel_answers_alike_in_little_memory(made: Made) -> None:
    models = made.small.zoo.parent / "models"
    largest_mb = FILE_FACTOR * max(file.stat().st_size for file in models.iterdir()) / 1e6
    with premodel.load(made.path) as clf:
        expected = [clf.predict(image) for image in made.small.images]
    with premodel.load(made.path, memory_budget_mb=largest_mb) as clf:
        assert clf.warm() == {}
        answers = [clf.predict(image) for image in made.small.images]
        assert clf._candidates.loaded_mb() <= largest_mb
    assert len({answer.candidate for answer in answers}) > 1
    for answer, other in zip(answers, expected, strict=True):
        assert (answer.candidate, answer.label, answer.failed) == (other.candidate, other.label, {})
    with pytest.raises(OptionError, match="is larger than the whole memory budget"):
        premodel.load(made.path, memory_budget_mb=largest_mb / 100)
    for budget in (0, -1, float("nan"), True):
        with pytest.raises(OptionError, match="wrong memory budget"):
            premodel.load(made.path, memory_budget_mb=budget)
