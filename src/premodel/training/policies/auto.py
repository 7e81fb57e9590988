"""Policy by name `auto`: nested cross-validation among all policies, with "just run one alone" as an answer."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.stats import MIN_SAMPLES, Verdict, best_single, paired_bootstrap, too_few_samples
from premodel.training.folds import Fold, stratified_folds, stratified_subsample
from premodel.training.guarantee import WITHOUT_POINTS
from premodel.training.objective import Objective
from premodel.training.options import Trained, TrainOptions
from premodel.training.simulate import served_score, simulate, tried_ms
from premodel.training.tables import Tables
from premodel.training.train import train as train_policy

FOLDS = 5
ROWS = 6_000
"""Most samples that policies are compared on."""
SINGLE = "single"
OUTPUTS = ("cascade-routing", "cascade")
FEATURES = ("select", "paper")
"""Policies that read image features; left out where the profile has none."""
HOPELESS = 2.0
"""Standard errors behind, after which a policy of FEATURES, slow to fit, is given up before the last fold."""
DOUBT = 1.0
"""Standard errors: how far below the floor a policy may be measured, and how far it must beat the single candidate."""

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Entrant:
    """One policy in the comparison.

    Attributes
    ----------
    name:
        Of the policy.
    right, latency_ms:
        Of each sample served so far, out of fold, fold by fold.
    given_up:
        Why it left the comparison; empty if it did not.
    """

    name: str
    right: list[Floats] = field(default_factory=list)
    latency_ms: list[Floats] = field(default_factory=list)
    given_up: str = ""

    @property
    def samples(self) -> int:
        """Samples served."""
        return sum(len(part) for part in self.right)


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
        return np.asarray(right if self.objective.min_accuracy is None else -latency_ms)

    def margin(self, entrant: Entrant) -> tuple[float, float]:
        """How far it is above the floor, with its standard error; (inf, 0) without a floor."""
        floor = self.objective.min_accuracy
        if floor is None:
            return math.inf, 0.0
        right = np.concatenate(entrant.right)
        if floor.relative:
            right = right - np.concatenate(self.reference)[: len(right)]
        return _mean(right - floor.value)

    def keeps(self, entrant: Entrant, doubt: float) -> bool:
        """Does it keep floor and ceiling, as far as can be told."""
        margin, error = self.margin(entrant)
        ceiling_ms = math.inf if self.objective.max_latency_ms is None else self.objective.max_latency_ms
        return margin >= -doubt * error - 1e-12 and float(np.concatenate(entrant.latency_ms).mean()) <= ceiling_ms

    def lead(self, entrant: Entrant, other: Entrant) -> tuple[float, float]:
        """By how much it is better than another on the samples both served, with its standard error."""
        first, second = self.value(entrant), self.value(other)
        both = min(len(first), len(second))
        return _mean(first[:both] - second[:both])


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train whichever policy serves the objective best, or one candidate alone if none does better.

    Every policy is trained on four fifths of the rows and serves the fifth left out, for each of five folds. One
    that reads features, slow to fit, is given up early when it is two standard errors behind. A premodel is chosen if
    it keeps the floor within one standard error, and beats the single candidate that meets the objective by more than
    one; of several the best.

    Notes
    -----
    A floor of accuracy cannot be shown to be met to a tenth of a point with some thousand samples; one standard error
    is what is left to doubt, and the figures are in the account. More than 6,000 rows are thinned for the comparison,
    not for the training of the policy chosen.

    Raises
    ------
    OptionError
        An option that only some policies understand, no policy can be trained, or there are too few samples.
    """
    own = "name a policy that has one with --policy"
    options.refuse(technique=own, labels=own, fallback=own)
    # A guarantee is given to the policy chosen, by `guarantee`; one that cannot carry it takes no part.
    left_out = () if options.guarantee is None else WITHOUT_POINTS
    options = dataclasses.replace(options, guarantee=None)
    correct = tables.score(options.criterion)
    right_counts = tables.right_counts(options.criterion)
    if len(tables) < FOLDS:
        raise OptionError("too few samples to compare policies", given=len(tables), allowed=f"{FOLDS} or more")
    rows = stratified_subsample(tables.truth, right_counts, ROWS, options.seed)
    sample = tables.take(rows)
    folds = stratified_folds(sample.truth, right_counts[rows], FOLDS, options.seed)
    best = best_single(correct.mean(axis=0), tables.latency_ms)
    judge = _Judge(options.objective, [correct[rows][fold.test, best] for fold in folds])
    end_to_end_ms, accuracy = tables.end_to_end_ms(), correct.mean(axis=0)
    meets = options.objective.choose(accuracy, end_to_end_ms, float(accuracy.max())) is not None
    single = Entrant(SINGLE)
    names = (*OUTPUTS, *(FEATURES if tables.feature_names else ()))
    others = [Entrant(name) for name in names if name not in left_out]
    for fold in folds:
        _serve_single(single, sample, fold, options)
        # The same tables for all: what one policy computes from them serves the next.
        seen, unseen = sample.take(fold.train), sample.take(fold.test)
        for entrant in others:
            if not entrant.given_up:
                _serve(entrant, seen, unseen, options)
        if fold is not folds[-1]:
            _give_up([single] if meets else [], others, judge)
    chosen, why = _choose(single, others, judge, meets)
    if len(sample) < MIN_SAMPLES:
        why += f"; {too_few_samples(len(sample))}"
    trained = train_policy(tables, dataclasses.replace(options, policy=chosen.name))
    lines = [
        f"policies compared on {len(sample)} samples in {FOLDS} folds inside them, for {options.objective.describe()}",
        *(f"  {_line(entrant, single, judge)}" for entrant in (single, *others)),
        f"chosen: {chosen.name}, {why}",
        *(_more_accurate(single, others) if chosen is single else ()),
    ]
    evidence = {
        **trained.evidence,
        "auto": {
            "chosen": chosen.name,
            "why": why,
            "folds": FOLDS,
            "samples": len(sample),
            "policies": [_record(entrant, single, judge) for entrant in (single, *others)],
        },
    }
    return Trained(trained.policy, (*lines, *trained.account), evidence)


