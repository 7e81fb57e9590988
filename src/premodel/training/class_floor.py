"""A floor on the recall or precision of one class, and the exact test of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from premodel.errors import OptionError

FORM = "CLASS=SHARE, such as cat=0.95"
DELTA = 0.05
"""Chance, at most, that a class below its floor passes the test."""

Measure = Literal["recall", "precision"]


@dataclass(frozen=True)
class ClassFloor:
    """The least recall or precision of one class that is wanted.

    Attributes
    ----------
    measure:
        "recall": of the inputs of the class, the share answered with it; "precision": of the answers with the class,
        the share that is right.
    name:
        Of the class.
    least:
        Above 0 and below 1.
    """

    measure: Measure
    name: str
    least: float

    @classmethod
    def parse(cls, measure: Measure, text: str) -> ClassFloor:
        """Read the form `CLASS=SHARE`; a class's name may hold `=`.

        Raises
        ------
        OptionError
            It is of another form, or the share is not between 0 and 1.

        Examples
        --------
        >>> floor = ClassFloor.parse("recall", "a=b=0.95")
        >>> floor.name, floor.least
        ('a=b', 0.95)
        """
        name, sign, share = text.rpartition("=")
        try:
            least = float(share)
        except ValueError:
            least = math.nan
        if not (sign and name and 0 < least < 1):
            raise OptionError(f"wrong min-{measure}", given=text, allowed=f"{FORM}, above 0 and below 1")
        return cls(measure, name, least)

    def __str__(self) -> str:
        return f"{self.measure} of {self.name} at {self.least:g} or more"

    def label(self, names: Sequence[str]) -> int:
        """The class as a label.

        Raises
        ------
        OptionError
            No label has that name.
        """
        if self.name in names:
            return names.index(self.name)
        near = get_close_matches(self.name, names, 3) or list(names[:3])
        raise OptionError(
            f"min-{self.measure} of an unknown class", given=self.name, allowed=f"a label, such as {', '.join(near)}"
        )

    @property
    def least_count(self) -> int:
        """The least number of samples at which the test passes when every one is right.

        Examples
        --------
        >>> ClassFloor("recall", "cat", 0.95).least_count
        59
        """
        count = math.ceil(math.log(DELTA) / math.log(self.least))
        return count if p_value(count, count, self.least) <= DELTA else count + 1


def p_value(right: int, count: int, least: float) -> float:
    """Of the hypothesis that the true share is below `least`: the chance of so many right, or more, if it were there.

    Exact: the upper tail of the binomial distribution.

    Examples
    --------
    >>> round(p_value(2, 2, 0.5), 4), p_value(0, 0, 0.5)
    (0.25, 1.0)
    """
    if right == 0:
        return 1.0
    log_terms = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(least) + (count - k) * math.log1p(-least)
        for k in range(right, count + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(math.exp(term) for term in log_terms))


def lower_bound(right: int, count: int) -> float:
    """The highest share that the test shows, at DELTA: the exact lower bound of Clopper and Pearson (1934).

    Examples
    --------
    >>> round(lower_bound(59, 59), 3), lower_bound(0, 10)
    (0.95, 0.0)
    """
    if right == 0:
        return 0.0
    low, high = 0.0, right / count
    for _ in range(50):
        middle = (low + high) / 2
        if middle > 0 and p_value(right, count, middle) > DELTA:
            high = middle
        else:
            low = middle
    return low
