"""The race of a profile with many candidates: who is surely not needed is not profiled any further."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from premodel.profiling.samples import Task
from premodel.stats import median_interval
from premodel.store.left_out import LeftOut
from premodel.zoo.candidate import Candidate

RACE_CANDIDATES = 10
"""So many candidates lack answers, or there is no race: fewer are hardly ever left out."""
RACE_SAMPLES = 400
"""So many samples lack answers, or there is no race: the first looks would be most of the work."""
MARGIN = 0.03
"""Of accuracy, alone and beside another candidate: what a candidate may be better by than what stands in for it."""
Z_LEAVE = 2.0
Z_STAY_COVERED = 1.645
"""Of the score at which one is left out, and at which one left out before must still be covered."""
FIRST_LOOK, LOOK_GROWTH, LOOKS = 100, 1.25, 11
TIMED_SAMPLES = 60
"""Of the first look: every candidate prepares its own input, in random order, and so is timed as if it ran alone."""
MIN_TIMED = 20
SAME_TIME = 1.05
"""A rival is surely no slower if the ratio of times is surely below it."""
TOP_5 = 5

Bools = NDArray[np.bool_]
Report = Callable[[Mapping[str, LeftOut], Mapping[str, LeftOut]], None]


StartRace = Callable[[Sequence[Candidate], Mapping[str, tuple[int, ...]]], "Race | None"]
"""From the candidates that answer and what each sample lacks to a race, or to none where it would not pay."""


@dataclass
class Race:
    """Who still runs, decided at looks after 100, 125, 156 ... samples drawn at random.

    A candidate is left out if, alone and beside every other candidate that still runs, some rival that is surely no
    slower is surely hardly less often right: on what the other gets wrong, the share of samples on which only the
    candidate is right exceeds that on which only the rival is by less than MARGIN, in top-1 and, with more than five
    labels, in top-5. Then in every pool of two something cheaper can take its place. The one that is right most often
    by then never leaves: it is what a premodel is compared with.

    Parameters
    ----------
    candidates:
        Of different prediction keys.
    labels:
        Of the zoo.
    known:
        Rank of the truth in each candidate's stored answers, by sample.
    left:
        Those left out before, by prediction key.
    device:
        Whose times decide.
    report:
        Called with all that are left out by now, and with those new among them.
    seed:
        Of the order of the samples.

    Notes
    -----
    "Surely hardly less often right" is the score test of non-inferiority on paired answers (Hsueh, Liu and Chen,
    Biometrics 57, 2001, as in `training/non_inferiority.py`) at z = 2: one that is in truth better by MARGIN than a
    rival beside some partner passes there with a probability of 2.3 % at a look, and of 9.5 % at any of the eleven
    (normal approximation, constant boundary). All partners must pass at one look, so their number adds nothing; rivals
    that are all worse by MARGIN add up. Those that were left out must stay covered, at z = 1.645, by those that still
    run whenever one more leaves, so errors do not add up along a chain. Pools of three and more are not looked at.
    """

    candidates: Sequence[Candidate]
    labels: int
    known: Sequence[Mapping[str, int]]
    device: str
    left: dict[str, LeftOut]
    report: Report
    seed: int = 0
    _ranks: list[dict[str, int]] = field(default_factory=list)
    _times: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ranks = [dict(ranks) for ranks in self.known]
        self._times = [{} for _ in self.candidates]

    @property
    def running(self) -> list[int]:
        """Numbers of those that are not left out."""
        return [index for index, one in enumerate(self.candidates) if one.prediction_key not in self.left]

    def draw(self, count: int) -> list[int]:
        """The places of so many samples in random order, the same for every run."""
        return [int(place) for place in np.random.default_rng(self.seed).permutation(count)]

    def timed(self, samples: Sequence[str]) -> frozenset[str]:
        """Those of the first samples on which candidates are timed."""
        return frozenset(samples[:TIMED_SAMPLES])

    def shuffled(self, task: Task) -> Task:
        """The same task with its candidates in random order."""
        rng = np.random.default_rng([self.seed, task.entry.row])
        return replace(task, wanted=tuple(int(index) for index in rng.permutation(task.wanted)))

    def add(self, index: int, sample: str, rank: int, latency_ms: float | None, alone: bool) -> None:
        """One answer; `alone` if its input was prepared for it alone."""
        self._ranks[index][sample] = rank
        if alone and latency_ms is not None:
            self._times[index][sample] = latency_ms

    def look(self, samples: Sequence[str]) -> list[int]:
        """Decide on the samples drawn so far; gives the numbers of those that leave now."""
        running = self.running
        complete = [one for one in samples if all(one in self._ranks[index] for index in running)]
        if len(complete) < FIRST_LOOK // 2 or len(running) < 2:
            return []
        no_slower = self._no_slower()
        covers = self._covers(running, complete, Z_LEAVE)
        before = [self._covered_before(one) for one in self.left.values()]
        leaving: list[int] = []
        best = max(running, key=lambda index: sum(self._ranks[index][one] < 1 for one in complete))
        for index in sorted(running, key=self._time, reverse=True):
            rest = [one for one in running if one not in leaving and one != index]
            rivals = [one for one in rest if no_slower[index, one]]
            if index == best or not covers.holds(index, rivals, rest):
                continue
            if not all(stays(rest) for stays in before):
                continue
            others = [self._stays(covers, one, no_slower) for one in leaving]
            if all(stays(rest) for stays in others):
                leaving.append(index)
        self._leave(leaving, [one for one in running if one not in leaving], len(complete), covers, no_slower)
        return leaving

    def _leave(
        self, leaving: Sequence[int], rest: Sequence[int], samples: int, covers: _Covers, no_slower: Bools
    ) -> None:
        new: dict[str, LeftOut] = {}
        for index in leaving:
            one = self.candidates[index]
            rivals = covers.least(index, [other for other in rest if no_slower[index, other]], rest)
            names = {self.candidates[other].prediction_key: self.candidates[other].name for other in rivals}
            new[one.prediction_key] = LeftOut(one.name, samples, self.device, 100 * MARGIN, names)
        if new:
            self.left.update(new)
            self.report(self.left, new)

    def _stays(self, covers: _Covers, index: int, no_slower: Bools) -> Callable[[list[int]], bool]:
        return lambda rest: covers.holds(index, [one for one in rest if no_slower[index, one]], rest)

    def _covered_before(self, left: LeftOut) -> Callable[[list[int]], bool]:
        """Is one that was left out still covered by those that are left."""
        numbers = {one.prediction_key: index for index, one in enumerate(self.candidates)}
        key = next(key for key, one in self.left.items() if one is left)
        rivals = [numbers[rival] for rival in left.rivals if rival in numbers]
        index = numbers.get(key)
        if index is None:
            return lambda rest: bool(rest)
        running = self.running
        everyone = [index, *running]
        complete = [one for one in self._ranks[index] if all(one in self._ranks[other] for other in running)]
        if not complete:
            return lambda rest: any(one in rest for one in rivals)
        covers, slow = self._covers(everyone, complete, Z_STAY_COVERED), self._no_slower()
        stood = {one for one in running if slow[index, one]} | set(rivals)
        return lambda rest: covers.holds(index, [one for one in rest if one in stood], rest)

    def _covers(self, among: Sequence[int], samples: Sequence[str], z: float) -> _Covers:
        ranks = np.array([[self._ranks[index][one] for index in among] for one in samples])
        right = [ranks < 1, *([ranks < TOP_5] if self.labels > TOP_5 else [])]
        return _Covers(tuple(among), [one.astype(np.float64) for one in right], z)

    def _time(self, index: int) -> float:
        times = list(self._times[index].values())
        return float(np.median(times)) if times else 0.0

    def _no_slower(self) -> Bools:
        """Entry (c, e): is e surely no slower than c, by times of the same samples taken in turns."""
        count = len(self.candidates)
        found = np.zeros((count, count), np.bool_)
        for c in range(count):
            for e in range(count):
                both = [one for one in self._times[c] if one in self._times[e]]
                if c == e or len(both) < MIN_TIMED:
                    continue
                ratios = np.array([self._times[e][one] / self._times[c][one] for one in both])
                found[c, e] = median_interval(ratios)[1] <= SAME_TIME
        return found


class _Covers:
    """Who is surely hardly less often right than whom, beside whom.

    Parameters
    ----------
    among:
        Numbers of the candidates.
    right:
        float64 (n, m) of 0 and 1 for each criterion.
    """

    def __init__(self, among: Sequence[int], right: Sequence[NDArray[np.float64]], z: float) -> None:
        self._place = {index: place for place, index in enumerate(among)}
        n, count = right[0].shape
        # Entry (k, c, e): beside partner k, whose place is `count` for nobody, e is hardly less often right than c.
        self._passes = np.ones((count + 1, count, count), np.bool_)
        for own in right:
            for partner in range(count + 1):
                asked = own if partner == count else own * (1 - own[:, partner : partner + 1])
                only = asked.T @ (1 - own)
                score = (n * MARGIN + only.T - only) / np.sqrt(only + only.T + n * MARGIN)
                self._passes[partner] &= score >= z

    def holds(self, index: int, rivals: Sequence[int], rest: Sequence[int]) -> bool:
        """Does some rival stand in for a candidate beside each of the rest, and alone."""
        if not rivals:
            return False
        return bool(self._beside(index, rivals, rest).any(axis=1).all())

    def least(self, index: int, rivals: Sequence[int], rest: Sequence[int]) -> list[int]:
        """Few rivals that together do."""
        beside, chosen = self._beside(index, rivals, rest), []
        open_ = np.ones(len(beside), np.bool_)
        while open_.any():
            best = int(beside[open_].sum(axis=0).argmax())
            if not beside[open_, best].any():
                break
            chosen.append(rivals[best])
            open_ &= ~beside[:, best]
        return chosen

    def _beside(self, index: int, rivals: Sequence[int], rest: Sequence[int]) -> Bools:
        partners = [self._place[one] for one in rest if one != index] + [len(self._place)]
        columns = [self._place[one] for one in rivals]
        return np.asarray(self._passes[np.ix_(partners, [self._place[index]], columns)][:, 0])


def looks(samples: int) -> list[int]:
    """Numbers of samples after which it is decided; none in the last tenth, where nothing is saved any more.

    Examples
    --------
    >>> looks(250)
    [100, 125, 156, 195]
    """
    found = [math.floor(FIRST_LOOK * LOOK_GROWTH**number) for number in range(LOOKS)]
    return [count for count in found if count < 0.9 * samples]


def can_race(candidates: Sequence[Candidate], apart: bool) -> bool:
    """Are answers right or wrong, and the times of the prediction pass those of this machine and these threads.

    Parameters
    ----------
    apart:
        Does the pass run in processes with one thread each.
    """
    if any(one.model.is_remote or (apart and one.model.threads != 1) for one in candidates):
        return False
    return all(one.domain.answers_labels and not one.domain.latency_varies for one in candidates)


def pays(wanted: Mapping[str, Sequence[int]]) -> bool:
    """Are there so many candidates and samples, by what each sample lacks, that a race saves anything."""
    lacking = {index for indices in wanted.values() for index in indices}
    return len(wanted) >= RACE_SAMPLES and len(lacking) >= RACE_CANDIDATES


def kept_out(left: Mapping[str, LeftOut], candidates: Sequence[Candidate], device: str) -> dict[str, LeftOut]:
    """Those left out before that stay so: timed on this device, with everything that stands in for them in the zoo."""
    keys = {one.prediction_key for one in candidates}
    return {
        key: one for key, one in left.items() if key in keys and one.device == device and keys.issuperset(one.rivals)
    }