def _serve_single(entrant: Entrant, tables: Tables, fold: Fold, options: TrainOptions) -> None:
    """The single candidate that meets the objective on the training part, or comes nearest, on the rest."""
    correct, end_to_end_ms = tables.score(options.criterion), tables.end_to_end_ms()
    accuracy = correct[fold.train].mean(axis=0)
    chosen = options.objective.choose(accuracy, end_to_end_ms, float(accuracy.max()))
    column = options.objective.nearest(accuracy, end_to_end_ms) if chosen is None else chosen
    entrant.right.append(correct[fold.test, column])
    entrant.latency_ms.append(tables.decode_ms + tables.latency()[fold.test, column])


def _serve(entrant: Entrant, seen: Tables, test: Tables, options: TrainOptions) -> None:
    """Train a policy on the samples seen and let it serve the test samples; one that refuses is given up."""
    try:
        policy = train_policy(seen, dataclasses.replace(options, policy=entrant.name)).policy
    except OptionError as error:
        entrant.given_up = str(error)
        return
    served = simulate(policy, test)
    # Decisions count with their estimate, not as measured: equal training must give an equal bundle.
    before_ms = policy.costs.before_ms if isinstance(policy, StoppingPolicy | Select) else test.decode_ms
    entrant.right.append(served_score(test, options.criterion, served))
    entrant.latency_ms.append(tried_ms(test, served) + before_ms)


def _give_up(single: list[Entrant], others: list[Entrant], judge: _Judge) -> None:
    """Leave out what is clearly behind, so that no more time goes into it."""
    racing = [one for one in others if not one.given_up and one.samples]
    leaders = [*single, *(one for one in racing if judge.keeps(one, DOUBT))]
    for entrant in racing:
        if entrant.name not in FEATURES:
            continue
        margin, error = judge.margin(entrant)
        if margin < -HOPELESS * error:
            entrant.given_up = "given up: clearly below the floor"
            continue
        for leader in leaders:
            behind, error = judge.lead(leader, entrant)
            if leader is not entrant and behind > HOPELESS * error:
                entrant.given_up = f"given up: clearly behind {leader.name}"
                break


def _choose(single: Entrant, others: list[Entrant], judge: _Judge, meets: bool) -> tuple[Entrant, str]:
    """The policy chosen, and why; `meets` if a single candidate meets the objective on all rows."""
    racing = [one for one in others if not one.given_up and one.samples]
    keeping = [one for one in racing if judge.keeps(one, DOUBT)]
    if meets:
        better = []
        for one in keeping:
            lead, error = judge.lead(one, single)
            if lead > DOUBT * error:
                better.append(one)
        if not better:
            return single, "no premodel does better than one candidate alone"
        return max(better, key=lambda one: float(judge.value(one).mean())), "it beats one candidate alone"
    if keeping:
        return max(keeping, key=lambda one: float(judge.value(one).mean())), "one candidate alone misses the objective"
    served = racing or [one for one in others if one.samples]
    if not served:
        return single, "no premodel could be trained"
    served.append(single)
    accuracy = np.array([np.concatenate(one.right).mean() for one in served])
    latency_ms = np.array([np.concatenate(one.latency_ms).mean() for one in served])
    nearest = served[judge.objective.nearest(accuracy, latency_ms)]
    return nearest, "nothing meets the objective, this comes nearest"


def _more_accurate(single: Entrant, others: list[Entrant]) -> list[str]:
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
        return []
    verdict, name = max(found, key=lambda pair: pair[0].gain)
    return [f"for a higher accuracy: {name}, {verdict.sentence('one candidate alone')} Ask with --cost-weight 0."]


def _figures(entrant: Entrant, single: Entrant, judge: _Judge) -> dict[str, Any]:
    right, latency_ms = np.concatenate(entrant.right), np.concatenate(entrant.latency_ms)
    gain, error = _mean(right - np.concatenate(single.right)[: len(right)])
    return {
        "samples": len(right),
        "accuracy": float(right.mean()),
        "latency_ms": float(latency_ms.mean()),
        "gain_points_vs_single": 100 * gain,
        "gain_error_points": 100 * error,
        "keeps_objective": judge.keeps(entrant, DOUBT),
    }


def _record(entrant: Entrant, single: Entrant, judge: _Judge) -> dict[str, Any]:
    """The figures of one policy, for the bundle."""
    found: dict[str, Any] = {"policy": entrant.name, "samples": 0}
    if entrant.samples:
        found |= _figures(entrant, single, judge)
    return found | {"given_up": entrant.given_up or None}


def _line(entrant: Entrant, single: Entrant, judge: _Judge) -> str:
    """The figures of one policy, for people."""
    if not entrant.samples:
        return f"{entrant.name}: {entrant.given_up}"
    figures = _figures(entrant, single, judge)
    line = f"{entrant.name}: {100 * figures['accuracy']:.2f} % at {figures['latency_ms']:.3f} ms"
    if entrant is not single:
        gain, error = figures["gain_points_vs_single"], figures["gain_error_points"]
        line += f", {gain:+.2f} points to single, standard error {error:.2f}"
    return line + (f" (on {figures['samples']} samples; {entrant.given_up})" if entrant.given_up else "")


def _mean(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))
