"""From outcomes to the rows that `evaluate` and `bench` print: every figure with its interval and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.cross_validation import Kind, Outcome
from premodel.records import Criterion
from premodel.stats import best_single, geometric_mean, macro_scores, mix_at, paired_bootstrap, wilson
from premodel.training.labels import optimum
from premodel.training.simulate import NOBODY
from premodel.training.tables import Tables

ROUNDS_TO_NOTHING = 0.05
"""Points; a smaller difference is printed as 0.0, so it is called neither won nor lost."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One line of a comparison; `to_json` gives the keys of design section 7 and the further ones.

    Attributes
    ----------
    accuracy, accuracy_ci:
        Share of answers that are right by the criterion, with its 95 % Wilson interval.
    coverage:
        Share of samples that got an answer.
    latency_ms, latency_p50_ms, latency_p99_ms:
        End to end; mean, median and 99th percentile over samples.
    speedup_vs_best:
        Latency of the best single candidate by this latency.
    gain_points_vs_best, gain_ci:
        Accuracy minus the best single candidate's in points, with its paired bootstrap interval.
    gain_points_vs_mix, mix_ci:
        The same against the random mix of single candidates at equal latency.
    share:
        Share of samples that each candidate ran on.
    served:
        Share of samples whose answer each candidate gave; "fused" and "abstained" where they occur.
    """

    name: str
    kind: Kind
    policy: str
    accuracy: float
    accuracy_ci: tuple[float, float]
    coverage: float
    latency_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    speedup_vs_best: float
    gain_points_vs_best: float
    gain_ci: tuple[float, float]
    share: dict[str, float]
    verdict: str
    served: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One flat JSON object."""
        data = asdict(self)
        return {**{key: value for key, value in data.items() if key != "extra"}, **data["extra"]}


def verdict(
    kind: Kind,
    gain_ci: tuple[float, float],
    gain: float,
    speedup: float,
    mix_gain: float | None = None,
    mix_ci: tuple[float, float] | None = None,
) -> str:
    """What the intervals allow to be said against the best single candidate and the random mix.

    A word of winning needs an interval wholly above 0, a word of losing one wholly below; and either a difference that
    does not round to 0.0 points.
    """
    if kind == "single":
        return ""
    outcome = _surely(gain, gain_ci)
    if outcome > 0:
        against_best = "more accurate" + (
            f", {speedup:.2f}x faster" if speedup >= 1 else f", {1 / speedup:.2f}x slower"
        )
    elif outcome < 0:
        against_best = f"less accurate, {speedup:.2f}x faster" if speedup >= 1 else "less accurate and slower"
    elif speedup > 1:
        against_best = f"{speedup:.2f}x faster, " + ("no loss measured" if gain >= 0 else "loss not shown")
    else:
        against_best = "no gain"
    if mix_gain is None or mix_ci is None:
        return against_best
    outcome = _surely(mix_gain, mix_ci)
    if outcome > 0:
        return f"{against_best}; above random mix"
    if outcome < 0:
        return f"{against_best}; LOSES to random mix by {-mix_gain:.1f} points"
    return f"{against_best}; not told apart from random mix"


@dataclass(frozen=True, eq=False)
class Singles:
    """The single candidates that everything is compared with.

    Attributes
    ----------
    names, correct, latency_ms:
        m names, bool (n, m) and float64 (m,) end to end.
    best:
        The most accurate; ties by lower latency. It is chosen on the samples it is judged on, which favours it.
    """

    names: tuple[str, ...]
    correct: NDArray[np.bool_]
    latency_ms: Floats

    @classmethod
    def of(cls, tables: Tables, criterion: Criterion) -> Singles:
        """The single candidates of a profile."""
        return cls(tables.candidates, tables.correct(criterion), tables.end_to_end_ms())

    @property
    def accuracy(self) -> Floats:
        """float64 (m,)."""
        return np.asarray(self.correct.mean(axis=0), dtype=np.float64)

    @property
    def best(self) -> int:
        """Index of the best single candidate."""
        return best_single(self.accuracy, self.latency_ms)

    def mix(self, at_ms: float) -> tuple[Floats, str]:
        """Expected correctness (n,) of the random mix at a mean latency, and what is mixed."""
        a, b, share = mix_at(self.latency_ms, self.accuracy, at_ms)
        expected = (1 - share) * self.correct[:, a] + share * self.correct[:, b]
        what = (
            self.names[a]
            if a == b
            else f"{100 - 100 * share:.0f} % {self.names[a]}, {100 * share:.0f} % {self.names[b]}"
        )
        return np.asarray(expected, dtype=np.float64), what


