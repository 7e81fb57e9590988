"""Time that goes on evenly though the machine's clock is set."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.serving.steady_clock import SteadyClock


@dataclass
class Machine:
    """A machine's clock, and how far it is off."""

    seconds: float = 0.0
    off: float = 1_000_000.0

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.seconds + self.off, lambda: self.seconds)


def test_a_jump_there_and_back_changes_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.seconds, machine.off = 10.0, 9_000_000.0
    assert not clock.look()
    assert not clock.settled
    assert clock.now == 1_000_010.0
    machine.seconds, machine.off = 300.0, 1_000_000.0
    assert not clock.look()
    assert clock.settled
    assert clock.now == 1_000_300.0


def test_a_clock_that_was_set_is_followed_once_it_has_stayed() -> None:
    """A board without a battery begins in 1970."""
    machine = Machine(off=0.0)
    clock = machine.clock()
    machine.seconds, machine.off = 30.0, 1_700_000_000.0
    assert not clock.look()
    machine.seconds = 300.0
    assert not clock.look()
    machine.seconds = 700.0
    assert clock.look()
    assert clock.settled
    assert (clock.started, clock.now) == (1_700_000_000.0, 1_700_000_700.0)


def test_a_clock_that_jumps_again_and_again_is_not_believed() -> None:
    machine = Machine()
    clock = machine.clock()
    for second in range(0, 5000, 500):
        machine.seconds, machine.off = float(second), 1_000_000.0 + 1000.0 * (second + 500)
        assert not clock.look()
    assert clock.started == 1_000_000.0


def test_small_corrections_are_left_alone() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.seconds, machine.off = 10_000.0, 1_000_002.0
    assert not clock.look()
    assert clock.settled
