"""What the final test of a premodel found, and the lines that state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from premodel.evaluation.on_time import OnTime
from premodel.evaluation.originals import Alone
from premodel.evaluation.stand_ins import StoodIn
from premodel.training.record import TrainingRecord, plain
from premodel.verdict import Interval, Verdict, interval, points


@dataclass(frozen=True)
class Rival:
    """One single candidate beside what was trained.

    Attributes
    ----------
    accuracy, latency_ms:
        On the same samples; end to end, run by itself.
    gain, gain_ci, speedup:
        What was trained against it: accuracy difference in points, and its latency by that of what was trained.
    meets:
        Does it meet the objective by its figures.
    as_good:
        It meets the objective, and what was trained is not shown to serve that objective better.
    """

    name: str
    accuracy: float
    latency_ms: float
    gain: float
    gain_ci: Interval
    speedup: float
    meets: bool
    as_good: bool


@dataclass(frozen=True)
class FinalTest:
    """What the test said.

    Attributes
    ----------
    policy:
        That was tested.
    samples, folds:
        Each sample was served by a policy trained without it: in the cross-fit of the training itself where it has
        one, else in folds of the test.
    accuracy, latency_ms:
        Of whole answers, the engine included.
    verdict, speedup_ci:
        Against the best single candidate, and of the choice per input; with the interval of the speed-up.
    best:
        Name of that candidate.
    floor_gap, floor_ci:
        Accuracy above the floor of the objective in points, with its interval; None without a floor.
    rivals:
        Every single candidate.
    objective:
        In words.
    taken_back:
        One candidate alone was packaged in place of the policy tested.
    on_time:
        Under a deadline: share of answers that are right and on time, of the policy and of the single candidate of
        which it is the highest, with the difference in points and its interval; else None.
    alone:
        Where the zoo holds siblings: the best of them alone against the best original; else None.
    stood_in:
        Where the best single candidate fails on some samples: what it serves with its stand-ins, and the policy against
        that; else None.
    """

    policy: str
    samples: int
    folds: int
    accuracy: float
    latency_ms: float
    verdict: Verdict
    best: str
    floor_gap: float | None
    floor_ci: Interval | None
    rivals: tuple[Rival, ...]
    objective: str
    speedup_ci: Interval
    taken_back: bool = False
    on_time: OnTime | None = None
    alone: Alone | None = None
    stood_in: StoodIn | None = None

    @property
    def misses_floor(self) -> bool:
        """Is the accuracy shown to be below the floor."""
        return self.floor_ci is not None and self.floor_ci[1] < 0

    @property
    def as_good(self) -> Rival | None:
        """The single candidate that meets the objective and is as good; of several the fastest."""
        found = [one for one in self.rivals if one.as_good]
        return min(found, key=lambda one: one.latency_ms) if found else None

    @property
    def passed(self) -> bool:
        """Is it shown to be better than every single candidate that meets the objective."""
        return (
            not self.verdict.too_few
            and not self.misses_floor
            and self.as_good is None
            and self.verdict.choice != "below"
        )

    def lines(self) -> list[str]:
        """The test in plain words, a line each."""
        best = next(one for one in self.rivals if one.name == self.best)
        lines = [
            f"tested: {self.policy}, on {self.samples} samples in {self.folds} folds, each served by a policy trained "
            f"without it: {100 * self.accuracy:.1f} % at {self.latency_ms:.3f} ms, the whole answer",
            f"  {self.verdict.sentence(f'the best single candidate {best.name} {_at(best)}')}",
        ]
        if self.stood_in is not None:
            lines.append(f"  {self.stood_in.sentence}")
        if self.alone is not None:
            lines += self._beside(self.alone)
        if self.on_time is not None:
            lines.append(f"  {self.on_time.sentence}")
        if self.floor_gap is not None and self.floor_ci is not None and self.floor_gap < 0:
            shown = "does NOT meet the objective" if self.misses_floor else "not shown to miss the objective"
            lines.append(
                f"  {shown}: {points(self.floor_gap, 2)} points to the floor of accuracy {interval(self.floor_ci)}"
            )
        rival = self.as_good
        if not self.verdict.too_few:
            if rival is not None:
                lines.append(
                    f"  {rival.name} alone {_at(rival)} meets the objective, and {self.policy} is NOT shown to be "
                    f"better: {points(rival.gain)} points {interval(rival.gain_ci)}, {rival.speedup:.2f}x its speed"
                )
            elif not any(one.meets for one in self.rivals):
                lines.append("  no single candidate meets the objective")
            elif self.passed:
                below = self.floor_gap is not None and self.floor_gap < 0
                lines.append(
                    "  better than every single candidate that meets the objective"
                    + ("; that it meets the objective itself is not shown" if below else "")
                )
        if self.taken_back:
            lines.append(f"  so {self.policy} is not packaged: one candidate alone is")
        return lines

    def _beside(self, alone: Alone) -> list[str]:
        """The same against the best original, if another is the best single candidate, and one sibling alone."""
        original = next(one for one in self.rivals if one.name == alone.original)
        said = f"the best original {original.name} {_at(original)}"
        verdict = Verdict(self.samples, original.speedup, original.gain, original.gain_ci)
        lines = [] if original.name == self.best else [f"  {verdict.sentence(said)}"]
        return [*lines, f"  {alone.name} alone ({alone.kind}): {alone.verdict.sentence(said)}"]

    def to_json(self) -> dict[str, Any]:
        """For the bundle."""
        found: dict[str, Any] = plain(self)
        if self.alone is not None:
            found["alone"]["verdict"] = plain(self.alone.verdict.to_json())
        if self.stood_in is not None and self.stood_in.verdict is not None:
            found["stood_in"]["verdict"] = plain(self.stood_in.verdict.to_json())
        found["verdict"] = plain(self.verdict.to_json())
        return found | {"passed": self.passed, "lines": self.lines()}


@dataclass(frozen=True, eq=False)
class Beside(TrainingRecord):
    """A training record with lines of its own before and after it."""

    inner: TrainingRecord
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        return [*self.before, *self.inner.lines(), *self.after]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        return self.inner.to_json()


def _at(rival: Rival) -> str:
    return f"({100 * rival.accuracy:.1f} % at {rival.latency_ms:.2f} ms)"
