"""Model selection: which candidates the premodel may use (paper section 3.2, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.training.labels import optimum

THETA = 0.5
"""The paper's threshold, in points of accuracy."""


@dataclass(frozen=True)
class Step:
    """One round of Algorithm 1.

    Attributes
    ----------
    candidate:
        Name of the candidate that was looked at: the best of its round.
    failures_before:
        Samples on which every candidate chosen before fails; all samples in the first round.
    accuracy_on_failures:
        Its accuracy on those, in [0, 1]; NaN if there are none.
    gain_points:
        What it adds to the accuracy of the union, in points of all samples.
    coverage_after:
        Accuracy of the union with it, in [0, 1].
    added:
        False for the round that stopped the algorithm.
    """

    candidate: str
    failures_before: int
    accuracy_on_failures: float
    gain_points: float
    coverage_after: float
    added: bool

    def __str__(self) -> str:
        verb = "added" if self.added else "not added"
        return (
            f"{self.candidate}: right on {100 * self.accuracy_on_failures:.2f} % of {self.failures_before} failures, "
            f"gain {self.gain_points:.2f} points to {100 * self.coverage_after:.2f} %, {verb}"
        )


@dataclass(frozen=True)
class ModelSelection:
    """The outcome of Algorithm 1 and how it came about.

    Attributes
    ----------
    chosen:
        Column of each chosen candidate, in the order they were added: the order of the chain.
    steps:
        Every round; the last may be one that added nothing.
    stopped:
        Why it ended, in words.
    optimum_share:
        Share of all samples on which each candidate of the zoo is the optimum, in order (paper Figure 5).
    theta:
        Threshold in points.
    samples:
        Number of samples it was done on.
    """

    chosen: tuple[int, ...]
    steps: tuple[Step, ...]
    stopped: str
    optimum_share: tuple[float, ...]
    theta: float
    samples: int


def select_models(
    score: NDArray[Any],
    latency_ms: NDArray[np.float64],
    names: Sequence[str],
    theta: float = THETA,
    limit: int | None = None,
) -> ModelSelection:
    """Choose candidates by Algorithm 1.

    The first is the optimum of most samples. Each further one is the most accurate on the samples where all chosen so
    far fail. It ends when the gain is below theta, when nothing is gained, when no failures or no candidates are left,
    or at `limit` candidates.

    Parameters
    ----------
    score:
        (n, m), was the candidate right, top-1 or top-5 by how it was made; or how good its answer was, in [0, 1]: a
        failure is then what is less than perfect, and a gain what the best of the chosen becomes better by.
    latency_ms:
        float64 (m,).
    names:
        Candidate names, m, for the training summary.
    theta:
        Least gain, in points of accuracy over all samples, for which a candidate is added; 0 or more.
    limit:
        Most candidates to choose; None for no limit.

    Raises
    ------
    OptionError
        No samples, a negative theta, or a limit below 1.

    Notes
    -----
    Ties, in the number of optima and in accuracy alike, go to the lower latency, then to the earlier candidate.

    The paper's pseudo-code adds a candidate and then tests its gain, so the last one added would be below theta. Its
    text does not: a fourth model that gains less than 0.5 is not among its three. This follows the text. The
    pseudo-code also sets the first difference to 100, which only means that the loop is entered.

    A gain of exactly theta is enough. A candidate that gains nothing is never added, also with theta 0.

    Examples
    --------
    Of five samples `small` answers three rightly, `large` two of those and one more. `middle` adds nothing to them.

    >>> correct = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    >>> found = select_models(correct, np.array([1.0, 2.0, 4.0]), ["small", "middle", "large"])
    >>> found.chosen
    (0, 2)
    >>> for line in found.steps:
    ...     print(line)
    small: right on 60.00 % of 5 failures, gain 60.00 points to 60.00 %, added
    large: right on 50.00 % of 2 failures, gain 20.00 points to 80.00 %, added
    middle: right on 0.00 % of 1 failures, gain 0.00 points to 80.00 %, not added
    >>> found.stopped
    'no candidate left is right on any of the 1 failures'
    """
    n, m = score.shape
    score = score.astype(np.float64)
    if n == 0:
        raise OptionError("no samples to select models on", given=0, allowed="1 or more")
    if not theta >= 0:
        raise OptionError("theta is not a threshold in points", given=theta, allowed="0 or more")
    if limit is not None and limit < 1:
        raise OptionError("a limit on candidates that allows none", given=limit, allowed="1 or more")
    optima = optimum(score, latency_ms).sum(axis=0)
    chosen = [_best(optima, latency_ms, range(m))]
    reached = score[:, chosen[0]].copy()
    gained = float(reached.sum())
    steps = [Step(names[chosen[0]], n, gained / n, 100 * gained / n, gained / n, added=True)]
    while True:
        left = [candidate for candidate in range(m) if candidate not in chosen]
        failing = reached < 1
        failures = int(failing.sum())
        if not failures:
            stopped = "no failures are left"
            break
        if not left:
            stopped = "no candidates are left"
            break
        if limit is not None and len(chosen) >= limit:
            stopped = f"the limit of {limit} candidates is reached"
            break
        hits = np.maximum(score[failing] - reached[failing, None], 0).sum(axis=0)
        best = _best(hits, latency_ms, left)
        gained = float(hits[best])
        gain = 100 * gained / n
        enough = gained > 0 and gain >= theta
        steps.append(
            Step(names[best], failures, gained / failures, gain, (float(reached.sum()) + gained) / n, added=enough)
        )
        if not enough:
            stopped = (
                f"{names[best]} would gain {gain:.2f} points, below theta {theta:g}"
                if gained
                else f"no candidate left is right on any of the {failures} failures"
            )
            break
        chosen.append(best)
        np.maximum(reached, score[:, best], out=reached)
    shares = tuple(float(count) / n for count in optima)
    return ModelSelection(tuple(chosen), tuple(steps), stopped, shares, theta, n)


def _best(counts: NDArray[Any], latency_ms: NDArray[np.float64], among: Sequence[int]) -> int:
    """The candidate with the greatest count; ties by lower latency, then by order."""
    return min(among, key=lambda candidate: (-float(counts[candidate]), float(latency_ms[candidate]), candidate))
