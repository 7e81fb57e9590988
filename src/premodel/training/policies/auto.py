"""Policy by name `auto`: nested cross-validation among all policies, with "just run one alone" as an answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from premodel.errors import OptionError
from premodel.stats import Z_95, best_single, paired_bootstrap
from premodel.training.folds import Fold, stratified_folds, stratified_subsample
from premodel.training.objective import Objective
from premodel.training.options import DEFAULT_POLICY, TrainOptions
from premodel.training.policies.comparison import FOLDS, AutoRecord, Entrant, EntrantRecord, Floats
from premodel.training.policies.single import TRAINER as SINGLE
from premodel.training.policies.single import order_of, with_stand_ins
from premodel.training.record import Trained
from premodel.training.simulate import served_score, simulate, tried_ms
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer
from premodel.verdict import MIN_SAMPLES, Verdict, too_few_samples

MAX_ROWS = 6_000
"""Most samples that policies are compared on."""
FEATURE_SAMPLES = 500
"""Most samples that features are scored on while policies are compared: the time of it grows with their square."""
ERRORS_TO_GIVE_UP = 2.0
"""Standard errors behind, after which a policy is given up before the last fold."""
ERRORS_TOLERATED = 1.0
"""Standard errors: how far below the floor a policy may be measured, and how far it must beat the single candidate."""


@dataclass(frozen=True, eq=False)
class _Judge:
    """What the objective makes of answers.

    Attributes
    ----------
    objective:
        What is wanted.
    reference:
        float64, was the best single candidate right, fold by fold: what a relative floor is measured from.
    """

    objective: Objective
    reference: list[Floats]

    def value(self, entrant: Entrant) -> Floats:
        """What is to be high, per sample."""
        right, latency_ms = np.concatenate(entrant.right), np.concatenate(entrant.latency_ms)
        if self.objective.cost_weight is not None:
            return np.asarray(right - self.objective.cost_weight * latency_ms)
        if self.objective.deadline_ms is not None:
            return self.objective.timely(right, latency_ms)
        return np.asarray(right if self.objective.min_accuracy is None else -latency_ms)

    @property
    def lower(self) -> str:
        """What it is to have a lower value, in words."""
        if self.objective.cost_weight is not None:
            return "worth less, at the cost weight, than"
        if self.objective.deadline_ms is not None:
            return "less often right in time than"
        return "less accurate than" if self.objective.min_accuracy is None else "slower than"

    def margin(self, entrant: Entrant) -> tuple[float, float]:
        """How far it is above the floor, with its standard error; (inf, 0) without a floor."""
        floor = self.objective.min_accuracy
        if floor is None:
            return math.inf, 0.0
        right = np.concatenate(entrant.right)
        if floor.relative:
            right = right - np.concatenate(self.reference)[: len(right)]
        return _mean(right - floor.value)

    def keeps(self, entrant: Entrant) -> bool:
        """Does it keep floor and ceiling, as far as can be determined."""
        margin, error = self.margin(entrant)
        ceiling_ms = math.inf if self.objective.max_latency_ms is None else self.objective.max_latency_ms
        return (
            margin >= -ERRORS_TOLERATED * error - 1e-12
            and float(np.concatenate(entrant.latency_ms).mean()) <= ceiling_ms
        )

    def lead(self, entrant: Entrant, other: Entrant) -> tuple[float, float]:
        """By how much it is better than another on the samples both served, with its standard error."""
        first, second = self.value(entrant), self.value(other)
        both = min(len(first), len(second))
        return _mean(first[:both] - second[:both])


def trainer(policies: Mapping[str, Trainer]) -> Trainer:
    """The trainer of `auto`: a choice among these, read when it trains, and one candidate alone."""
    summary = "whichever of the others serves the objective best, in nested cross-validation"
    return Trainer(DEFAULT_POLICY, summary, partial(train, policies=policies))


def train(tables: Tables, options: TrainOptions, *, policies: Mapping[str, Trainer]) -> Trained:
    """Train whichever policy serves the objective best, or one candidate alone if none does better.

    A policy whose training cross-fits (`Trained.out_of_fold`) is trained once, and judged by that. Any other is trained
    on four fifths of the rows and serves the fifth left out, for each of five folds, its features scored on at most
    500 samples; it is given up early when it is two standard errors behind. A premodel is chosen if it keeps the floor
    within one standard error, and beats the single candidate that meets the objective by more than one; of several the
    best.

    Notes
    -----
    A floor of accuracy cannot be shown to be met to a tenth of a point with some thousand samples; one standard error
    is tolerated, and the figures are in the training summary. More than 6,000 rows are thinned for the comparison,
    not for the training of the policy chosen.

    Raises
    ------
    OptionError
        An option that only some policies understand, no policy can be trained, or there are too few samples.
    """
    own = "name a policy that has one with --policy"
    options.refuse(technique=own, labels=own, fallback=own)
    # A guarantee is given to the policy chosen, by `guarantee`; one that cannot carry it takes no part.
    guaranteed, options = options.guarantee is not None, dataclasses.replace(options, guarantee=None)
    correct = tables.score(options.criterion)
    right_counts = tables.right_counts(options.criterion)
    if len(tables) < FOLDS:
        raise OptionError("too few samples to compare policies", given=len(tables), allowed=f"{FOLDS} or more")
    rows = stratified_subsample(tables.truth, right_counts, MAX_ROWS, options.seed)
    sample = tables if len(rows) == len(tables) else tables.take(rows)
    folds = stratified_folds(sample.truth, right_counts[rows], FOLDS, options.seed)
    best = best_single(correct.mean(axis=0), tables.latency_ms)
    judge = _Judge(options.objective, [correct[rows][fold.test, best] for fold in folds])
    end_to_end_ms, accuracy = tables.end_to_end_ms(), correct.mean(axis=0)
    accuracy = options.objective.timely(accuracy, end_to_end_ms)
    meets = options.objective.choose(accuracy, end_to_end_ms, float(accuracy.max())) is not None
    single = Entrant(SINGLE)
    others = [
        Entrant(one)
        for one in policies.values()
        if one.chooses
        and (one.has_operating_points or not guaranteed)
        and (tables.feature_names or not one.reads_features)
    ]
    for fold in folds:
        _serve_single(single, sample, fold, options)
    nested = []
    for entrant in others:
        # Those that read features are slow to fit, and do not cross-fit: a first fold may be enough of them.
        if entrant.trainer.reads_features or not _train_once(entrant, sample, folds, options):
            nested.append(entrant)
    for fold in folds:
        # The same tables for all: what one policy computes from them serves the next.
        racing = [entrant for entrant in nested if not entrant.given_up]
        seen, unseen = (sample.take(fold.train), sample.take(fold.test)) if racing else (sample, sample)
        for entrant in racing:
            _serve(entrant, seen, unseen, options)
        if fold is not folds[-1]:
            _give_up([single] if meets else [], others, nested, judge)
    chosen, why = _choose(single, others, judge, meets)
    if len(sample) < MIN_SAMPLES:
        why += f"; {too_few_samples(len(sample))}"
    trained = chosen.trained if sample is tables else None
    if trained is None:
        trained = chosen.trainer.fit(tables, dataclasses.replace(options, policy=chosen.name))
    record = AutoRecord(
        options.objective.describe(),
        len(sample),
        tuple(_record(entrant, single, judge) for entrant in (single, *others)),
        chosen.name,
        why,
        _more_accurate(single, others) if chosen is single else None,
        trained.record,
    )
    return Trained(trained.policy, record, trained.out_of_fold)


def _train_once(entrant: Entrant, sample: Tables, folds: Sequence[Fold], options: TrainOptions) -> bool:
    """Train on all samples; False if the training states nothing about samples that it was not fitted on."""
    try:
        trained = entrant.trainer.fit(sample, dataclasses.replace(options, policy=entrant.name))
    except OptionError as error:
        entrant.given_up = str(error)
        return True
    if trained.out_of_fold is None:
        return False
    entrant.trained = trained
    for fold in folds:
        entrant.right.append(trained.out_of_fold.score[fold.test])
        entrant.latency_ms.append(trained.out_of_fold.latency_ms[fold.test])
    return True


def _serve_single(entrant: Entrant, tables: Tables, fold: Fold, options: TrainOptions) -> None:
    """The single candidate that meets the objective on the training part, or comes nearest, on the rest.

    Where it fails others stand in, as they do when it is served.
    """
    correct, end_to_end_ms = tables.score(options.criterion), tables.end_to_end_ms()
    alone = correct[fold.train].mean(axis=0)
    accuracy = options.objective.timely(alone, end_to_end_ms)
    chosen = options.objective.choose(accuracy, end_to_end_ms, float(accuracy.max()))
    column = options.objective.nearest(accuracy, end_to_end_ms) if chosen is None else chosen
    order = order_of(tables, alone, column, options.objective)
    right, spent_ms = with_stand_ins(tables, options.criterion, order)
    entrant.right.append(right[fold.test])
    entrant.latency_ms.append(tables.decode_ms + spent_ms[fold.test])


def _serve(entrant: Entrant, seen: Tables, test: Tables, options: TrainOptions) -> None:
    """Train a policy on the samples seen and let it serve the test samples; one that refuses is given up."""
    try:
        asked = dataclasses.replace(options, policy=entrant.name, feature_samples=FEATURE_SAMPLES)
        policy = entrant.trainer.fit(seen, asked).policy
    except OptionError as error:
        entrant.given_up = str(error)
        return
    served = simulate(policy, test)
    # Decisions count with their estimate, not as measured: equal training must give an equal bundle.
    entrant.right.append(served_score(test, options.criterion, served))
    entrant.latency_ms.append(tried_ms(test, served) + policy.costs.before_ms)


def _give_up(single: list[Entrant], others: list[Entrant], nested: list[Entrant], judge: _Judge) -> None:
    """Leave out of the nested cross-validation what is clearly behind, so that no more time goes into it."""
    racing = [one for one in others if not one.given_up and one.samples]
    leaders = [*single, *(one for one in racing if judge.keeps(one))]
    for entrant in [one for one in racing if one in nested]:
        margin, error = judge.margin(entrant)
        if margin < -ERRORS_TO_GIVE_UP * error:
            entrant.given_up = "given up: clearly below the floor"
            continue
        for leader in leaders:
            behind, error = judge.lead(leader, entrant)
            if leader is not entrant and behind > ERRORS_TO_GIVE_UP * error:
                entrant.given_up = f"given up: clearly {judge.lower} {leader.name}"
                break


def _choose(single: Entrant, others: list[Entrant], judge: _Judge, meets: bool) -> tuple[Entrant, str]:
    """The policy chosen, and why; `meets` if a single candidate meets the objective on all rows."""
    racing = [one for one in others if not one.given_up and one.samples]
    keeping = [one for one in racing if judge.keeps(one)]
    if meets:
        better = []
        for one in keeping:
            lead, error = judge.lead(one, single)
            if lead > ERRORS_TOLERATED * error:
                better.append(one)
        if not better:
            return single, "no premodel does better than one candidate alone" + _near(single, racing, judge)
        return max(better, key=lambda one: float(judge.value(one).mean())), "it beats one candidate alone"
    if keeping:
        return max(keeping, key=lambda one: float(judge.value(one).mean())), "one candidate alone misses the objective"
    # One that was given up as clearly below the floor may be the nearest of all that are.
    served = [one for one in others if one.samples]
    if not served:
        return single, "no premodel could be trained"
    served.append(single)
    accuracy = np.array([np.concatenate(one.right).mean() for one in served])
    latency_ms = np.array([np.concatenate(one.latency_ms).mean() for one in served])
    nearest = served[judge.objective.nearest(accuracy, latency_ms)]
    return nearest, "nothing meets the objective, this comes nearest"


def _near(single: Entrant, racing: list[Entrant], judge: _Judge) -> str:
    """The nearest of those that miss the floor by no more than chance may do, and how to have it; "" if there is none.

    Another cross-fit, as that of `premodel doctor`, may find the same policy to keep the floor.
    """
    found = []
    for one in racing:
        (margin, error), (lead, lead_error) = judge.margin(one), judge.lead(one, single)
        if -Z_95 * error <= margin < -ERRORS_TOLERATED * error and lead > ERRORS_TOLERATED * lead_error:
            speedup = float(np.concatenate(single.latency_ms).mean() / np.concatenate(one.latency_ms).mean())
            found.append((margin / error, one.name, speedup, margin, error))
    if not found:
        return ""
    _, name, speedup, margin, error = max(found)
    return (
        f" at this floor; {name} is {speedup:.2f}x faster and {-100 * margin:.2f} points below it, standard error "
        f"{100 * error:.2f}, of which one is tolerated: the samples cannot decide, --policy {name} takes it"
    )


def _more_accurate(single: Entrant, others: list[Entrant]) -> str | None:
    """The most accurate policy of those shown to be more accurate than one candidate alone, and what it costs."""
    found = []
    for one in others:
        if one.given_up or not one.samples:
            continue
        difference = np.concatenate(one.right) - np.concatenate(single.right)[: one.samples]
        low, high = paired_bootstrap(difference)
        speedup = float(np.concatenate(single.latency_ms).mean() / np.concatenate(one.latency_ms).mean())
        verdict = Verdict(one.samples, speedup, 100 * float(difference.mean()), (100 * low, 100 * high))
        if verdict.accuracy == "higher":
            found.append((verdict, one.name))
    if not found:
        return None
    verdict, name = max(found, key=lambda pair: pair[0].gain)
    return f"for a higher accuracy: {name}, {verdict.sentence('one candidate alone')} Ask with --cost-weight 0."


def _record(entrant: Entrant, single: Entrant, judge: _Judge) -> EntrantRecord:
    """The figures of one policy."""
    given_up = entrant.given_up or None
    if not entrant.samples:
        return EntrantRecord(entrant.name, 0, given_up=given_up)
    right, latency_ms = np.concatenate(entrant.right), np.concatenate(entrant.latency_ms)
    gain, error = _mean(right - np.concatenate(single.right)[: len(right)])
    return EntrantRecord(
        entrant.name,
        len(right),
        float(right.mean()),
        float(latency_ms.mean()),
        100 * gain,
        100 * error,
        judge.keeps(entrant),
        given_up,
    )


def _mean(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))
