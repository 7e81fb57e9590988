"""What it costs that not all networks fit in memory: times of opening, and what each network is worth to the inputs.

A policy states for every input how much more the candidate that it would rather run is worth than to do without it. The
sum of that, which halves every HALF_LIFE inputs, is known of networks that are open and of those that were passed
over. One is opened in the place of others when it was worth more than they by the time of opening it: renting or
buying, as in Karlin, Manasse, Rudolph and Sleator, "Competitive snoopy caching", Algorithmica 3, 1988. Room is made by
what was worth least for the room it takes, and where no policy states any worth, by what was used longest ago.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

RECENT = 8
"""Openings of a network whose times are remembered."""
FIRST_FACTOR = 2.0
"""What the first opening in a process may take over that of the profile: files are read from the disk, and compared
with their digests. An assumption on the safe side, not a measurement."""
HALF_LIFE = 50
"""Inputs. By simulation on 1,500 photographs, 20 to 200 differ by a few hundredths of an opening per input."""


class OpeningTimes:
    """What opening each network takes: by the profile, then by what was seen in this process.

    Parameters
    ----------
    profiled_ms:
        One per candidate; 0 where it was not measured.

    Examples
    --------
    >>> times = OpeningTimes([10.0])
    >>> times.bound_ms(0), times.usual_ms(0)
    (20.0, 10.0)
    >>> for took_ms in (12.0, 18.0, 14.0):
    ...     times.note(0, took_ms)
    >>> times.bound_ms(0), times.usual_ms(0)
    (18.0, 14.0)
    """

    def __init__(self, profiled_ms: Sequence[float]) -> None:
        self._profiled_ms = list(profiled_ms)
        self._seen: list[deque[float]] = [deque(maxlen=RECENT) for _ in profiled_ms]

    def note(self, index: int, took_ms: float) -> None:
        """One opening took so long."""
        self._seen[index].append(took_ms)

    def last_ms(self, index: int) -> float | None:
        """The last opening in this process; None before any."""
        return self._seen[index][-1] if self._seen[index] else None

    def bound_ms(self, index: int) -> float:
        """What it may take, for a budget: the slowest of the last openings, or more than the profile's before any."""
        if not self._seen[index]:
            return FIRST_FACTOR * self._profiled_ms[index]
        return max(self._profiled_ms[index], *self._seen[index])

    def usual_ms(self, index: int) -> float:
        """What it usually takes, for what is worth it: the median of the last openings, the profile's before any."""
        seen = sorted(self._seen[index])
        return seen[len(seen) // 2] if seen else self._profiled_ms[index]


class Worth:
    """What each candidate was worth to the last inputs, in ms.

    Examples
    --------
    >>> worth = Worth(2)
    >>> for _ in range(3):
    ...     worth.note({0: 10.0})
    >>> round(worth.of([0]), 1), worth.of([1])
    (29.6, 0.0)
    """

    def __init__(self, count: int) -> None:
        self._sum_ms = [0.0] * count

    def note(self, worth_ms: Mapping[int, float]) -> None:
        """One more input, and what candidates were worth to it (see `AnswersSoFar.worth_ms`)."""
        kept = 0.5 ** (1 / HALF_LIFE)
        self._sum_ms = [kept * value for value in self._sum_ms]
        for index, value in worth_ms.items():
            self._sum_ms[index] += value

    def of(self, indices: Iterable[int]) -> float:
        """Of some candidates together."""
        return sum(self._sum_ms[index] for index in indices)


def needless(freed_mb: Sequence[float], too_much_mb: float) -> list[int]:
    """Of networks that would be unloaded together, by index, those that may stay, as the others free more than needed.

    Examples
    --------
    >>> needless([2.0, 10.0], 1.0)
    [1]
    >>> needless([1.0, 10.0], 0.5), needless([3.0, 10.0], 11.0)
    ([1], [])
    """
    spare, found = sum(freed_mb) - too_much_mb, []
    for index in sorted(range(len(freed_mb)), key=lambda one: -freed_mb[one]):
        if freed_mb[index] <= spare + 1e-9:
            found.append(index)
            spare -= freed_mb[index]
    return found
