"""From outcomes to the rows that `evaluate` and `bench` print: every figure with its interval and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.evaluation.cross_validation import Kind, Outcome
from premodel.evaluation.stand_ins import serves_one
from premodel.records import Criterion, Timing
from premodel.runtime.conditions import WHEN_IDLE
from premodel.stats import best_single, geometric_mean, macro_scores, mix_at, paired_bootstrap, wilson
from premodel.training.labels import optimum
from premodel.training.objective import Objective
from premodel.training.simulate import NOBODY
from premodel.training.tables import Tables
from premodel.verdict import Verdict

Floats = NDArray[np.float64]
LONGER = "give more time, or an idle machine"
"""What to do about INVALID timings of real runs."""


@dataclass(frozen=True)
class Row:
    """One line of a comparison; `to_json` gives the keys of design section 7 and the further ones.

    Attributes
    ----------
    accuracy, accuracy_ci:
        Share of answers that are right by the criterion, with its 95 % Wilson interval; of a graded criterion the mean
        score, with its bootstrap interval.
    coverage:
        Share of samples that got an answer.
    latency_ms, latency_p50_ms, latency_p99_ms:
        End to end; mean, median and 99th percentile over samples. None where only the mean is known.
    speedup_vs_best:
        Latency of the best single candidate by this latency.
    gain_points_vs_best, gain_ci:
        Accuracy minus the best single candidate's in points, with its paired bootstrap interval.
    gain_points_vs_mix, mix_ci:
        The same against the random mix of single candidates at equal latency; in `extra`, of premodels.
    share:
        Share of samples that each candidate ran on.
    samples:
        Behind the figures.
    served:
        Share of samples whose answer each candidate gave; "fused" and "abstained" where they occur.
    timing:
        VALID, or INVALID with the reason, where the row rests on one timing record; else empty.
    """

    name: str
    kind: Kind
    policy: str
    accuracy: float
    accuracy_ci: tuple[float, float]
    coverage: float
    latency_ms: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    speedup_vs_best: float
    gain_points_vs_best: float
    gain_ci: tuple[float, float]
    share: dict[str, float]
    samples: int
    served: dict[str, float] = field(default_factory=dict)
    timing: Timing | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def comparison(self) -> Verdict | None:
        """Against the best single candidate, and of one that chooses against the random mix; None of a single one."""
        if self.kind == "single":
            return None
        return Verdict(
            self.samples,
            self.speedup_vs_best,
            self.gain_points_vs_best,
            self.gain_ci,
            self.extra.get("gain_points_vs_mix") if self.chooses else None,
            self.extra.get("mix_ci") if self.chooses else None,
            self.extra.get("speedup_ci"),
            serves_one=self.kind == "premodel" and not self.chooses,
        )

    @property
    def chooses(self) -> bool:
        """Does it choose per input; not if it ran one candidate, always the same, others only where that failed."""
        if "chooses" in self.extra:
            return bool(self.extra["chooses"])
        ran = [share for share in self.share.values() if share > 0]
        return not (len(ran) == 1 and ran[0] == 1 and self.coverage == 1)

    @property
    def verdict(self) -> str:
        """The comparison in short, and whether the timing is VALID; if not, why."""
        return self.shown_verdict + ("" if self.timing is None or self.timing.valid else f": {self.timing.reason}")

    @property
    def shown_verdict(self) -> str:
        """The same for a table, which states below why a timing is not VALID, see `invalid_reasons`."""
        words = [] if self.comparison is None else [self.comparison.short]
        if self.timing is not None:
            words.append("VALID" if self.timing.valid else "latency INVALID")
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """One flat JSON object, with the comparison as an object of its own."""
        data = asdict(self)
        further = {name: data.pop(name) for name in ("samples", "served")}
        extra = data.pop("extra")
        del data["timing"]
        found = None if self.comparison is None else self.comparison.to_json()
        return {**data, "verdict": self.verdict, "comparison": found, **further, **extra}


@dataclass(frozen=True, eq=False)
class Singles:
    """The single candidates that everything is compared with.

    Attributes
    ----------
    names, correct, latency_ms:
        m names, (n, m) of scores, 0 or 1 where answers are right or wrong, and float64 (m,) end to end.
    sample_ms:
        float64 (n, m), end to end on each sample; None where a candidate takes the same for all.
    graded:
        Are the scores more than right or wrong.
    best:
        The most accurate; ties by lower latency. It is chosen on the samples it is judged on, which favours it.
    """

    names: tuple[str, ...]
    correct: NDArray[Any]
    latency_ms: Floats
    sample_ms: Floats | None = None
    graded: bool = False

    @classmethod
    def of(cls, tables: Tables, criterion: Criterion) -> Singles:
        """The single candidates of a profile."""
        sample_ms = None if tables.sample_ms is None else tables.decode_ms + tables.sample_ms
        graded = criterion in tables.graded
        return cls(tables.candidates, tables.score(criterion), tables.end_to_end_ms(), sample_ms, graded)

    @property
    def accuracy(self) -> Floats:
        """float64 (m,)."""
        return np.asarray(self.correct.mean(axis=0), dtype=np.float64)

    @property
    def best(self) -> int:
        """Index of the best single candidate."""
        return best_single(self.accuracy, self.latency_ms)

    def latency_of(self, column: NDArray[np.intp] | int) -> Floats:
        """float64 (n,): end to end of one candidate for all samples, or of the one given for each."""
        rows = np.arange(len(self.correct))
        if self.sample_ms is None:
            return np.asarray(self.latency_ms[np.broadcast_to(column, rows.shape)], dtype=np.float64)
        return np.asarray(self.sample_ms[rows, column], dtype=np.float64)

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
    percentiles: bool = True,
) -> dict[str, Any]:
    """The figures that every row has: accuracy, latency and both comparisons, as keyword arguments of Row.

    Parameters
    ----------
    percentiles:
        Do the latencies differ from sample to sample; where all are one mean, its percentiles would be the mean too.
    """
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
        "accuracy_ci": paired_bootstrap(right, seed=seed) if singles.graded else wilson(round(float(right.sum())), n),
        "latency_ms": mean_ms,
        "latency_p50_ms": float(np.quantile(latency_ms, 0.5)) if percentiles else None,
        "latency_p99_ms": float(np.quantile(latency_ms, 0.99)) if percentiles else None,
        "speedup_vs_best": speedup,
        "gain_points_vs_best": gain,
        "gain_ci": gain_ci,
        "samples": n,
        "extra": {} if mix_gain is None else {"gain_points_vs_mix": mix_gain, "mix_ci": mix_ci},
    }


def optimum_column(tables: Tables, criterion: Criterion) -> NDArray[np.intp]:
    """intp (n,): the cheapest right candidate of each sample, -1 where none is right."""
    yes = optimum(tables.score(criterion), tables.latency_ms if tables.sample_ms is None else tables.sample_ms)
    return np.where(yes.any(axis=1), yes.argmax(axis=1), -1)


def outcome_row(outcome: Outcome, tables: Tables, criterion: Criterion, singles: Singles, *, seed: int = 0) -> Row:
    """The row of a cross-validated method."""
    method = outcome.method
    score = outcome.score
    differ = tables.sample_ms is not None or bool((outcome.ran != outcome.ran[0]).any())
    figures = compare(
        method.name, method.kind, method.policy, score, outcome.latency_ms, singles, seed=seed, percentiles=differ
    )
    served = {
        name: float(np.mean(outcome.source == index))
        for name, index in [*((c, i) for i, c in enumerate(tables.candidates)), ("fused", -1), ("abstained", NOBODY)]
    }
    ideal = optimum_column(tables, criterion)
    folds = outcome.parts
    if method.kind == "premodel":
        one = outcome.fixed or serves_one(tables, criterion, score, outcome.latency_ms, folds)
        figures["extra"] |= {"chooses": not one}
    if tables.label_names:
        precision, recall, f1 = macro_scores(tables.truth, outcome.label)
        figures["extra"] |= {
            "accuracy_top1": float(outcome.top1.mean()),
            "accuracy_top5": float(outcome.top5.mean()),
            "precision_macro": precision,
            "recall_macro": recall,
            "f1_macro": f1,
        }
    figures["extra"] |= {
        "union": float(outcome.union.mean()),
        "optimum_share": float(np.mean(np.where(ideal < 0, outcome.source == NOBODY, outcome.source == ideal))),
        "accuracy_geomean_folds": geometric_mean([float(score[fold].mean()) for fold in folds]),
        "latency_geomean_folds_ms": geometric_mean([float(outcome.latency_ms[fold].mean()) for fold in folds]),
        "candidates_by_fold": [list(names) for names in outcome.candidates],
    }
    return Row(
        **figures,
        coverage=float(np.mean(outcome.label >= 0)),
        share={name: float(outcome.ran[:, index].mean()) for index, name in enumerate(tables.candidates)},
        served={name: share for name, share in served.items() if share > 0},
    )


def describe(row: Row, rows: Sequence[Row]) -> str:
    """What a row comes to, against the best single candidate among `rows`: the sentence of every command.

    Raises
    ------
    OptionError
        There is no single candidate.
    """
    return compared(row, rows) + _invalid_singles(rows)


def compared(row: Row, rows: Sequence[Row]) -> str:
    """The same without the words on INVALID timings, which are those of all rows; raises as `describe`."""
    found = row.comparison
    if found is None:
        raise OptionError("a single candidate is compared with nothing", given=row.name)
    return f"{_figures(row)}: {found.sentence(f'the best single candidate {_figures(best_single_row(rows))}')}"


def _invalid_singles(rows: Sequence[Row]) -> str:
    """The words on the timings that all rows rest on."""
    singles = [one for one in rows if one.kind == "single"]
    invalid = [one.name for one in singles if one.timing is not None and not one.timing.valid]
    invalid += ["decode"] if any(one.extra.get("decode_valid") is False for one in singles) else []
    here = any("runs" in one.extra for one in singles)
    return invalid_note(invalid, LONGER) if here else invalid_note(invalid)


def invalid_note(
    names: Sequence[str], do: str = f"measure them again with premodel profile --retime {WHEN_IDLE}"
) -> str:
    """The words on timings that are INVALID, with a space before them; empty if there are none."""
    return f" The latencies rest on INVALID timings ({', '.join(names)}): {do}." if names else ""


def invalid_reasons(rows: Sequence[Row]) -> list[str]:
    """Why timings of rows are not VALID, a line each: what stands below their table."""
    bad = {row.name: row.timing for row in rows if row.timing is not None and not row.timing.valid}
    return [f"latency of {name} is INVALID: {timing.reason}" for name, timing in bad.items()]


def headline(rows: Sequence[Row]) -> str:
    """The first line of a report: what every premodel comes to, those that are worse first, else as given."""
    premodels = [row for row in rows if row.kind == "premodel"]
    if not premodels or not any(row.kind == "single" for row in rows):
        return "nothing to compare"
    ranked = sorted(premodels, key=_is_worse, reverse=True)
    return " ".join(compared(row, rows) for row in ranked) + _invalid_singles(rows)


def best_single_row(rows: Sequence[Row]) -> Row:
    """The most accurate single candidate; ties by lower latency.

    Raises
    ------
    OptionError
        There is none.
    """
    singles = [row for row in rows if row.kind == "single"]
    if not singles:
        raise OptionError("nothing to compare with", given="no single candidate")
    accuracy, latency_ms = np.array([(row.accuracy, row.latency_ms) for row in singles]).T
    return singles[best_single(accuracy, latency_ms)]


def best_premodel(rows: Sequence[Row], objective: Objective) -> Row:
    """The premodel that the objective prefers, by its cross-validated figures; if none meets it, the nearest.

    Raises
    ------
    OptionError
        There is none.

    Notes
    -----
    The choice among the premodels is made on the samples they are judged on, which favours the chosen one; with two or
    three to choose from by little.
    """
    premodels = [row for row in rows if row.kind == "premodel"]
    if not premodels:
        raise OptionError("nothing to report", given="no premodel")
    accuracy = np.array([row.accuracy for row in premodels])
    latency_ms = np.array([row.latency_ms for row in premodels])
    chosen = objective.choose(accuracy, latency_ms, best_single_row(rows).accuracy)
    return premodels[objective.nearest(accuracy, latency_ms) if chosen is None else chosen]


def _figures(row: Row) -> str:
    return f"{row.name} ({100 * row.accuracy:.1f} % at {row.latency_ms:.2f} ms)"


def _is_worse(row: Row) -> bool:
    return row.comparison is not None and row.comparison.outcome == "worse"


def _points(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]
