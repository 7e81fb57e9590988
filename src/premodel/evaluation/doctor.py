"""What can be won on a profile, before anything is trained; "use one candidate alone" is an answer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from premodel.domains.registry import domain_of
from premodel.errors import OptionError
from premodel.evaluation.complementarity import (
    better_views,
    complementary_pairs,
    dominated_candidates,
    points_with_interval,
)
from premodel.evaluation.degenerate import degenerate_cases
from premodel.evaluation.diagnosis import WIDTH_POINTS, CandidateFinding, Diagnosis, OracleGap, SampleSize
from premodel.evaluation.memory import accuracy_over_memory
from premodel.evaluation.originals import Alone, beside_lines, sibling_alone, siblings_of
from premodel.evaluation.reachable import PLAIN, Reachable, Reached, reachable
from premodel.evaluation.rows import Singles, invalid_note
from premodel.evaluation.signal import confidence_signals, feature_signals
from premodel.evaluation.stand_ins import StoodIn, served_alone
from premodel.records import Criterion
from premodel.runtime.policies.costs import rounded_up
from premodel.stats import paired_bootstrap, wilson
from premodel.training.folds import stratified_subsample
from premodel.training.labels import oracle
from premodel.training.policies.registry import TRAINERS
from premodel.training.policies.single import TRAINER as SINGLE
from premodel.training.tables import Tables
from premodel.verdict import MIN_SAMPLES, interval, points

MAX_SAMPLES = 3_000
"""Confidence and features are looked at on a stratified subsample of so many; the rest is of all samples."""
FAST_MS = 1.0
"""A best single candidate that answers sooner leaves little to win beside the cost of the engine."""
LITTLE = 0.1
"""A policy that is faster than one sibling alone by less than this share adds little."""
MIN_AUC = 0.7
"""An area of the image features above this is worth a policy that reads them."""


def diagnose(tables: Tables, criterion: Criterion = "top1", *, seed: int = 0) -> Diagnosis:
    """Say from a profile alone what can be won and how.

    Parameters
    ----------
    tables:
        The profile.
    criterion:
        "top1" or "top5".
    seed:
        Of folds, permutations, resamples and the subsample.

    Raises
    ------
    OptionError
        Fewer than MIN_SAMPLES samples, or a criterion that the labels do not allow.
    """
    if len(tables) < MIN_SAMPLES:
        raise OptionError(
            "too few samples for a verdict",
            given=len(tables),
            allowed=f"{MIN_SAMPLES} or more",
            do=f"profile more {domain_of(tables.task).plural}",
        )
    correct = tables.score(criterion)
    singles = Singles.of(tables, criterion)
    sample = tables.take(stratified_subsample(tables.truth, tables.right_counts(criterion), MAX_SAMPLES, seed))
    several = len(tables.candidates) > 1
    found = tuple(reachable(tables, criterion, seed=seed)) if several else ()
    candidates = _candidates(tables, sample, criterion, singles, seed)
    alone = served_alone(tables, criterion, singles.best)
    stood_in = None if alone is None else alone.figures
    policy, advice = _advise(tables, singles, found, candidates, stood_in)
    sample_size = None
    if found:
        chosen = next((one for one in found if one.policy == policy), found[0]).no_loss
        width = chosen.gain_ci[1] - chosen.gain_ci[0]
        needed = math.ceil(chosen.samples * (width / WIDTH_POINTS) ** 2)
        sample_size = SampleSize(width, chosen.samples, needed, needed <= len(tables))
    best = tables.candidates[singles.best]
    return Diagnosis(
        advice=advice,
        policy=policy,
        use=best if policy == SINGLE.name else None,
        criterion=criterion,
        samples=len(tables),
        used=len(sample),
        best=best,
        candidates=candidates,
        oracle=_oracle(correct, singles, seed),
        pairs=tuple(complementary_pairs(tables, correct, seed)),
        dominated=tuple(dominated_candidates(tables, correct, seed)),
        better_views=tuple(better_views(tables, correct, seed)),
        reachable=found,
        sample_size=sample_size,
        invalid=_invalid(tables),
        conditions=tables.conditions,
        warnings=degenerate_cases(tables, criterion),
        doubts=not_worth(tables, singles, policy, found, stood_in),
        originals=_originals(singles, sibling_alone(singles, siblings_of(tables), seed), found),
        memory=accuracy_over_memory(tables, criterion),
        noun=domain_of(tables.task).noun,
        stood_in=stood_in,
    )


def not_worth(
    tables: Tables, singles: Singles, policy: str, found: tuple[Reachable, ...], stood_in: StoodIn | None = None
) -> tuple[str, ...]:
    """Why a premodel may not be worth it here, and what to do instead; empty where nothing speaks against it."""
    lines = []
    best = tables.candidates[singles.best]
    best_ms = float(singles.latency_ms[singles.best])
    if best_ms < FAST_MS and (stood_in is None or not stood_in.is_worth_it):
        engine = tables.conditions.get("engine_ms")
        cost = f"{4 * engine:.2f}" if isinstance(engine, float) else "0.1 or more"
        lines.append(
            f"premodel is hardly worth it here: {best} alone answers in {best_ms:.2f} ms, and the engine with its "
            f"decisions costs about {cost} ms of every answer; a plain loop of one network is the alternative"
        )
    alone = sibling_alone(singles, siblings_of(tables))
    if alone is None or alone.verdict.too_few or alone.verdict.outcome != "better":
        return tuple(lines)
    reached = next((one.no_loss for one in found if one.policy == policy), None)
    more_accurate = reached is not None and reached.gain - 100 * (alone.accuracy - singles.accuracy[singles.best]) > 1
    if reached is None or (alone.latency_ms <= reached.latency_ms * (1 + LITTLE) and not more_accurate):
        against = alone.verdict.sentence(f"the best original {alone.original}")
        lines.append(f"{alone.kind} alone does it: {alone.name} is {against} Choosing per input adds little to that.")
    return tuple(lines)


def _originals(singles: Singles, alone: Alone | None, found: tuple[Reachable, ...]) -> tuple[str, ...]:
    """One sibling alone, and what every policy reaches for no loss, against the best original; empty without one."""
    if alone is None:
        return ()
    return beside_lines(singles, alone, {one.policy: one.no_loss.beside for one in found})


def _candidates(
    tables: Tables, sample: Tables, criterion: Criterion, singles: Singles, seed: int
) -> tuple[CandidateFinding, ...]:
    confidence, features = confidence_signals(sample, criterion, seed), feature_signals(sample, criterion, seed)
    return tuple(
        CandidateFinding(
            name,
            float(singles.accuracy[column]),
            _mean_interval(singles.correct[:, column], singles, seed),
            float(singles.latency_ms[column]),
            tables.timings[column].valid,
            tables.timings[column].reason,
            confidence[column],
            features[column] if features else None,
        )
        for column, name in enumerate(tables.candidates)
    )


def _oracle(correct: NDArray[np.float64], singles: Singles, seed: int) -> OracleGap:
    best = correct.max(axis=1)
    ran = oracle(correct, singles.latency_ms if singles.sample_ms is None else singles.sample_ms)
    latency_ms = singles.latency_of(ran)
    best_ms = float(singles.latency_ms[singles.best])
    low_ms, high_ms = paired_bootstrap(latency_ms, seed=seed)
    gain, gain_ci = points_with_interval(best - correct[:, singles.best], seed)
    mean_ms = float(latency_ms.mean())
    return OracleGap(
        float(best.mean()),
        _mean_interval(best, singles, seed),
        gain,
        gain_ci,
        mean_ms,
        best_ms / mean_ms,
        (best_ms / high_ms, best_ms / low_ms),
    )


def _mean_interval(score: NDArray[np.float64], singles: Singles, seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean score: Wilson's where answers are right or wrong."""
    return paired_bootstrap(score, seed=seed) if singles.graded else wilson(int(score.sum()), len(score))


