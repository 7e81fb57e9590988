"""Running one network under many conventions, and comparing them on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import comb, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.image.preprocess import preprocess
from premodel.errors import RunError
from premodel.profiling.progress import Progress, Silent
from premodel.runtime.prediction import BINARY_LABELS, to_distribution
from premodel.stats import paired_bootstrap
from premodel.zoo_tools.init.conventions import Convention, colours, crops, stated
from premodel.zoo_tools.init.images import TrialImages
from premodel.zoo_tools.init.inspect import Inspected
from premodel.zoo_tools.init.labels import GIVEN, NO_LABEL, SHIFT, LabelMapping

FAILED, NOT_RUN = -1, -2
DROP_P = 0.005
"""Of the exact sign test by which a convention drops out: stricter than the verdict, as it is final."""
DROP_T = 4.0
"""Of the log probabilities of the truth; it counts where the interval of the accuracies lies above 0 as well."""
MAPPING_P = 0.01
"""Of the exact sign test by which another mapping of outputs to labels is taken, shared among the mappings."""
SMALLEST_PROBABILITY = 1e-4
"""A single confident error weighs no more than that."""
SMALL_FILE_BYTES = 400_000
MAX_PACE = 10.0
N_PROBABLE = 2
"""Outputs kept of each run, besides those without a label."""


@dataclass(frozen=True)
class Rival:
    """Another choice in one aspect, compared with the one taken on the same images.

    Attributes
    ----------
    name:
        The choice, in words.
    images:
        On which both were run.
    accuracy:
        Its top-1 accuracy on them.
    behind, behind_ci:
        How much less accurate it is, and the 95 % interval (paired bootstrap). Colours are compared over all the
        crops that both were run with.
    identical:
        It gave the same answer with the same probability on every image.
    same_answers:
        It gave the same answer on every image.
    """

    name: str
    images: int
    accuracy: float
    behind: float
    behind_ci: tuple[float, float]
    identical: bool
    same_answers: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "images": self.images,
            "accuracy": self.accuracy,
            "behind_points": 100 * self.behind,
            "behind_ci": [100 * bound for bound in self.behind_ci],
            "identical": self.identical,
            "same_answers": self.same_answers,
        }


@dataclass(eq=False)
class _Score:
    """Of one convention on n images.

    Attributes
    ----------
    top:
        int32 (n, k): the outputs of highest probability, FAILED or NOT_RUN.
    truth:
        float32 (n, mappings): probability of the true label under each mapping.
    confidence:
        float32 (n,): the highest probability.
    lowest:
        int32 (n,): the output of the lowest number, FAILED or NOT_RUN.
    """

    top: NDArray[np.int32]
    truth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    lowest: NDArray[np.int32]

    def ran(self) -> NDArray[np.bool_]:
        return self.top[:, 0] > NOT_RUN


@dataclass(eq=False)
class Trial:
    """Runs one network under many conventions, each at most once per image.

    Attributes
    ----------
    activation:
        As the manifest will say.
    mappings:
        Which output may be which label; the first is the usual one.
    images:
        What it is tried on.
    fixed_labels:
        The order of the labels was given, and is not to be changed.
    mapping:
        Number of the mapping that answers are compared with the truth by.
    runs:
        Of the network, in all.
    """

    inspected: Inspected
    activation: str
    mappings: Sequence[LabelMapping]
    images: TrialImages
    progress: Progress = field(default_factory=Silent)
    fixed_labels: bool = True
    runs: int = 0
    mapping: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    _scores: dict[Convention, _Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.n_labels = len(self.mappings[0].outputs)
        self.n_outputs = self.inspected.outputs
        if self.n_outputs == 1 and self.n_labels == BINARY_LABELS:
            self.n_outputs = BINARY_LABELS
        columns = np.array([mapping.outputs for mapping in self.mappings])
        self._columns = np.where(columns == NO_LABEL, self.n_outputs, columns)
        """Of each label its output; one more, of probability 0, for none."""
        self._labels = [mapping.labels(self.n_outputs) for mapping in self.mappings]
        self._settled = True
        self._kept = min(self.n_outputs, N_PROBABLE + self.n_outputs - self.n_labels)

    def run(self, conventions: Sequence[Convention], count: int, what: str) -> None:
        """Run the network on the first `count` images, under every convention that has not seen them yet."""
        n = len(self.images)
        for convention in conventions:
            if convention not in self._scores:
                self._scores[convention] = _Score(
                    np.full((n, self._kept), NOT_RUN, np.int32),
                    np.zeros((n, len(self.mappings)), np.float32),
                    np.zeros(n, np.float32),
                    np.full(n, NOT_RUN, np.int32),
                )
        todo = [i for i in range(count) if any(not self._scores[one].ran()[i] for one in conventions)]
        self.progress.begin(what, len(todo), "images")
        specs = {convention: convention.spec(self.inspected) for convention in conventions}
        for index, image in self.images.read(todo):
            pyramid = self.images.pyramid(index, image)
            seen: dict[Any, tuple[NDArray[np.int32], NDArray[np.float32], float, int]] = {}
            for convention, spec in specs.items():
                score = self._scores[convention]
                if score.top[index, 0] > NOT_RUN:
                    continue
                # Two crops that are the same part of this image (squash, and all of a square) share one run.
                key = (id(pyramid.level(spec, False)), *convention.colour)
                if key not in seen:
                    tensor = preprocess(image, spec, pyramid=pyramid, quantisation=self.inspected.backend.input)
                    seen[key] = self._answer(tensor, int(self.images.labels[index]))
                score.top[index], score.truth[index], score.confidence[index], score.lowest[index] = seen[key]
            self.progress.advance()
        self.progress.end()

    def _answer(self, tensor: NDArray[Any], label: int) -> tuple[NDArray[np.int32], NDArray[np.float32], float, int]:
        self.runs += 1
        try:
            raw = self.inspected.backend.predict(tensor)
            distribution = to_distribution(raw, self.inspected.backend.output, self.activation, 0, self.n_outputs)
        except RunError as error:
            self.failures[str(error)] = self.failures.get(str(error), 0) + 1
            return np.full(self._kept, FAILED, np.int32), np.zeros(len(self.mappings), np.float32), 0.0, FAILED
        if self._kept < self.n_outputs:
            top = np.argpartition(-distribution, self._kept - 1)[: self._kept]
        else:
            top = np.arange(self.n_outputs)
        top = top[np.lexsort((top, -distribution[top]))]
        truth = np.append(distribution, np.float32(0))[self._columns[:, label]]
        return top.astype(np.int32), truth, float(distribution[top[0]]), int(raw.reshape(-1).argmin())

    def answers(self, convention: Convention, mapping: int | None = None) -> NDArray[np.int32]:
        """int32 (n,): the label answered; FAILED where it failed, NOT_RUN where it was not run."""
        top = self._scores[convention].top
        labels = self._labels[self.mapping if mapping is None else mapping]
        known = np.where(top >= 0, labels[np.maximum(top, 0)], NO_LABEL)
        first = (known >= 0).argmax(axis=1)
        found = known[np.arange(len(known)), first]
        shift = self.mappings[self.mapping if mapping is None else mapping].shift
        if shift:  # an answer whose neighbour is no label is wrong, not another answer
            found = np.where((top[:, 0] >= 0) & (labels[np.maximum(top[:, 0], 0)] < 0), FAILED, found)
        return np.where(top[:, 0] < 0, top[:, 0], found).astype(np.int32)

    def right(self, convention: Convention, mapping: int | None = None) -> NDArray[np.float64]:
        """float64 (n,): 1 where it was right; meaningless where it was not run."""
        hits: NDArray[np.bool_] = self.answers(convention, mapping) == self.images.labels
        return hits.astype(np.float64)

    def lowest_right(self, convention: Convention) -> float:
        """Share of its images whose label is that of the output with the lowest number."""
        lowest, ran = self._scores[convention].lowest, self.ran(convention)
        known = np.where(lowest < 0, lowest, self._labels[0][np.maximum(lowest, 0)])
        return float((known == self.images.labels)[ran].mean())

    def ran(self, convention: Convention) -> NDArray[np.bool_]:
        """Bool (n,): the images it was run on."""
        return self._scores[convention].ran()

    def tried(self) -> list[Convention]:
        """Every convention that was run, in the order of trying."""
        return list(self._scores)

    def confidence(self, convention: Convention) -> float:
        """Mean of the highest probability over its images: what the network promises."""
        return float(self._scores[convention].confidence[self.ran(convention)].mean())

    def order(self, convention: Convention, count: int | None = None, truth_weight: float = 1.0) -> float:
        """To rank by: accuracy plus mean probability of the truth, on (the first `count` of) its images."""
        ran = np.flatnonzero(self.ran(convention))[:count]
        mapping = self.mapping if self._settled else self._best_mapping(convention, len(ran))
        truth = self._scores[convention].truth[ran, mapping]
        return float(self.right(convention, mapping)[ran].mean()) + truth_weight * float(truth.mean())

    def is_clearly_behind(self, other: Convention, leader: Convention, count: int) -> bool:
        """Is a convention clearly less accurate than the leader on the first `count` images."""
        # The benefit of the doubt: under a wrong mapping the right convention may look worse than a wrong one.
        mapping = self._best_mapping(other, count)
        mine, theirs = self.right(leader, self._best_mapping(leader, count))[:count], self.right(other, mapping)[:count]
        if sign_test(mine, theirs) < DROP_P:
            return True
        difference = self._log_truth(leader, count) - self._log_truth(other, count, mapping)
        spread = float(difference.std(ddof=1)) if count > 1 else 0.0
        if spread == 0 or float(difference.mean()) * sqrt(count) / spread < DROP_T:
            return False
        return paired_bootstrap(mine - theirs)[0] > 0

    def truth_t(self, *pairs: tuple[Convention, Convention]) -> float:
        """Student's t of the paired differences of the probability of the truth, averaged over pairs of conventions.

        Of the images that all of them were run on; 0 where there are no differences.
        """
        both = np.logical_and.reduce([self.ran(one) for pair in pairs for one in pair])
        ours, theirs = (
            [self._scores[pair[side]].truth[both, self.mapping].astype(np.float64) for pair in pairs] for side in (0, 1)
        )
        difference = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
        spread = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
        return 0.0 if spread == 0 else float(difference.mean()) * sqrt(len(difference)) / spread

    def likelihood_t(self, one: Convention, other: Convention) -> float:
        """Student's t of the paired differences of the log probability of the truth, on the images that both ran on."""
        both = self.ran(one) & self.ran(other)
        n = len(both)
        difference = (self._log_truth(one, n, self.mapping) - self._log_truth(other, n, self.mapping))[both]
        spread = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
        return 0.0 if spread == 0 else float(difference.mean()) * sqrt(len(difference)) / spread

    def is_clearly_ahead(self, one: Convention, other: Convention) -> bool:
        """Is a convention clearly more accurate than another on the images that both were run on."""
        both = self.ran(one) & self.ran(other)
        return sign_test(self.right(one)[both], self.right(other)[both]) < DROP_P

    def _best_mapping(self, convention: Convention, count: int) -> int:
        """The mapping by which a convention is most accurate on the first `count` images, the first among equals."""
        hits = [float(self.right(convention, mapping)[:count].sum()) for mapping in range(len(self.mappings))]
        return self.mapping if hits[self.mapping] == max(hits) else int(np.argmax(hits))

    def _log_truth(self, convention: Convention, count: int, mapping: int | None = None) -> NDArray[np.float64]:
        mapping = self._best_mapping(convention, count) if mapping is None else mapping
        truth = self._scores[convention].truth[:count, mapping].astype(np.float64)
        return np.log(np.maximum(truth, SMALLEST_PROBABILITY))

    def settle_mapping(self, conventions: Sequence[Convention], count: int) -> None:
        """Take the mapping by which a convention is most accurate, if it is clearly so, else the usual one."""

        def best(mapping: int) -> NDArray[np.float64]:
            return max((self.right(one, mapping)[:count] for one in conventions), key=lambda hits: float(hits.sum()))

        found = [best(mapping) for mapping in range(len(self.mappings))]
        chosen = max(range(len(found)), key=lambda mapping: float(found[mapping].sum()))
        level = MAPPING_P / max(1, len(found) - 1)
        self.mapping = chosen if sign_test(found[chosen], found[0]) < level else 0
        self._settled = self.mapping == chosen

    def compare(self, taken: Sequence[Convention], others: Sequence[Convention], name: str) -> Rival:
        """How far another choice is behind, pair by pair on the images that both were run on, averaged over pairs."""
        both = self.ran(taken[0]).copy()
        for one in (*taken, *others):
            both &= self.ran(one)
        mine = np.mean([self.right(one) for one in taken], axis=0)[both]
        theirs = np.mean([self.right(one) for one in others], axis=0)[both]
        same = all(
            np.array_equal(self.answers(a)[both], self.answers(b)[both]) for a, b in zip(taken, others, strict=True)
        )
        return Rival(
            name, int(both.sum()), float(theirs.mean()), float((mine - theirs).mean()), paired_bootstrap(mine - theirs),
            same and all(map(partial(self._same_truth, both), taken, others)), same,
        )  # fmt: skip

    def compare_mappings(self, convention: Convention, other: int, name: str) -> Rival:
        """How far another mapping of outputs to labels is behind the one taken."""
        ran = self.ran(convention)
        mine, theirs = self.right(convention)[ran], self.right(convention, other)[ran]
        same = bool(np.array_equal(mine, theirs))
        return Rival(
            name, int(ran.sum()), float(theirs.mean()), float((mine - theirs).mean()), paired_bootstrap(mine - theirs),
            same, same,
        )  # fmt: skip

    def _same_truth(self, rows: NDArray[np.bool_], one: Convention, other: Convention) -> bool:
        mine, theirs = self._scores[one], self._scores[other]
        return np.array_equal(mine.truth[rows], theirs.truth[rows])

    def usual_colours(self) -> list[Convention]:
        """Every way to make a pixel's values for these images, with the usual part of them."""
        found = list(colours(self.inspected, grey=self.images.grey))
        if stated(self.inspected) is None and self.whole_first:
            found = [replace(one, crop_fraction=1.0) for one in found]
        return found

    def every_crop(self, colour: Convention) -> list[Convention]:
        """Every part of these images, for the colour of one convention."""
        return list(crops(colour, self.inspected, whole_first=self.whole_first))

    @property
    def whole_first(self) -> bool:
        """The images have the size of the input: all of each is the most usual part."""
        return self.images.are_of(self.inspected.size)

    @property
    def only_one_colour(self) -> bool:
        """There is one way to make a pixel's values."""
        return len(self.usual_colours()) == 1

    @property
    def pace(self) -> float:
        """How many times the runs of a network of usual size this one may cost: a small file is a fast network."""
        return min(MAX_PACE, max(1.0, SMALL_FILE_BYTES / max(1, self.inspected.file.stat().st_size)))

    @property
    def written_mapping(self) -> int:
        """The mapping taken, or the usual one where the manifest is not to say what was found."""
        order = self.mappings[self.mapping].order
        return 0 if order == SHIFT or (self.fixed_labels and order != GIVEN) else self.mapping


def sign_test(better: NDArray[np.float64], worse: NDArray[np.float64]) -> float:
    """One-sided p of McNemar's exact test: as many images on which only the first is right, by chance alone."""
    ahead, behind = int(((better > 0) & (worse <= 0)).sum()), int(((better <= 0) & (worse > 0)).sum())
    discordant = ahead + behind
    return float(sum(comb(discordant, k) for k in range(ahead, discordant + 1)) / 2**discordant)
