"""Counted log lines: the first at once, then one per kind and interval, and none lost in the count."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from premodel.serving.log import CountedLog


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def log(hands: Hands) -> CountedLog:
    return CountedLog(logging.getLogger("counted"), interval_s=10, clock_ms=hands)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_line_of_a_kind_is_written_at_once(log: CountedLog, caplog: pytest.LogCaptureFixture) -> None:
    log.note("a", "first")
    log.note("b", "other", logging.ERROR)
    assert lines(caplog) == ["first", "other"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


def test_those_that_follow_are_one_line_when_the_interval_is_over(
    log: CountedLog, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        log.note("a", f"line {number}")
        hands.now += 1000
    assert lines(caplog) == ["line 0"]
    hands.now += 7000
    log.note("b", "another kind, which brings the due ones along")
    assert lines(caplog)[1:] == ["line 4 (4 more in 12 s)", "another kind, which brings the due ones along"]


def test_a_line_told_late_begins_the_next_interval(
    log: CountedLog, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    log.note("a", "0")
    log.note("a", "1")
    hands.now += 10_000
    log.tell_due()
    log.note("a", "2")
    assert lines(caplog) == ["0", "1 (1 more in 10 s)"]
    hands.now += 10_000
    log.tell_due()
    assert lines(caplog)[2:] == ["2 (1 more in 10 s)"]


def test_after_a_quiet_interval_a_line_is_a_first_one_again(
    log: CountedLog, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    log.note("a", "0")
    hands.now += 10_000
    log.note("a", "1")
    assert lines(caplog) == ["0", "1"]


def test_at_the_end_all_is_told(log: CountedLog, caplog: pytest.LogCaptureFixture) -> None:
    log.note("a", "0")
    log.note("a", "1")
    log.tell_due()
    assert lines(caplog) == ["0"]
    log.tell_all()
    log.tell_all()
    assert lines(caplog) == ["0", "1 (1 more in 0 s)"]


def test_no_line_is_lost_among_threads(caplog: pytest.LogCaptureFixture) -> None:
    log = CountedLog(logging.getLogger("counted"), interval_s=1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.note("a", str(number)), range(400)))
    log.tell_all()
    assert len(lines(caplog)) == 2
    assert "399 more" in lines(caplog)[1]


def test_percent_signs_are_no_formats(log: CountedLog, caplog: pytest.LogCaptureFixture) -> None:
    log.note("a", "100 %s")
    assert lines(caplog) == ["100 %s"]