def _advise(
    tables: Tables,
    singles: Singles,
    found: tuple[Reachable, ...],
    candidates: tuple[CandidateFinding, ...],
    stood_in: StoodIn | None,
) -> tuple[str, str]:
    """The policy to use, and the words that say so.

    What `premodel train` packages with its default options is advised, by its own test. Where that is one candidate
    alone, a policy is advised whose accuracy is higher at no more time; else one whose accuracy is higher at any
    latency, with what that costs. Where the candidate fails on some samples, such a policy must also do better than it
    does with its stand-ins.
    """
    name, at = tables.candidates[singles.best], _at(singles, singles.best)
    best = f"{name} {at}"
    if not found:
        return (
            SINGLE.name,
            f"use {name} alone {at}: it is the only candidate, so there is nothing to select; "
            "premodel zoo expand makes cheaper siblings of it (int8, other runtimes, smaller inputs)",
        )
    names = [name for name, timing in zip(tables.candidates, tables.timings, strict=True) if not timing.valid]
    invalid = invalid_note([*names, *(["decode"] if tables.conditions.get("decode_valid") is False else [])])
    doubt = invalid
    trainable = [one for one in found if one.policy in TRAINERS]
    chosen = next((one for one in trainable if one.packaged), None)
    if chosen is not None:
        equal = next((one.equal_time for one in (chosen, *trainable) if one.equal_time), None)
        more = "" if equal is None else f" At equal time: {_difference(equal)}"
        more += "" if equal is None else "." if equal.policy == chosen.policy else f" by {equal.policy}."
        advice = f"use policy {chosen.policy}: {_said(chosen.no_loss, best)}{_beside_stand_ins(chosen.no_loss)}{more}"
        return chosen.policy, advice + _baseline(found, chosen.no_loss.speedup) + doubt
    better = [
        one.equal_time for one in trainable if one.equal_time and _more_accurate(one.equal_time, at_equal_time=True)
    ]
    if better:
        reached = max(better, key=lambda one: one.gain)
        return reached.policy, f"use policy {reached.policy} with --max-latency-ms {_ceiling(singles)}: " + (
            _said(reached, best) + _beside_stand_ins(reached) + _baseline(found, reached.speedup) + doubt
        )
    dearer = [one.most_accurate for one in trainable if one.most_accurate and _more_accurate(one.most_accurate)]
    if dearer:
        reached = max(dearer, key=lambda one: one.gain)
        advice = (
            f"for the highest accuracy use policy {reached.policy} with --cost-weight 0: {_said(reached, best)}"
            f"{_beside_stand_ins(reached)} For the lowest latency at the accuracy of one candidate use {name} alone."
        )
        return reached.policy, advice + _baseline(found, 1) + doubt
    with_others = at if stood_in is None else f"{at[:-1]}; with the others where it fails {stood_in.figures})"
    use, better_than = f"use {name} alone {with_others}", ""
    if stood_in is not None and stood_in.is_worth_it:
        use = (
            f"use policy {SINGLE.name}, {name} with the others where it fails ({stood_in.figures}): "
            f"{points(stood_in.gain)} points {interval(stood_in.gain_ci)} to {name} alone {at}"
        )
        better_than = " than that"
    if not trainable:
        return (
            SINGLE.name,
            f"{use}; no policy can be trained for this criterion on this profile",
        )
    nearest = max(trainable, key=lambda one: one.no_loss.speedup if one.no_loss.verdict.outcome != "worse" else 0.0)
    predictable = [
        one for one in candidates if one.features and one.features.informative and one.features.auc > MIN_AUC
    ]
    hint = (
        f" {domain_of(tables.task).noun.capitalize()} features predict which candidate is right: "
        "try premodel evaluate --policy select."
        if predictable
        else ""
    )
    nearest_said = _said(nearest.no_loss, best) + _beside_stand_ins(nearest.no_loss)
    advice = (
        f"{use}{';' if better_than else ':'} no policy is shown to be better{better_than}. "
        f"{_less(trainable, best).lstrip() or f'The nearest is {nearest.policy}: {nearest_said}'}{hint}"
    )
    return SINGLE.name, advice + _baseline(found, 1) + doubt


