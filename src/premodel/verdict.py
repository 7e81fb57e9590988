"""The verdict on a premodel: two plain answers, in the same words wherever they are said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

MINUS = "\N{MINUS SIGN}"
ROUNDS_TO_ZERO = 0.05
"""Points; a smaller difference is printed as 0.0, so it is called neither higher nor lower."""
MIN_SAMPLES = 50
"""Fewer samples support no verdict and no advice, whatever their intervals are."""
SERVES_ONE = "One candidate answers every input, others only where it fails: nothing is chosen per input."

Interval = tuple[float, float]
Pace = Literal["faster", "slower", "the same speed", "no difference shown"]
Accuracy = Literal["higher", "lower", "no difference shown"]
Choice = Literal["above", "below", "not distinguishable"]
Outcome = Literal["better", "traded", "no difference", "worse", "too few samples"]


@dataclass(frozen=True)
class Verdict:
    """What the figures of one way of answering allow to be said: the one rule of all commands.

    It gives two answers: how it compares with the best single candidate, and whether the choice per input is what
    makes it better than a random mix of single candidates of the same mean latency.

    Attributes
    ----------
    samples:
        Behind the figures.
    speedup:
        Mean latency of the best single candidate by its own.
    gain, gain_ci:
        Accuracy minus that of the best single candidate in points, with its 95 % interval.
    mix_gain, mix_ci:
        The same against the random mix; None where there is no choice per input to judge.
    speedup_ci:
        95 % interval of the speed-up, where it was measured on both at once; None where it rests on timing records.
    serves_one:
        One candidate answers every input, others only where it fails: there is no choice per input.

    Examples
    --------
    >>> verdict = Verdict(1000, 6.03, 0.0, (-0.9, 1.0), 0.9, (0.2, 1.9))
    >>> verdict.pace, verdict.accuracy, verdict.choice, verdict.outcome
    ('faster', 'no difference shown', 'above', 'better')
    >>> verdict.short
    '6.03x faster, no accuracy difference shown; above the random mix'
    """

    samples: int
    speedup: float
    gain: float
    gain_ci: Interval
    mix_gain: float | None = None
    mix_ci: Interval | None = None
    speedup_ci: Interval | None = None
    serves_one: bool = False

    @property
    def too_few(self) -> bool:
        """Are there fewer samples than a verdict needs."""
        return self.samples < MIN_SAMPLES

    @property
    def pace(self) -> Pace:
        """Against the best single candidate; a factor that rounds to 1.00 is the same speed."""
        if f"{self.speedup:.2f}" == "1.00":
            return "the same speed"
        if self.speedup_ci is not None and self.speedup_ci[0] <= 1 <= self.speedup_ci[1]:
            return "no difference shown"
        return "faster" if self.speedup > 1 else "slower"

    @property
    def accuracy(self) -> Accuracy:
        """Against the best single candidate."""
        shown = shown_sign(self.gain, self.gain_ci, self.samples)
        return "higher" if shown > 0 else "lower" if shown < 0 else "no difference shown"

    @property
    def margin(self) -> float:
        """The non-inferiority margin supported, in points: by how much the accuracy may be lower at most."""
        return max(0.0, -self.gain_ci[0])

    @property
    def choice(self) -> Choice | None:
        """The choice per input against the random mix; None where there is none to judge."""
        if self.mix_gain is None or self.mix_ci is None:
            return None
        shown = shown_sign(self.mix_gain, self.mix_ci, self.samples)
        return "above" if shown > 0 else "below" if shown < 0 else "not distinguishable"

    @property
    def samples_needed(self) -> int | None:
        """About how many samples would distinguish the choice from the random mix, were the difference as measured.

        The interval narrows with the square root of the samples. None where it is distinguishable already, or where
        the difference rounds to zero.
        """
        if self.choice != "not distinguishable" or self.mix_gain is None or self.mix_ci is None:
            return None
        if abs(self.mix_gain) < ROUNDS_TO_ZERO:
            return None
        towards_zero = abs(self.mix_gain - self.mix_ci[0 if self.mix_gain > 0 else 1])
        needed = self.samples * (towards_zero / abs(self.mix_gain)) ** 2
        return _two_digits(max(math.ceil(needed), self.samples + 1, MIN_SAMPLES))

    @property
    def outcome(self) -> Outcome:
        """Both answers in one word.

        "better": faster without an accuracy shown to be lower, or higher accuracy without being slower. "traded": one
        for the other. "worse": slower without higher accuracy, lower accuracy without being faster, or below the
        random mix.
        """
        if self.too_few:
            return "too few samples"
        if self.choice == "below":
            return "worse"
        if self.accuracy == "higher":
            return "traded" if self.pace == "slower" else "better"
        if self.accuracy == "lower":
            return "traded" if self.pace == "faster" else "worse"
        return "better" if self.pace == "faster" else "worse" if self.pace == "slower" else "no difference"

    @property
    def factor(self) -> str:
        """The pace with its factor."""
        if self.pace == "the same speed":
            return self.pace
        if self.pace == "no difference shown":
            return "no speed difference shown"
        return f"{self.speedup if self.pace == 'faster' else 1 / self.speedup:.2f}x {self.pace}"

    @property
    def short(self) -> str:
        """Both answers without their figures, for a cell of a table."""
        if self.too_few:
            return too_few_samples(self.samples)
        accuracy = (
            "no accuracy difference shown" if self.accuracy == "no difference shown" else f"accuracy {self.accuracy}"
        )
        text = f"{self.factor}, {accuracy}"
        return text if self.choice is None else f"{text}; {_against_mix(self.choice)}"

    def sentence(self, best: str = "the best single candidate") -> str:
        """Both answers with their figures; `best` names what it is compared with."""
        pace = f"{self.factor} {'as' if self.pace == 'the same speed' else 'than'} {best}"
        if self.pace == "no difference shown" and self.speedup_ci is not None:
            bounds = f"[{self.speedup_ci[0]:.2f}, {self.speedup_ci[1]:.2f}]"
            pace = f"{self.factor} to {best} (speed-up {self.speedup:.2f} {bounds})"
        gain = f"{points(self.gain)} points {interval(self.gain_ci)}"
        mix = ""
        if self.mix_gain is not None and self.mix_ci is not None:
            mix = f"{points(self.mix_gain)} points {interval(self.mix_ci)}"
        if self.too_few:
            measured = f"measured: {pace}, accuracy difference {gain}" + (f", to the random mix {mix}" if mix else "")
            return f"{too_few_samples(self.samples)}; {measured}."
        if self.accuracy == "no difference shown":
            margin = f"{self.margin:.{2 if self.margin < ROUNDS_TO_ZERO else 1}f}"
            lower = f"at most {margin} points lower" if float(margin) else "not lower"
            text = f"{pace}, no accuracy difference shown ({gain}, {lower})."
        else:
            text = f"{pace}, accuracy {self.accuracy} ({gain})."
        if self.choice is None:
            return f"{text} {SERVES_ONE}" if self.serves_one else text
        text += f" The choice per input is {_against_mix(self.choice)} of the same latency ({mix})"
        if self.choice == "not distinguishable":
            needed = self.samples_needed
            text += (
                "; the difference is too small to say how many samples would tell"
                if needed is None
                else (f"; about {needed:,} samples would tell")
            )
        return text + "."

    def to_json(self) -> dict[str, Any]:
        """Both answers and their figures."""
        return {
            "outcome": self.outcome,
            "samples": self.samples,
            "speed": self.pace,
            "speedup": self.speedup,
            "speedup_ci": None if self.speedup_ci is None else list(self.speedup_ci),
            "accuracy": self.accuracy,
            "accuracy_difference_points": self.gain,
            "accuracy_difference_ci": list(self.gain_ci),
            "non_inferiority_margin_points": self.margin,
            "choice_per_input": self.choice,
            "difference_to_random_mix_points": self.mix_gain,
            "difference_to_random_mix_ci": None if self.mix_ci is None else list(self.mix_ci),
            "samples_needed": self.samples_needed,
        }


def points(value: float, decimals: int = 1) -> str:
    """Points of accuracy with a sign; what rounds to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if not float(text) else text.replace("-", MINUS)


