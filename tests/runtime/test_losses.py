"""Model files that disappear, change or shrink: noticed, reported once, tried again, and never answered wrongly."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import premodel
from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.runtime import lazy_candidates
from premodel.runtime.engine import Premodel

SINGLE = MAKERS["single"]


class Clock:
    """Time that moves when it is set."""

    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> float:
        return self.ms

    def wait(self, seconds: float) -> None:
        self.ms += 1e3 * seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lazy_candidates, "now_ms", clock)
    return clock


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_bundle(tmp_path, SINGLE, n=30)


def model_of(made: Made, name: str) -> Path:
    return made.small.zoo.parent / "models" / f"{name}.npz"


def vanish(file: Path) -> None:
    file.unlink()


def shrink(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(100)


def change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


each_loss = pytest.mark.parametrize("harm", [vanish, shrink, change])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@each_loss
def test_a_lost_model_is_told_once_and_comes_back_by_itself(
    made: Made, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    first = made.policy.candidates[0]
    file, image = model_of(made, first), made.small.images[0]
    whole = tmp_path / "whole"
    shutil.copyfile(file, whole)
    with premodel.load(made.path) as clf:
        harm(file)  # before it was ever opened
        for _ in range(20):
            answer = clf.predict(image)
            assert answer.candidate != first
            assert list(answer.failed) == [first]
            clock.wait(3)
        assert list(clf.unavailable) == [first]
        assert clf.losses[first] == 1
        assert len(lines(caplog)) == 1
        assert first in lines(caplog)[0]
        shutil.copyfile(whole, file)
        clock.wait(lazy_candidates.LAST_RETRY_S)
        assert clf.predict(image).candidate == first
        assert clf.unavailable == {}
        assert lines(caplog)[1:] == [f"{first} is back"]


def test_a_candidate_that_was_missing_from_the_start_comes_back(made: Made, tmp_path: Path, clock: Clock) -> None:
    first = made.policy.candidates[0]
    model_of(made, first).rename(tmp_path / "away")
    with premodel.load(made.path) as clf:
        assert clf.predict(made.small.images[0]).candidate != first
        (tmp_path / "away").rename(model_of(made, first))
        clock.wait(lazy_candidates.LAST_RETRY_S)
        clf.look_again()
        assert clf.unavailable == {}
        assert clf.predict(made.small.images[0]).candidate == first


def test_waits_grow_up_to_a_bound(made: Made, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made.policy.candidates[0]
    model_of(made, first).unlink()
    searches: list[float] = []
    with premodel.load(made.path) as clf:
        find = clf._files.find
        monkeypatch.setattr(clf._files, "find", lambda one: (searches.append(clock.ms), find(one))[1])
        for _ in range(600):
            clf.predict(made.small.images[0])
            clock.wait(1)
    times = sorted({round(ms / 1e3) for ms in searches})
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps), "each wait is as long as the one before, or longer"
    assert max(gaps) == lazy_candidates.LAST_RETRY_S
    assert len(times) < 20


@each_loss
def test_what_is_open_answers_on_as_before_and_the_change_is_told(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    first = made.policy.candidates[0]
    file, image = model_of(made, first), made.small.images[0]
    whole = tmp_path / "whole"
    shutil.copyfile(file, whole)
    with premodel.load(made.path) as clf:
        before = clf.predict(image)
        harm(file)
        for _ in range(5):
            clf.look_again()
            after = clf.predict(image)
            assert (after.candidate, after.probabilities) == (first, before.probabilities)
        assert len(lines(caplog)) == 1
        assert f"{first} answers on from memory" in lines(caplog)[0]
        assert clf.losses[first] == 1
        shutil.copyfile(whole, file)
        for _ in range(3):
            clf.look_again()
        assert lines(caplog)[1:] == [f"the file of {first} is back"]


def test_changed_weights_never_answer_when_a_model_is_opened_again(made: Made, clock: Clock) -> None:
    """With room for one model, the one that was changed meanwhile is opened again, compared, and left out."""
    image = made.small.images[0]
    first, other = made.policy.candidates[0], next(iter(set(made.small.names) - {made.policy.candidates[0]}))
    largest_mb = 2 * max(file.stat().st_size for file in model_of(made, first).parent.glob("*.npz")) / 1e6
    with Premodel(made.path, memory_budget_mb=largest_mb) as clf:
        assert clf.predict(image).candidate == first
        change(model_of(made, first))
        with clf._candidates.use([one.name for one in clf._known].index(other)):
            pass  # the first one was unloaded for it
        answer = clf.predict(image)
        assert answer.candidate != first
        assert "wrong sha256" in answer.failed[first]


def test_a_file_that_is_written_anew_with_the_same_content_is_no_loss(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    file = model_of(made, made.policy.candidates[0])
    with premodel.load(made.path) as clf:
        clf.predict(made.small.images[0])
        file.write_bytes(file.read_bytes())
        clf.look_again()
        assert clf.losses == dict.fromkeys(clf.candidates, 0)
        assert lines(caplog) == []


@each_loss
def test_unpacked_models_that_are_tidied_away_are_unpacked_again(
    tmp_path: Path, clock: Clock, harm: Callable[[Path], None]
) -> None:
    made = make_bundle(tmp_path, SINGLE, n=30, embed=True)
    shutil.rmtree(made.small.zoo.parent / "models")
    first = made.policy.candidates[0]
    with premodel.load(made.path) as clf:
        unpacked = clf._files.get(clf.bundle.candidate(first))
        harm(unpacked)
        assert clf.predict(made.small.images[0]).candidate == first
        assert clf.unavailable == {}
