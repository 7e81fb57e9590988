"""The profile as arrays: what every stage after profiling works on. No network runs from here on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.errors import OptionError
from premodel.records import CRITERIA, Criterion, Prediction, Timing, split_criterion


@dataclass(frozen=True, eq=False)
class FeatureCosts:
    """Measured cost of the features, additive over shared cost items.

    Attributes
    ----------
    cost_items_ms:
        Cost of each item (a shared intermediate or a feature family) in ms.
    needs:
        Cost items that each feature needs, by feature name.
    """

    cost_items_ms: Mapping[str, float] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> float:
        """Cost in ms of extracting these features together: every item they need, once."""
        items = {item for name in names for item in self.needs[name]}
        return float(sum(self.cost_items_ms[item] for item in sorted(items)))


@dataclass(frozen=True, eq=False)
class Tables:
    """One profile: n samples by m candidates, joined by sample digest.

    Attributes
    ----------
    samples:
        SHA-256 of each sample's bytes, n; unique.
    truth:
        int32 (n,) true label.
    label_names:
        Name of each label.
    candidates:
        Candidate names, m, in manifest order.
    networks:
        The opened network behind each candidate, as `Candidate.network_key`: equal for candidates that share one.
    top_labels, top_probabilities:
        int32 and float32 (n, m, k), by falling probability; a failed prediction is -1 and 0.
    entropy:
        float32 (n, m), nats.
    rank:
        int32 (n, m), rank of the truth from 0; a failed prediction has the number of labels.
    latency_ms:
        float64 (m,), mean preprocess + run of a warm candidate; where it differs from sample to sample, the mean over
        these samples.
    decode_ms:
        Mean decode of one sample.
    timings:
        The timing record behind each latency; a candidate whose record is INVALID states so wherever it is shown.
    features:
        float32 (n, F), raw.
    feature_names:
        F names.
    feature_costs:
        What they cost.
    memory_mb:
        float64 (m,), memory of the opened candidate; NaN if not measured.
    load_ms:
        float64 (m,), what opening the candidate takes; NaN if not measured. None where nothing is known of it.
    energy_mj:
        float64 (m,), energy of one prediction, idle subtracted; NaN if not measured.
    conditions:
        Where and how it was measured, JSON-serialisable.
    task:
        What the samples are: names the domain.
    graded:
        float64 (n, m) in [0, 1] by criterion: how good each answer is, where that is more than right or wrong; a
        failed prediction scores 0. A criterion with a threshold ("chrf>=0.6") is there where the one without is.
    sample_ms:
        float64 (n, m), preprocess + run of each candidate on each sample; None where a candidate takes the same time
        for every sample.
    outcome_length:
        int32 (n, m), characters of each outcome that is a text, -1 where there is none; None where they are not known.
    slowness:
        What single runs of the timing pass took, as shares of their candidate's mean: so many equally probable values,
        rising, the same quantiles averaged over the candidates; empty where no single runs are known.
    abstention_score:
        float64 (n,) by graded criterion: what no answer scores, where that is not 0.
    failures:
        By candidate, what most of its failures give as the reason; only where one failed. It may name files: no bundle
        holds it.

    Notes
    -----
    Where outcomes are no labels there are no label names, and one column of `top_labels` and `top_probabilities`: 0,
    or -1 where the prediction failed, and the probability that the model gives to its own outcome.
    """

    samples: tuple[str, ...]
    truth: NDArray[np.int32]
    label_names: tuple[str, ...]
    candidates: tuple[str, ...]
    networks: tuple[str, ...]
    top_labels: NDArray[np.int32]
    top_probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    rank: NDArray[np.int32]
    latency_ms: NDArray[np.float64]
    decode_ms: float
    timings: tuple[Timing, ...]
    features: NDArray[np.float32]
    feature_names: tuple[str, ...]
    feature_costs: FeatureCosts
    memory_mb: NDArray[np.float64]
    energy_mj: NDArray[np.float64]
    conditions: Mapping[str, object] = field(default_factory=dict)
    task: str = IMAGE_TASK
    graded: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    sample_ms: NDArray[np.float64] | None = None
    load_ms: NDArray[np.float64] | None = None
    outcome_length: NDArray[np.int32] | None = None
    slowness: tuple[float, ...] = ()
    abstention_score: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.graded, GradedScores):
            object.__setattr__(self, "graded", GradedScores(self.graded))

    def __len__(self) -> int:
        return len(self.samples)

    def correct(self, criterion: Criterion) -> NDArray[np.bool_]:
        """Bool (n, m): was the candidate right on the sample.

        Raises
        ------
        OptionError
            The criterion is unknown or graded, or top-5 is asked for with five labels or fewer.
        """
        if criterion in self.graded:
            raise OptionError(
                "a graded criterion has no right and wrong answers", given=criterion,
                do="use policy select or single, or a criterion of labels",
            )  # fmt: skip
        self._check_criterion(criterion)
        return self.rank < top_n(criterion, len(self.label_names))

    @property
    def criteria(self) -> tuple[str, ...]:
        """What answers may be judged by; the first is the usual one."""
        of_labels = CRITERIA if len(self.label_names) > 5 else CRITERIA[:1] if self.label_names else ()
        return (*self.graded, *of_labels)

    def score(self, criterion: Criterion) -> NDArray[np.float64]:
        """float64 (n, m) in [0, 1]: how good the candidate's answer is; of labels 1 if it is right, else 0.

        Raises
        ------
        OptionError
            As `correct`, but for graded criteria.
        """
        found = self.graded.get(criterion)
        return self.correct(criterion).astype(np.float64) if found is None else found

    def unanswered(self, criterion: Criterion) -> NDArray[np.float64]:
        """float64 (n,) in [0, 1]: what no answer scores; 0 but where `abstention_score` states otherwise."""
        found = self.abstention_score.get(criterion)
        return np.zeros(len(self)) if found is None else found

    def right_counts(self, criterion: Criterion) -> NDArray[np.intp]:
        """intp (n,): how many candidates are right on the sample, or the sum of their scores, rounded: its easiness."""
        return np.asarray(np.rint(self.score(criterion).sum(axis=1)), dtype=np.intp)

    def depth(self, criterion: Criterion) -> int:
        """How many top labels are the answer; raises as `score`."""
        if criterion in self.graded:
            return 1
        self._check_criterion(criterion)
        return top_n(criterion, len(self.label_names))

    def _check_criterion(self, criterion: Criterion) -> None:
        if not self.label_names:
            raise OptionError("unknown criterion", given=criterion, allowed=", ".join(self.criteria))

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Bool (n, m): the prediction did not fail."""
        return np.asarray(self.top_labels[:, :, 0] >= 0)

    def latency(self) -> NDArray[np.float64]:
        """float64 (n, m), not to be written to: preprocess + run of each candidate on each sample."""
        if self.sample_ms is not None:
            return self.sample_ms
        return np.broadcast_to(self.latency_ms, (len(self), len(self.candidates)))

    def end_to_end_ms(self) -> NDArray[np.float64]:
        """float64 (m,): decode + preprocess + run of each candidate alone."""
        return self.decode_ms + self.latency_ms

    def take(self, rows: NDArray[np.intp]) -> Tables:
        """The same profile on some of its samples."""
        return replace(
            self,
            samples=tuple(self.samples[row] for row in rows),
            truth=self.truth[rows],
            top_labels=self.top_labels[rows],
            top_probabilities=self.top_probabilities[rows],
            entropy=self.entropy[rows],
            rank=self.rank[rows],
            features=self.features[rows],
            graded={name: score[rows] for name, score in self.graded.items()},
            abstention_score={name: score[rows] for name, score in self.abstention_score.items()},
            outcome_length=None if self.outcome_length is None else self.outcome_length[rows],
            **self._latencies(None if self.sample_ms is None else self.sample_ms[rows]),
        )

    def take_candidates(self, columns: Sequence[int]) -> Tables:
        """The same profile with some of its candidates, in this order."""
        chosen = list(columns)
        return replace(
            self,
            candidates=tuple(self.candidates[column] for column in chosen),
            networks=tuple(self.networks[column] for column in chosen),
            top_labels=self.top_labels[:, chosen],
            top_probabilities=self.top_probabilities[:, chosen],
            entropy=self.entropy[:, chosen],
            rank=self.rank[:, chosen],
            latency_ms=self.latency_ms[chosen],
            timings=tuple(self.timings[column] for column in chosen),
            memory_mb=self.memory_mb[chosen],
            load_ms=None if self.load_ms is None else self.load_ms[chosen],
            energy_mj=self.energy_mj[chosen],
            graded={name: score[:, chosen] for name, score in self.graded.items()},
            sample_ms=None if self.sample_ms is None else self.sample_ms[:, chosen],
            outcome_length=None if self.outcome_length is None else self.outcome_length[:, chosen],
        )

    def _latencies(self, sample_ms: NDArray[np.float64] | None) -> dict[str, Any]:
        """Those of some samples, with their means; nothing where all samples take the same."""
        if sample_ms is None or not len(sample_ms):
            return {}
        return {"sample_ms": sample_ms, "latency_ms": sample_ms.mean(axis=0)}

    def prediction(self, row: int, candidate: int) -> Prediction | None:
        """What the candidate said about the sample; None if it failed."""
        labels = self.top_labels[row, candidate]
        if labels[0] < 0:
            return None
        length = -1 if self.outcome_length is None else int(self.outcome_length[row, candidate])
        return Prediction(
            labels,
            self.top_probabilities[row, candidate],
            float(self.entropy[row, candidate]),
            outcome_length=None if length < 0 else length,
        )