def interval(bounds: Interval) -> str:
    """A 95 % interval in points; finer where an end so near to zero would hide on which side of it it lies."""
    decimals = 2 if any(end and not float(f"{end:.1f}") for end in bounds) else 1
    return f"[{points(bounds[0], decimals)}, {points(bounds[1], decimals)}]"


def too_few_samples(samples: int) -> str:
    """The words for fewer samples than a verdict or an advice needs."""
    return f"too few samples for a verdict: {samples}, at least {MIN_SAMPLES} are needed"


def shown_sign(difference: float, bounds: Interval, samples: int) -> int:
    """1 where a difference in points is shown to be above zero, -1 where below, else 0.

    Shown means: on enough samples, with the whole 95 % interval on that side, and not rounded to 0.0 points.

    Examples
    --------
    >>> shown_sign(1.0, (0.5, 1.5), 200), shown_sign(1.0, (-0.5, 2.5), 200), shown_sign(1.0, (0.5, 1.5), 20)
    (1, 0, 0)
    """
    if samples < MIN_SAMPLES or abs(difference) < ROUNDS_TO_ZERO:
        return 0
    return 1 if bounds[0] > 0 else -1 if bounds[1] < 0 else 0


def _against_mix(choice: Choice) -> str:
    return "not distinguishable from the random mix" if choice == "not distinguishable" else f"{choice} the random mix"


def _two_digits(count: int) -> int:
    """Rounded up to two significant digits."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
