"""What can be won on a profile, before anything is trained; "use one candidate alone" is an answer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.evaluation.complementarity import (
    better_views,
    complementary_pairs,
    dominated_candidates,
    points_with_interval,
)
from premodel.evaluation.diagnosis import WIDTH_POINTS, CandidateFinding, Diagnosis, Enough, OracleGap
from premodel.evaluation.reachable import PLAIN, Reachable, Reached, reachable
from premodel.evaluation.rows import Singles
from premodel.evaluation.signal import confidence_signals, feature_signals
from premodel.records import Criterion
from premodel.stats import paired_bootstrap, wilson
from premodel.training.folds import stratified_subsample
from premodel.training.labels import optimum
from premodel.training.tables import Tables
from premodel.training.train import TRAINERS

LEAST_SAMPLES = 50
MOST_SAMPLES = 3_000
"""Confidence, features and policies are looked at on a stratified subsample of so many; counts are of all samples."""
FOLDS = 5
TELLING = 0.7
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
        Fewer than 50 samples, or a criterion that the labels do not allow.
    """
    if len(tables) < LEAST_SAMPLES:
        raise OptionError(
            "too few samples to say anything",
            given=len(tables),
            allowed=f"{LEAST_SAMPLES} or more",
            do="profile more images",
        )
    correct = tables.correct(criterion)
    singles = Singles.of(tables, criterion)
    sample = tables.take(stratified_subsample(tables.truth, correct.sum(axis=1), MOST_SAMPLES, seed))
    several = len(tables.candidates) > 1
    found = tuple(reachable(sample, criterion, best=singles.best, folds=FOLDS, seed=seed)) if several else ()
    candidates = _candidates(tables, sample, criterion, singles, seed)
    policy, advice = _advise(tables, singles, found, candidates)
    enough = None
    if found:
        chosen = next((one for one in found if one.policy == policy), found[0]).no_loss
        width = chosen.gain_ci[1] - chosen.gain_ci[0]
        needed = math.ceil(len(sample) * (width / WIDTH_POINTS) ** 2)
        enough = Enough(width, len(sample), needed, needed <= len(tables))
    best = tables.candidates[singles.best]
    return Diagnosis(
        advice=advice,
        policy=policy,
        use=best if policy == "single" else None,
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
        enough=enough,
        invalid=_invalid(tables),
        conditions=tables.conditions,
    )


def _candidates(
    tables: Tables, sample: Tables, criterion: Criterion, singles: Singles, seed: int
) -> tuple[CandidateFinding, ...]:
    confidence, features = confidence_signals(sample, criterion, seed), feature_signals(sample, criterion, seed)
    n = len(tables)
    return tuple(
        CandidateFinding(
            name,
            float(singles.accuracy[column]),
            wilson(int(singles.correct[:, column].sum()), n),
            float(singles.latency_ms[column]),
            tables.timings[column].valid,
            tables.timings[column].reason,
            confidence[column],
            features[column] if features else None,
        )
        for column, name in enumerate(tables.candidates)
    )


def _oracle(correct: NDArray[np.bool_], singles: Singles, seed: int) -> OracleGap:
    right = correct.any(axis=1)
    yes = optimum(correct, singles.latency_ms)
    ran = np.where(right, yes.argmax(axis=1), int(np.argmin(singles.latency_ms)))
    latency_ms = singles.latency_ms[ran]
    best_ms = float(singles.latency_ms[singles.best])
    low_ms, high_ms = paired_bootstrap(latency_ms, seed=seed)
    gain, gain_ci = points_with_interval(right.astype(np.float64) - correct[:, singles.best], seed)
    mean_ms = float(latency_ms.mean())
    return OracleGap(
        float(right.mean()),
        wilson(int(np.count_nonzero(right)), right.size),
        gain,
        gain_ci,
        mean_ms,
        best_ms / mean_ms,
        (best_ms / high_ms, best_ms / low_ms),
    )


def _advise(
    tables: Tables, singles: Singles, found: tuple[Reachable, ...], candidates: tuple[CandidateFinding, ...]
) -> tuple[str, str]:
    """The policy to use, and the sentence that says so.

    A policy that can be trained is advised if its interval against the random mix at its own latency is wholly above 0
    and, trained for no loss, it is surely faster without surely losing; or, trained for equal time, surely more
    accurate at no more time. Of several, the fastest at no loss.
    """
    best = tables.candidates[singles.best]
    what = (
        f"use {best} alone ({100 * singles.accuracy[singles.best]:.1f} % at {singles.latency_ms[singles.best]:.2f} ms)"
    )
    if not found:
        return "single", f"{what}: it is the only candidate, so there is nothing to select; add another to the zoo"
    doubt = ", but some timings are INVALID: measure them again first" if _invalid(tables) else ""
    trainable = [one for one in found if one.policy in TRAINERS]
    faster = [one for one in trainable if _pays(one.no_loss)]
    if faster:
        chosen = max(faster, key=lambda one: one.no_loss.speedup)
        more = f"; at equal time {chosen.equal_time.gain:+.1f} points" if chosen.equal_time else ""
        reached = chosen.no_loss
        loss = "no loss measured" if reached.gain >= 0 else "a loss is not shown"
        advice = f"use policy {chosen.policy}: {reached} against {best}, {loss}{more}"
        return chosen.policy, advice + _baseline(found, reached.speedup) + doubt
    better = [(one, one.equal_time) for one in trainable if one.equal_time and _wins(one.equal_time)]
    if better:
        one, at_equal_time = max(better, key=lambda pair: pair[1].gain)
        advice = f"use policy {one.policy}: at equal time {at_equal_time} against {best}"
        return one.policy, advice + _baseline(found, at_equal_time.speedup) + doubt
    nearest = max(trainable, key=lambda one: one.no_loss.speedup if one.no_loss.gain_ci[1] >= 0 else 0.0)
    tells = [one.name for one in candidates if one.features and one.features.tells and one.features.auc > TELLING]
    hint = "; image features tell who is right, so try: premodel evaluate --policy select" if tells else ""
    advice = f"{what}: no policy is surely better (nearest {nearest.policy}: {nearest.no_loss}){hint}"
    return "single", advice + _baseline(found, 1) + doubt


def _pays(reached: Reached) -> bool:
    return reached.speedup_ci[0] > 1 and reached.gain_ci[1] >= 0 and reached.mix_ci[0] > 0


def _wins(reached: Reached) -> bool:
    return reached.gain_ci[0] > 0 and reached.speedup_ci[1] >= 1 and reached.mix_ci[0] > 0


def _baseline(found: tuple[Reachable, ...], speedup: float) -> str:
    """A word on the plain cascade where it pays and is faster than what is advised."""
    plain = next((one.no_loss for one in found if one.policy == PLAIN), None)
    if plain is None or not _pays(plain) or plain.speedup <= speedup:
        return ""
    return f"; the baseline {PLAIN} is faster, {plain}, so try: premodel evaluate --policy cascade"


def _invalid(tables: Tables) -> tuple[str, ...]:
    pairs = zip(tables.candidates, tables.timings, strict=True)
    found = [f"{name}: {timing.reason}" for name, timing in pairs if not timing.valid]
    if tables.conditions.get("decode_valid") is False:
        found.append("decode")
    return tuple(found)