class GradedScores(Mapping[Criterion, NDArray[np.float64]]):
    """Scores by graded criterion; asked for one with a threshold, 1 where an answer reaches it, else 0.

    Examples
    --------
    >>> scores = GradedScores({"chrf": np.array([[0.5, 0.7]])})
    >>> scores["chrf>=0.6"].tolist(), "chrf>=0.6" in scores, "bleu>=0.6" in scores, list(scores)
    ([[0.0, 1.0]], True, False, ['chrf'])
    """

    def __init__(self, scores: Mapping[Criterion, NDArray[np.float64]]) -> None:
        self._scores = dict(scores)

    def __getitem__(self, criterion: Criterion) -> NDArray[np.float64]:
        name, threshold = split_criterion(criterion)
        score = self._scores[name]
        return score if threshold is None else (score >= threshold).astype(np.float64)

    def __iter__(self) -> Iterator[Criterion]:
        return iter(self._scores)

    def __len__(self) -> int:
        return len(self._scores)


def top_n(criterion: str, n_labels: int) -> int:
    """Number of top labels among which the truth must be: 1 or 5.

    Raises
    ------
    OptionError
        The criterion is unknown, or top-5 is asked for with five labels or fewer, where it is always met.
    """
    if criterion not in CRITERIA:
        raise OptionError("unknown criterion", given=criterion, allowed=", ".join(CRITERIA))
    if criterion == "top5" and n_labels <= 5:
        raise OptionError("criterion top5 is always met", given=f"{n_labels} labels", allowed="6 labels or more")
    return 1 if criterion == "top1" else 5
