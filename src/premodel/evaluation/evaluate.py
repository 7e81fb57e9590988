"""Cross-validated evaluation of premodels beside every baseline: profile -> rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from premodel.domains.base import MEASURED_TASK
from premodel.evaluation.baselines import baseline_methods, mix_row, oracle_row, single_rows
from premodel.evaluation.cross_validation import Method, Outcome, cross_validate, premodel_method
from premodel.evaluation.degenerate import degenerate_cases
from premodel.evaluation.final_test import LARGE_GAP, packaged_policy
from premodel.evaluation.originals import beside_original, siblings_of
from premodel.evaluation.routing import Routing, routing_curve
from premodel.evaluation.rows import Row, Singles, best_single_row, headline, outcome_row
from premodel.records import Criterion
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from premodel.verdict import MIN_SAMPLES

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The whole comparison.

    Attributes
    ----------
    criterion, samples, folds, seed:
        What was asked for, and how many samples there were.
    rows:
        Singles, baselines and premodels, all on the same samples and folds.
    outcomes:
        Per sample, for the methods that were cross-validated.
    conditions:
        Of the profile behind it.
    warnings:
        What makes the profile unfit for a comparison; to be said first.
    originals:
        Where the zoo holds siblings: the best of them alone and every premodel against the best original, in words.
    routing:
        Of answers measured elsewhere by two candidates: accuracy over the share of calls to the stronger one.
    """

    criterion: Criterion
    samples: int
    folds: int
    seed: int
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    conditions: Mapping[str, object]
    warnings: tuple[str, ...] = ()
    originals: tuple[str, ...] = ()
    routing: Routing | None = None

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        return headline(self.rows)

    @property
    def hint(self) -> str:
        """Where the candidates together know far more than any alone and no premodel uses it: how to ask for it."""
        premodels = [row for row in self.rows if row.kind == "premodel"]
        oracle = next((row for row in self.rows if row.policy == "oracle"), None)
        if oracle is None or self.samples < MIN_SAMPLES or oracle.gain_ci[0] <= LARGE_GAP:
            return ""
        if any(row.comparison is not None and row.comparison.accuracy == "higher" for row in premodels):
            return ""
        best = best_single_row(self.rows)
        return (
            f"Some candidate is right on {100 * oracle.accuracy:.1f} % of the samples, {best.name} alone on "
            f"{100 * best.accuracy:.1f} %: premodel doctor states what of that a policy reaches, and --cost-weight 0 "
            "trains for it."
        )

    def to_json(self) -> dict[str, Any]:
        """The object that `evaluate --json` prints."""
        return {
            "criterion": self.criterion,
            "samples": self.samples,
            "folds": self.folds,
            "seed": self.seed,
            "headline": self.headline,
            "hint": self.hint,
            "originals": list(self.originals),
            "warnings": list(self.warnings),
            "rows": [row.to_json() for row in self.rows],
            **({} if self.routing is None else {"routing": asdict(self.routing)}),
            "conditions": dict(self.conditions),
        }


def permuted_method(method: Method) -> Method:
    """The same method with zero information in its features."""
    return Method(f"{method.name}, permuted features", "baseline", method.policy, method.fit, permute_features=True)


def evaluate(
    tables: Tables,
    premodels: Mapping[str, TrainOptions],
    *,
    criterion: Criterion = "top1",
    folds: int = 10,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Cross-validate premodels and baselines on the same folds.

    Parameters
    ----------
    tables:
        The profile.
    premodels:
        Training options by the name of their row.
    criterion, folds, seed:
        Of the cross-validation; the options' own criterion must be the same.
    workers:
        Processes that train premodels.
    progress:
        Called with (done, total, name of the method).

    Raises
    ------
    OptionError
        Fewer samples than folds, a criterion the labels do not allow, or options that training refuses.

    Notes
    -----
    Of policy `auto` each fold serves what `train` would package: one candidate alone where the final test on the
    training rows takes the choice back. A premodel that reads features is evaluated a second time on permuted features:
    what it would do with no information at all. The comparison with the random mix is made at the premodel's own mean
    latency.
    """
    singles = Singles.of(tables, criterion)

    def validate(methods: Sequence[Method], workers: int = 1) -> list[Outcome]:
        return cross_validate(
            tables, methods, criterion=criterion, folds=folds, seed=seed, workers=workers, progress=progress
        )

    plain = validate(baseline_methods(criterion))
    chosen = validate([premodel_method(name, options, packaged_policy) for name, options in premodels.items()], workers)
    permuted = validate([permuted_method(outcome.method) for outcome in chosen if outcome.reads_features], workers)
    outcomes = [*plain, *permuted, *chosen]
    fitted = [outcome_row(outcome, tables, criterion, singles, seed=seed) for outcome in outcomes]
    mixes = [mix_row(row, singles, seed=seed) for row in fitted if row.kind == "premodel"]
    rows = [
        *single_rows(tables, singles, seed=seed),
        *mixes,
        oracle_row(tables, criterion, singles, seed=seed),
        *fitted,
    ]
    served = {one.method.name: (one.score, float(one.latency_ms.mean())) for one in chosen}
    return Evaluation(
        criterion,
        len(tables),
        folds,
        seed,
        tuple(rows),
        tuple(outcomes),
        tables.conditions,
        degenerate_cases(tables, criterion),
        beside_original(singles, siblings_of(tables), served, seed=seed),
        routing_curve(tables, criterion, folds=folds, seed=seed) if tables.task == MEASURED_TASK else None,
    )
