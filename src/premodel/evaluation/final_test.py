"""The final test of what was trained: is it better than every single candidate, on samples it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.evaluation.final_test_record import Beside, FinalTest, Rival
from premodel.evaluation.on_time import compare_on_time
from premodel.evaluation.originals import sibling_alone, siblings_of
from premodel.evaluation.rows import Singles
from premodel.evaluation.stand_ins import served_alone, serves_one
from premodel.runtime.policies.base import Policy
from premodel.stats import paired_bootstrap
from premodel.training.folds import stratified_folds, stratified_subsample
from premodel.training.guarantee import GuaranteeError, reference_alone
from premodel.training.objective import Objective
from premodel.training.options import DEFAULT_POLICY as AUTO
from premodel.training.options import TrainOptions
from premodel.training.policies.comparison import AutoRecord
from premodel.training.policies.registry import quick_trainer
from premodel.training.policies.single import TRAINER as SINGLE_TRAINER
from premodel.training.record import OutOfFold, Trained, TrainingRecord
from premodel.training.simulate import Simulation, served_score, simulate, tried_ms
from premodel.training.tables import Tables
from premodel.training.train import train, with_slowness
from premodel.verdict import MIN_SAMPLES, Interval, Verdict

LARGE_GAP = 10.0
"""Points between the oracle and the best single candidate, by the lower end of the interval, that are worth a hint."""
FOLDS = 5
MAX_SAMPLES = 3_000
SINGLE = SINGLE_TRAINER.name
ENGINE = "engine_ms"
"""Condition of a profile: what an answer costs beyond decode, features, decisions and candidates."""
DECISIONS_PER_ENGINE = 3.0
"""Decisions of a policy that fuses answers, in units of ENGINE, where that is more than training's own estimate; 2.8 to
3.6 were measured. An estimate, not a measurement: equal training must give an equal bundle."""

Floats = NDArray[np.float64]


def train_and_test(
    tables: Tables, options: TrainOptions, tell: Callable[[str], None] | None = None, *, advise: bool = True
) -> tuple[Trained, FinalTest | None]:
    """Train as the options say, and test what came of it against every single candidate.

    Parameters
    ----------
    tell:
        Called with what is being done.
    advise:
        Look, where one candidate alone is chosen, at what the most accurate policy would reach.

    Returns
    -------
    What is to be packaged, and the test; None where one candidate alone was trained, or too few samples are there to
    divide. Where policy `auto` chose a premodel that the test does not show to be better, one candidate alone takes its
    place if one meets the objective.

    Raises
    ------
    OptionError
        As `train`.

    Notes
    -----
    `auto` chooses the best of several on the same samples, which favours that one a little; the test asks for more than
    `auto` does, a whole 95 % interval. A policy that was named is packaged whatever the test states; the test is in the
    bundle.
    """
    options = with_slowness(options, tables)
    trained = train(tables, options)
    name = _chosen(trained, options)
    if name == SINGLE or len(tables) < FOLDS:
        more = _most_accurate(tables, options, tell) if advise and name == SINGLE and options.policy == AUTO else []
        return replace(trained, record=Beside(trained.record, after=tuple(more))) if more else trained, None
    if tell is not None:
        tell(f"testing {name} against every single candidate")
    try:
        found = final_test(tables, replace(options, policy=name), trained)
    except OptionError:  # a fold holds too little to train this policy
        return trained, None
    if found.passed or options.policy != AUTO or not _one_meets(tables, options):
        return trained, found
    try:
        alone = train(tables, replace(options, policy=SINGLE))
    except GuaranteeError:  # of classes: no candidate alone keeps their floors
        return trained, found
    why = "it is not shown to be better than one candidate alone in the final test"
    if found.verdict.too_few:
        why = f"{found.verdict.short}"
    record, why = alone.record, f"{name} came out first, but {why}"
    compared = _auto_record(trained.record)
    if compared is None:
        record = Beside(record, before=(f"chosen: {SINGLE}, {why}",))
    else:
        record = replace(compared, chosen=SINGLE, why=why, more_accurate=None, inner=record)
    return replace(alone, record=record), replace(found, taken_back=True)


def packaged_policy(tables: Tables, options: TrainOptions) -> Policy:
    """The policy that `train_and_test` would have packaged."""
    if options.policy != AUTO:
        return train(tables, options).policy
    return train_and_test(tables, options, advise=False)[0].policy


def _most_accurate(tables: Tables, options: TrainOptions, tell: Callable[[str], None] | None) -> list[str]:
    """Where the candidates together know far more than one alone: what the most accurate policy would reach."""
    objective = options.objective
    if len(tables) < MIN_SAMPLES or objective.min_accuracy is None or objective.max_latency_ms is not None:
        return []
    correct = tables.score(options.criterion)
    singles = Singles.of(tables, options.criterion)
    gap = correct.max(axis=1) - correct[:, singles.best]
    if _interval(gap, options.seed)[0] <= LARGE_GAP:
        return []
    quick = quick_trainer(graded=options.criterion in tables.graded, has_features=bool(tables.feature_names))
    if quick is None:
        return []
    if tell is not None:
        tell(f"looking at what {quick.name} reaches at any latency")
    wanted = replace(options, policy=quick.name, objective=Objective(cost_weight=0.0), guarantee=None, class_floors=())
    try:
        found = final_test(tables, wanted, train(tables, wanted))
    except OptionError:
        return []
    if found.verdict.accuracy != "higher" or (found.stood_in is not None and not found.stood_in.is_exceeded):
        return []
    said = found.verdict.sentence(f"the best single candidate {found.best}")
    more = "" if found.stood_in is None else f" It is {found.stood_in.sentence}"
    return [f"for the highest accuracy: {quick.name} with --cost-weight 0: {said}{more}"]


def final_test(tables: Tables, options: TrainOptions, trained: Trained | None = None) -> FinalTest:
    """Compare a policy with every single candidate, on samples that it was not fitted on.

    Parameters
    ----------
    trained:
        The policy, trained on these tables; what its training cross-fitted is taken. Without one, or where its training
        cross-fits nothing, it is trained anew in each fold.

    Raises
    ------
    OptionError
        A fold refuses to be trained on.
    """
    known = None if trained is None else trained.out_of_fold
    if trained is not None and known is not None and len(known.score) == len(tables):
        costs = trained.policy.costs
        latency_ms = known.latency_ms - costs.select_ms + beyond_candidates_ms(trained.policy, tables)
        return _compared(tables, OutOfFold(known.score, latency_ms), options)
    counts = tables.right_counts(options.criterion)
    sample = tables.take(stratified_subsample(tables.truth, counts, MAX_SAMPLES, options.seed))
    return _compared(sample, trained_in_folds(sample, options), options)


def trained_in_folds(sample: Tables, options: TrainOptions) -> OutOfFold:
    """Whole answers to each sample by a policy trained without it, anew in each fold; raises as `final_test`."""
    # Other folds than those in which `auto` compared.
    folds = stratified_folds(sample.truth, sample.right_counts(options.criterion), FOLDS, (options.seed + 1) % 2**32)
    found = OutOfFold(np.zeros(len(sample)), np.zeros(len(sample)))
    for fold in folds:
        seen, unseen = sample.take(fold.train), sample.take(fold.test)
        try:
            policy = train(seen, options).policy
        except GuaranteeError:
            policy = reference_alone(seen, options).policy
        served = simulate(policy, unseen)
        found.score[fold.test] = served_score(unseen, options.criterion, served)
        found.latency_ms[fold.test] = whole_answers_ms(policy, unseen, served)
    return found


def whole_answers_ms(policy: Policy, tables: Tables, served: Simulation) -> Floats:
    """float64 (n,): whole answers, the engine and an estimate of the decisions included, alike on every run."""
    features_ms = tables.feature_costs.of(policy.features) if policy.features else 0.0
    before_ms = tables.decode_ms + features_ms
    return np.asarray(tried_ms(tables, served) + before_ms + beyond_candidates_ms(policy, tables))


def beyond_candidates_ms(policy: Policy, tables: Tables) -> float:
    """Time of an answer in the engine and in decisions: the engine as profiled, decisions by their estimate."""
    engine = tables.conditions.get(ENGINE)
    engine_ms = float(engine) if isinstance(engine, int | float) else 0.0
    decisions_ms = policy.costs.select_ms
    return engine_ms + (max(decisions_ms, DECISIONS_PER_ENGINE * engine_ms) if policy.fuses else decisions_ms)


def _compared(sample: Tables, served: OutOfFold, options: TrainOptions) -> FinalTest:
    objective, seed = options.objective, options.seed
    singles, right, latency_ms = Singles.of(sample, options.criterion), served.score, served.latency_ms
    mean_ms, accuracy = float(latency_ms.mean()), float(right.mean())
    best = singles.best
    best_accuracy, best_ms = float(singles.accuracy[best]), float(singles.latency_ms[best])
    low_ms, high_ms = paired_bootstrap(latency_ms, seed=seed)
    alone = served_alone(sample, options.criterion, best, objective)
    against = right - singles.correct[:, best]
    verdict = Verdict(
        len(sample), best_ms / mean_ms, 100 * float(against.mean()), _interval(against, seed),
        serves_one=serves_one(sample, options.criterion, right, latency_ms),
    )  # fmt: skip
    if not verdict.serves_one:
        over = right - singles.mix(mean_ms)[0]
        verdict = replace(verdict, mix_gain=100 * float(over.mean()), mix_ci=_interval(over, seed))
    floor_gap, floor_ci = None, None
    if objective.min_accuracy is not None:
        floor = objective.min_accuracy
        margin = (against if floor.relative else right) - floor.value
        floor_gap, floor_ci = 100 * float(margin.mean()), _interval(margin, seed)
    value = _value(objective, right, latency_ms)
    rivals = []
    for column, name in enumerate(singles.names):
        own = np.asarray(singles.correct[:, column], dtype=np.float64)
        each_ms, own_ms = singles.latency_of(column), float(singles.latency_ms[column])
        gain = right - own
        meets = objective.choose(np.array([own.mean()]), np.array([own_ms]), best_accuracy) is not None
        lead = _interval(value - _value(objective, own, each_ms), seed)
        rivals.append(
            Rival(
                name, float(own.mean()), own_ms, 100 * float(gain.mean()), _interval(gain, seed), own_ms / mean_ms,
                meets, meets and not lead[0] > 0,
            )
        )  # fmt: skip
    return FinalTest(
        options.policy, len(sample), FOLDS, accuracy, mean_ms, verdict, singles.names[best], floor_gap, floor_ci,
        tuple(rivals), objective.describe(), (best_ms / high_ms, best_ms / low_ms),
        on_time=compare_on_time(objective, singles, right, latency_ms, seed),
        alone=sibling_alone(singles, siblings_of(sample), seed),
        stood_in=None if alone is None else alone.beside(right, mean_ms, seed),
    )  # fmt: skip


def _value(objective: Objective, right: Floats, latency_ms: Floats) -> Floats:
    """What the objective maximises, per sample."""
    if objective.cost_weight is not None:
        return np.asarray(right - objective.cost_weight * latency_ms)
    if objective.deadline_ms is not None:
        return objective.timely(right, latency_ms)
    return np.asarray(right if objective.min_accuracy is None else -latency_ms)


def _interval(values: Floats, seed: int) -> Interval:
    low, high = paired_bootstrap(np.asarray(values, dtype=np.float64), seed=seed)
    return 100 * low, 100 * high


def _one_meets(tables: Tables, options: TrainOptions) -> bool:
    accuracy = tables.score(options.criterion).mean(axis=0)
    return options.objective.choose(accuracy, tables.end_to_end_ms(), float(accuracy.max())) is not None


def _chosen(trained: Trained, options: TrainOptions) -> str:
    """The policy that was trained, by the name that training uses."""
    if trained.policy.fixed_candidate is not None:
        return SINGLE
    compared = _auto_record(trained.record)
    return options.policy if compared is None else compared.chosen


def _auto_record(record: TrainingRecord) -> AutoRecord | None:
    """The comparison that `auto` made, if there was one; a guarantee's record may hold it."""
    inner: object = record
    while isinstance(inner, TrainingRecord):
        if isinstance(inner, AutoRecord):
            return inner
        inner = getattr(inner, "inner", None)
    return None