def _faster(reached: Reached) -> bool:
    """Better by its verdict, surely faster, and no further below the floor than training tolerates."""
    return reached.verdict.outcome == "better" and reached.speedup_ci[0] > 1 and reached.gain >= -reached.gain_error


def _less(trainable: list[Reachable], best: str) -> str:
    """Of a policy that is faster but by its figures less accurate than training tolerates: how to ask for it."""
    found = [one for one in trainable if one.no_loss.verdict.outcome == "better" and one.no_loss.speedup_ci[0] > 1]
    if not found:
        return ""
    chosen = max(found, key=lambda one: one.no_loss.speedup)
    lost = math.ceil(-10 * chosen.no_loss.gain) / 10
    return (
        f" Where {lost:.1f} points may be lost, --min-accuracy best-{lost:.1f}pt with policy {chosen.policy}: "
        f"{_said(chosen.no_loss, best)}"
    )


def _more_accurate(reached: Reached, *, at_equal_time: bool = False) -> bool:
    found = reached.verdict
    within = not at_equal_time or reached.speedup_ci[1] >= 1 or found.pace != "slower"
    served = None if reached.stood_in is None else reached.stood_in.verdict
    exceeds = (
        served is None or served.accuracy == "higher" or (at_equal_time and served.outcome in ("better", "traded"))
    )
    return found.accuracy == "higher" and found.choice != "below" and within and exceeds


def _said(reached: Reached, best: str) -> str:
    return reached.verdict.sentence(f"the best single candidate {best}")


def _beside_stand_ins(reached: Reached) -> str:
    """The same against the best single candidate with its stand-ins; empty where it never fails."""
    return "" if reached.stood_in is None else f" It is {reached.stood_in.sentence}"


def _difference(reached: Reached) -> str:
    return f"{points(reached.gain)} points {interval(reached.gain_ci)}"


def _at(singles: Singles, column: int) -> str:
    return f"({100 * singles.accuracy[column]:.1f} % at {singles.latency_ms[column]:.2f} ms)"


def _ceiling(singles: Singles) -> str:
    """The latency of the best single candidate, rounded up: what is rounded down would rule it out."""
    return rounded_up(float(singles.latency_ms[singles.best]))


def _baseline(found: tuple[Reachable, ...], speedup: float) -> str:
    """A word on the plain cascade where it is better and faster than what is advised."""
    plain = next((one.no_loss for one in found if one.policy == PLAIN), None)
    if plain is None or not _faster(plain) or plain.speedup <= speedup:
        return ""
    return f" The baseline {PLAIN} is faster: {plain.verdict.factor}; try premodel evaluate --policy cascade."


def _invalid(tables: Tables) -> tuple[str, ...]:
    pairs = zip(tables.candidates, tables.timings, strict=True)
    found = [f"{name}: {timing.reason}" for name, timing in pairs if not timing.valid]
    if tables.conditions.get("decode_valid") is False:
        found.append("decode")
    return tuple(found)