def compare(
    name: str,
    kind: Kind,
    policy: str,
    correct: NDArray[np.bool_] | Floats,
    latency_ms: Floats,
    singles: Singles,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures that every row has: accuracy, latency and both comparisons, as keyword arguments of Row."""
    right = np.asarray(correct, dtype=np.float64)
    n = len(right)
    mean_ms = float(latency_ms.mean())
    against = right - singles.correct[:, singles.best]
    gain, gain_ci = 100 * float(against.mean()), _points(paired_bootstrap(against, seed=seed))
    speedup = float(singles.latency_ms[singles.best]) / mean_ms
    mix_gain, mix_ci = None, None
    if kind == "premodel":
        over = right - singles.mix(mean_ms)[0]
        mix_gain, mix_ci = 100 * float(over.mean()), _points(paired_bootstrap(over, seed=seed))
    return {
        "name": name,
        "kind": kind,
        "policy": policy,
        "accuracy": float(right.mean()),
        "accuracy_ci": wilson(round(float(right.sum())), n),
        "latency_ms": mean_ms,
        "latency_p50_ms": float(np.quantile(latency_ms, 0.5)),
        "latency_p99_ms": float(np.quantile(latency_ms, 0.99)),
        "speedup_vs_best": speedup,
        "gain_points_vs_best": gain,
        "gain_ci": gain_ci,
        "verdict": verdict(kind, gain_ci, gain, speedup, mix_gain, mix_ci),
        "extra": {} if mix_gain is None else {"gain_points_vs_mix": mix_gain, "mix_ci": mix_ci},
    }


def optimum_column(tables: Tables, criterion: Criterion) -> NDArray[np.intp]:
    """intp (n,): the cheapest right candidate of each sample, -1 where none is right."""
    yes = optimum(tables.correct(criterion), tables.latency_ms)
    return np.where(yes.any(axis=1), yes.argmax(axis=1), -1)


def outcome_row(outcome: Outcome, tables: Tables, criterion: Criterion, singles: Singles, *, seed: int = 0) -> Row:
    """The row of a cross-validated method."""
    method = outcome.method
    correct = outcome.correct(criterion)
    figures = compare(method.name, method.kind, method.policy, correct, outcome.latency_ms, singles, seed=seed)
    served = {
        name: float(np.mean(outcome.source == index))
        for name, index in [*((c, i) for i, c in enumerate(tables.candidates)), ("fused", -1), ("abstained", NOBODY)]
    }
    precision, recall, f1 = macro_scores(tables.truth, outcome.label)
    ideal = optimum_column(tables, criterion)
    folds = [outcome.fold == number for number in range(int(outcome.fold.max()) + 1)]
    figures["extra"] |= {
        "accuracy_top1": float(outcome.top1.mean()),
        "accuracy_top5": float(outcome.top5.mean()),
        "precision_macro": precision,
        "recall_macro": recall,
        "f1_macro": f1,
        "union": float(outcome.union.mean()),
        "optimum_share": float(np.mean(np.where(ideal < 0, outcome.source == NOBODY, outcome.source == ideal))),
        "accuracy_geomean_folds": geometric_mean([float(correct[fold].mean()) for fold in folds]),
        "latency_geomean_folds_ms": geometric_mean([float(outcome.latency_ms[fold].mean()) for fold in folds]),
        "candidates_by_fold": [list(names) for names in outcome.candidates],
    }
    return Row(
        **figures,
        coverage=float(np.mean(outcome.label >= 0)),
        share={name: float(outcome.ran[:, index].mean()) for index, name in enumerate(tables.candidates)},
        served={name: share for name, share in served.items() if share > 0},
    )


def headline(rows: Sequence[Row]) -> str:
    """The first line of a report: the premodels' results in one sentence, those that lose first, else as given."""
    premodels = [row for row in rows if row.kind == "premodel"]
    singles = [row for row in rows if row.kind == "single"]
    if not premodels or not singles:
        return "nothing to compare"
    accuracy, latency_ms = np.array([(row.accuracy, row.latency_ms) for row in singles]).T
    best = singles[best_single(accuracy, latency_ms)]
    parts = [
        f"{row.name}: {row.verdict} ({100 * row.accuracy:.1f} % at {row.latency_ms:.2f} ms, "
        f"gain {row.gain_points_vs_best:+.1f} points [{row.gain_ci[0]:+.1f}, {row.gain_ci[1]:+.1f}])"
        for row in sorted(premodels, key=_loses, reverse=True)
    ]
    against = f"the best single candidate, {best.name}, has {100 * best.accuracy:.1f} % at {best.latency_ms:.2f} ms"
    return "; ".join(parts) + f"; {against}"


def _loses(row: Row) -> bool:
    """Is it surely worse than the best single candidate or the random mix."""
    worse = _surely(row.gain_points_vs_best, row.gain_ci) < 0
    return worse or ("mix_ci" in row.extra and _surely(row.extra["gain_points_vs_mix"], row.extra["mix_ci"]) < 0)


def _surely(gain: float, interval: tuple[float, float]) -> int:
    """1 where a gain in points is surely won, -1 where it is surely lost, else 0."""
    if abs(gain) < ROUNDS_TO_NOTHING:
        return 0
    return 1 if interval[0] > 0 else -1 if interval[1] < 0 else 0


def _points(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]
