"""The trivial answers that every premodel stands beside: none of them needs anything that was learned well.

Single candidates, majority choice, a plain max-probability cascade, the same premodel on permuted features, the random
mix at equal latency, and the oracle with the union as its accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.evaluation.cross_validation import Method
from premodel.evaluation.peers.choice import pick_setting
from premodel.evaluation.peers.confidence_cascade import alone, chain_ms, chains, stop_when_confident
from premodel.evaluation.rows import Row, Singles, compare, optimum_column
from premodel.records import Criterion
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.runtime.selectors.base import Arrays
from premodel.training.labels import oracle
from premodel.training.objective import Floor, Objective
from premodel.training.tables import Tables


class FixedChoice(Policy):
    """Always the same candidate, and nothing in its place if it fails."""

    kind = "fixed"

    def __init__(self, candidate: str) -> None:
        self.candidates = (candidate,)
        self.features = ()

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Run it, serve it."""
        del options
        if 0 in so_far.failed:
            return Stop(None, None, reason="the candidate failed")
        prediction = so_far.predictions.get(0)
        return Run(0) if prediction is None else Stop(prediction, 0)

    def settings(self) -> dict[str, Any]:
        """The candidate's name."""
        return {"candidate": self.candidates[0]}

    def arrays(self) -> Arrays:
        """None."""
        return {}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make it again."""
        del arrays
        if not isinstance(settings.get("candidate"), str):
            raise BundleError("a fixed choice names no candidate", given=settings)
        return cls(settings["candidate"])


class MaxProbabilityCascade(Policy):
    """Run the candidates in a fixed order until one's own top probability reaches one threshold; serve the last run.

    The plainest cascade: no calibration, no fusion, one threshold for all stages. Where an answer is right by its
    `top_n` top labels, it is the sum of so many probabilities.
    """

    kind = "max-probability-cascade"

    def __init__(self, candidates: tuple[str, ...], threshold: float, top_n: int = 1) -> None:
        self.candidates = candidates
        self.features = ()
        self.threshold = threshold
        self.top_n = top_n

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Stop when confident enough or at the end, else run the next."""
        del options
        last = next(reversed(so_far.predictions), None)
        if last is not None and so_far.predictions[last].probabilities[: self.top_n].sum() >= self.threshold:
            return Stop(so_far.predictions[last], last)
        following = next(
            (i for i in range(len(self.candidates)) if i not in so_far.predictions and i not in so_far.failed), None
        )
        if following is not None:
            return Run(following)
        return Stop(None if last is None else so_far.predictions[last], last)

    def settings(self) -> dict[str, Any]:
        """Order, threshold, and how many labels count."""
        return {"candidates": list(self.candidates), "threshold": self.threshold, "top_n": self.top_n}

    def arrays(self) -> Arrays:
        """None."""
        return {}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make it again."""
        del arrays
        try:
            return cls(tuple(settings["candidates"]), float(settings["threshold"]), int(settings["top_n"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("a max-probability cascade lacks its order or threshold", given=settings) from error


def fit_majority(tables: Tables, seed: int, *, criterion: Criterion) -> Policy:
    """The candidate that is the optimum of most training samples, always."""
    del seed
    best = optimum_column(tables, criterion)
    counts = np.bincount(best[best >= 0], minlength=len(tables.candidates))
    order = np.lexsort((tables.latency_ms, -counts))
    return FixedChoice(tables.candidates[int(order[0])])


def fit_max_probability(tables: Tables, seed: int, *, criterion: Criterion) -> Policy:
    """The cheapest max-probability cascade that loses nothing on the training samples, else the most accurate.

    Chains and thresholds are those of the peer of that name; "nothing" is against the best single candidate.
    """
    del seed
    found, stages = [], [alone(tables, criterion, column) for column in range(len(tables.candidates))]
    for chain in chains(tables, criterion):
        confidence, right = (
            np.stack(parts, axis=1) for parts in zip(*(stages[column] for column in chain), strict=True)
        )
        spent_ms = tables.decode_ms + np.cumsum(chain_ms(tables, chain), axis=-1)
        for threshold, (served, latency_ms) in stop_when_confident(confidence, right, spent_ms):
            found.append((float(served.mean()), float(latency_ms.mean()), chain, threshold))
    accuracy, mean_ms = (np.array([one[what] for one in found]) for what in (0, 1))
    best = float(tables.score(criterion).mean(axis=0).max())
    _, _, chain, threshold = found[pick_setting(Objective(Floor.parse("best")), accuracy, mean_ms, best)]
    depth = tables.depth(criterion)
    return MaxProbabilityCascade(tuple(tables.candidates[i] for i in chain), threshold, depth)


def baseline_methods(criterion: Criterion) -> list[Method]:
    """Baselines that are fitted inside the folds like any method."""
    return [
        Method("majority choice", "baseline", "single", partial(fit_majority, criterion=criterion)),
        Method(
            "max-probability cascade",
            "baseline",
            "cascade",
            partial(fit_max_probability, criterion=criterion),
        ),
    ]


def single_rows(tables: Tables, singles: Singles, *, seed: int = 0) -> list[Row]:
    """One row per single candidate."""
    rows = []
    for index, name in enumerate(singles.names):
        differ = tables.sample_ms is not None
        score, latency = singles.correct[:, index], singles.latency_of(index)
        figures = compare(name, "single", "single", score, latency, singles, seed=seed, percentiles=differ)
        figures["timing"] = tables.timings[index]
        figures["extra"] |= {"decode_valid": tables.conditions.get("decode_valid") is not False}
        failed = float(np.mean(~tables.answered[:, index]))
        if tables.label_names:
            figures["extra"] |= {
                "accuracy_top1": float(np.mean(tables.rank[:, index] < 1)),
                "accuracy_top5": float(np.mean(tables.rank[:, index] < 5)),
            }
        rows.append(Row(**figures, coverage=1 - failed, share={name: 1.0}, served={name: 1 - failed}))
    return rows


def mix_row(premodel: Row, singles: Singles, *, seed: int = 0) -> Row:
    """The random mix at the latency of a premodel.

    No mix is cheaper than the cheapest single candidate, nor does one need more than the best: a premodel that
    abstains often, or runs several, lies outside, and the row then has the nearest latency that a mix can have.
    """
    expected, what = singles.mix(premodel.latency_ms)
    cheapest_ms, best_ms = singles.latency_ms.min(), singles.latency_ms[singles.best]
    latency = np.full(len(expected), np.clip(premodel.latency_ms, cheapest_ms, best_ms))
    name = f"random mix at {premodel.name}'s latency"
    figures = compare(name, "baseline", "random-mix", expected, latency, singles, seed=seed, percentiles=False)
    figures["extra"] |= {"mix": what}
    return Row(**figures, coverage=1.0, share={})


def oracle_row(tables: Tables, criterion: Criterion, singles: Singles, *, seed: int = 0) -> Row:
    """The cheapest right candidate, known with the truth in hand; its accuracy is the union.

    Where no candidate is right the oracle runs the cheapest one: it has to answer.
    """
    ran = oracle(tables.score(criterion), tables.latency_ms if tables.sample_ms is None else tables.sample_ms)
    latency, score = singles.latency_of(ran), singles.correct[np.arange(len(ran)), ran]
    several = bool((ran != ran[0]).any()) or tables.sample_ms is not None  # else each latency is a mean
    figures = compare("oracle", "baseline", "oracle", score, latency, singles, percentiles=several, seed=seed)
    share = {name: float(np.mean(ran == index)) for index, name in enumerate(tables.candidates)}
    return Row(**figures, coverage=1.0, share=share, served=share)
