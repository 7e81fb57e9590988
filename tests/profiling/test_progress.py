"""Bars end when their work ends, and never stand full before."""

from __future__ import annotations

from contextlib import suppress

from premodel.profiling.progress import UntilSteady


class Bar:
    """A progress that remembers how far its one bar came."""

    def __init__(self) -> None:
        self.what, self.total, self.done, self.ended = "", 0, 0, False

    def begin(self, what: str, total: int, unit: str) -> None:
        assert unit == "s"
        self.what, self.total = what, total

    def advance(self, count: int = 1) -> None:
        self.done += count

    def end(self) -> None:
        self.ended = True

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_the_bar_of_what_must_become_steady_shows_the_time_that_is_left() -> None:
    bar, clock = Bar(), [5.0]
    with UntilSteady(bar, "timing", 119.5, lambda: clock[0]) as steady:
        assert (bar.what, bar.total) == ("timing until steady, at most 120 s", 120)
        clock[0] = 9.0  # everything is warm
        steady.move()
        assert bar.done == 0
        for passed, shown in ((0.9, 0), (1.0, 1), (30.5, 30), (30.2, 30), (119.9, 119), (200.0, 119)):
            clock[0] = 9.0 + passed
            steady.move()
            assert bar.done == shown
        assert not bar.ended
    assert bar.ended
    assert bar.done == 120


def test_what_ends_early_is_full_and_what_is_broken_off_stays_as_it_is() -> None:
    bar = Bar()
    with UntilSteady(bar, "timing", 0.3):
        pass
    assert (bar.done, bar.total) == (1, 1)
    bar, clock = Bar(), [0.0]
    with suppress(KeyboardInterrupt), UntilSteady(bar, "timing", 10, lambda: clock[0]) as steady:
        steady.move()
        clock[0] = 4.0
        steady.move()
        raise KeyboardInterrupt
    assert bar.ended
    assert bar.done == 4
