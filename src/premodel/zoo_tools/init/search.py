"""Finding a network's preprocessing: conventions race on labelled images, and the clearly worse drop out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.image.decode import Pyramid, preprocess
from premodel.errors import RunError
from premodel.profiling.progress import Progress, Silent
from premodel.runtime.prediction import to_distribution
from premodel.stats import paired_bootstrap, wilson
from premodel.zoo_tools.init.conventions import Convention, colours, crops, interpolations
from premodel.zoo_tools.init.images import TrialImages
from premodel.zoo_tools.init.inspect import Inspected

ROUNDS = (60, 150)
"""Images after which the clearly worse drop out; the rest see all images."""
DROP_LEVEL = 0.99
"""Of the interval that must lie above 0 for a convention to drop out: stricter than the verdict, as it is final."""
KEPT_COLOURS = 2
MIN_IMAGES = 30
"""Fewer images settle nothing: a resampled interval over a handful is too narrow."""
PARTS: dict[str, Callable[[Convention], Any]] = {
    "colour": lambda one: one.colour,
    "crop": lambda one: one.crop,
    "interpolation": lambda one: one.interpolation,
}
"""The aspects, and what of a convention belongs to each."""


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
    """

    name: str
    images: int
    accuracy: float
    behind: float
    behind_ci: tuple[float, float]
    identical: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "images": self.images,
            "accuracy": self.accuracy,
            "behind_points": 100 * self.behind,
            "behind_ci": [100 * bound for bound in self.behind_ci],
            "identical": self.identical,
        }


@dataclass(frozen=True)
class Decision:
    """What was taken in one aspect.

    Attributes
    ----------
    aspect:
        "colour" (channels and values), "crop" or "interpolation".
    chosen:
        In words.
    clear:
        Every other choice is clearly less accurate.
    others:
        The other choices, the closest first.
    """

    aspect: str
    chosen: str
    clear: bool
    others: tuple[Rival, ...]

    @property
    def rivals(self) -> tuple[Rival, ...]:
        """Those that are not clearly less accurate."""
        return tuple(other for other in self.others if other.behind_ci[0] <= 0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "aspect": self.aspect,
            "chosen": self.chosen,
            "clear": self.clear,
            "others": [other.to_json() for other in self.others],
        }


@dataclass(frozen=True)
class Found:
    """The preprocessing found for one model.

    Attributes
    ----------
    images, right:
        How many were run and how many answered right; the same images chose the convention, which flatters it a
        little.
    above_chance:
        The 95 % interval of the accuracy lies above chance: the better of guessing evenly and of always naming the
        commonest label of these images.
    runs:
        Of the network, in all.
    warnings:
        One line each.
    """

    convention: Convention
    images: int
    right: int
    decisions: tuple[Decision, ...]
    above_chance: bool
    runs: int
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Top-1."""
        return self.right / self.images

    @property
    def accuracy_ci(self) -> tuple[float, float]:
        """95 % Wilson interval."""
        return wilson(self.right, self.images)

    @property
    def clear(self) -> bool:
        """Every aspect is clear, and the accuracy above chance."""
        return self.above_chance and all(decision.clear for decision in self.decisions)


@dataclass(eq=False)
class _Score:
    """Of one convention on n images: answers (-1 failed, -2 not run) and probability of the truth."""

    answers: NDArray[np.int32]
    truth: NDArray[np.float32]

    def ran(self) -> NDArray[np.bool_]:
        return self.answers > -2


@dataclass(eq=False)
class Trial:
    """Runs one network under many conventions, each at most once per image.

    Attributes
    ----------
    activation, offset, n_labels:
        As the manifest will say.
    images:
        What it is tried on.
    """

    inspected: Inspected
    activation: str
    offset: int
    n_labels: int
    images: TrialImages
    progress: Progress = field(default_factory=Silent)
    runs: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    _scores: dict[Convention, _Score] = field(default_factory=dict)

    def run(self, conventions: Sequence[Convention], count: int, what: str) -> None:
        """Run the network on the first `count` images, under every convention that has not seen them yet."""
        n = len(self.images)
        for convention in conventions:
            self._scores.setdefault(convention, _Score(np.full(n, -2, np.int32), np.zeros(n, np.float32)))
        todo = [i for i in range(count) if any(self._scores[one].answers[i] == -2 for one in conventions)]
        self.progress.begin(what, len(todo), "images")
        specs = {convention: convention.spec(self.inspected) for convention in conventions}
        for index, image in self.images.read(todo):
            pyramid = Pyramid(image)
            seen: dict[tuple[int, str, str], tuple[int, float]] = {}
            for convention, spec in specs.items():
                score = self._scores[convention]
                if score.answers[index] > -2:
                    continue
                # Two crops that are the same part of this image (squash, and all of a square) share one run.
                key = (id(pyramid.level(spec, False)), *convention.colour)
                if key not in seen:
                    tensor = preprocess(image, spec, pyramid=pyramid, quantisation=self.inspected.backend.input)
                    seen[key] = self._answer(tensor, int(self.images.labels[index]))
                score.answers[index], score.truth[index] = seen[key]
            self.progress.advance()
        self.progress.end()

    def _answer(self, tensor: NDArray[Any], label: int) -> tuple[int, float]:
        self.runs += 1
        try:
            raw = self.inspected.backend.predict(tensor)
            output = self.inspected.backend.output
            distribution = to_distribution(raw, output, self.activation, self.offset, self.n_labels)
        except RunError as error:
            self.failures[str(error)] = self.failures.get(str(error), 0) + 1
            return -1, 0.0
        return int(distribution.argmax()), float(distribution[label])

    def right(self, convention: Convention) -> NDArray[np.float64]:
        """float64 (n,): 1 where it was right; meaningless where it was not run."""
        hits: NDArray[np.bool_] = self._scores[convention].answers == self.images.labels
        return hits.astype(np.float64)

    def ran(self, convention: Convention) -> NDArray[np.bool_]:
        """Bool (n,): the images it was run on."""
        return self._scores[convention].ran()

    def tried(self) -> list[Convention]:
        """Every convention that was run, in the order of trying."""
        return list(self._scores)

    def order(self, convention: Convention, count: int | None = None) -> tuple[float, float]:
        """To rank by: accuracy, then the mean probability of the truth, on (the first `count` of) its images."""
        ran = np.flatnonzero(self.ran(convention))[:count]
        return float(self.right(convention)[ran].mean()), float(self._scores[convention].truth[ran].mean())

    def compare(self, taken: Sequence[Convention], others: Sequence[Convention], aspect: str) -> Rival:
        """How far another choice is behind, pair by pair on the images that both were run on, averaged over pairs."""
        both = self.ran(taken[0]).copy()
        for one in (*taken, *others):
            both &= self.ran(one)
        mine = np.mean([self.right(one) for one in taken], axis=0)[both]
        theirs = np.mean([self.right(one) for one in others], axis=0)[both]
        return Rival(
            others[0].describe(aspect), int(both.sum()), float(theirs.mean()), float((mine - theirs).mean()),
            paired_bootstrap(mine - theirs), all(map(partial(self._same, both), taken, others)),
        )  # fmt: skip

    def _same(self, rows: NDArray[np.bool_], one: Convention, other: Convention) -> bool:
        mine, theirs = self._scores[one], self._scores[other]
        return np.array_equal(mine.answers[rows], theirs.answers[rows]) and np.array_equal(
            mine.truth[rows], theirs.truth[rows]
        )

    def shifted(self, convention: Convention, shift: int) -> int:
        """Right answers if every answer were `shift` labels further."""
        return int((self._scores[convention].answers + shift == self.images.labels)[self.ran(convention)].sum())


def race(trial: Trial, conventions: Iterable[Convention], what: str) -> list[Convention]:
    """Run conventions on ever more images, dropping those that are clearly less accurate than the leader.

    Returns
    -------
    Those that saw all images, the most accurate first; among equals the one that came first.
    """
    alive = list(conventions)
    n = len(trial.images)
    for count in (*(count for count in ROUNDS if count < n), n):
        trial.run(alive, count, what)
        alive.sort(key=lambda one, count=count: trial.order(one, count), reverse=True)  # type: ignore[misc]
        leader = trial.right(alive[0])[:count]
        alive = [
            one
            for one in alive
            if one is alive[0]
            or paired_bootstrap(leader - trial.right(one)[:count], level=DROP_LEVEL)[0] <= 0
            or count < MIN_IMAGES
        ]
    return alive


def find_preprocessing(trial: Trial) -> Found:
    """Find channels and values first, then the crop, then the interpolation.

    Parameters
    ----------
    trial:
        The network and the images.

    Notes
    -----
    The colours race with the usual crop; the best two that are not clearly worse then race with every crop; the
    winner with every interpolation. A model costs milliseconds per image and there are 140 combinations: this runs a
    tenth of them. The most accurate is taken; among equally accurate ones the one that gives the truth the higher
    mean probability, then the more usual one.
    """
    leading = race(trial, colours(trial.inspected), "channels and values")[:KEPT_COLOURS]
    leading = race(trial, [crop for colour in leading for crop in crops(colour)], "crop")
    taken = race(trial, interpolations(leading[0]), "interpolation")[0]
    decisions = tuple(_decide(trial, taken, aspect) for aspect in PARTS)
    right = int(trial.right(taken).sum())
    n = len(trial.images)
    chance = max(1 / trial.n_labels, int(np.bincount(trial.images.labels).max()) / n)
    above = wilson(right, n)[0] > chance
    warnings = [f"{count} runs failed: {reason}" for reason, count in trial.failures.items()]
    if not above:
        warnings.append(_chance_warning(trial, taken, right, chance))
    return Found(taken, n, right, decisions, above, trial.runs, tuple(warnings))


def _decide(trial: Trial, taken: Convention, aspect: str) -> Decision:
    """Compare the choice taken in one aspect with every other choice that was tried.

    The rest is held equal: a colour that dropped out was run with the usual crop only, and to hold the better crop of
    the one taken against it would be unfair. Two colours are compared over all the crops that both saw all images
    with, which is stronger evidence than any one of them.
    """
    part = PARTS[aspect]
    earlier = list(PARTS)[: list(PARTS).index(aspect)]
    pairs: dict[Any, list[tuple[Convention, Convention]]] = {}
    for other in trial.tried():
        if part(other) != part(taken):
            like = _with(other, taken, aspect)
            if like in trial.tried() and all(PARTS[name](other) == PARTS[name](taken) for name in earlier):
                pairs.setdefault(part(other), []).append((like, other))
    others = []
    for found in pairs.values():
        most = max(_common(trial, pair) for pair in found)
        longest = [pair for pair in found if _common(trial, pair) == most]
        others.append(trial.compare([pair[0] for pair in longest], [pair[1] for pair in longest], aspect))
    others.sort(key=lambda other: (other.behind, other.behind_ci))
    clear = len(trial.images) >= MIN_IMAGES and all(other.behind_ci[0] > 0 for other in others)
    return Decision(aspect, taken.describe(aspect), clear, tuple(others))


def _with(one: Convention, other: Convention, aspect: str) -> Convention:
    """`one`, with `other`'s choice in one aspect."""
    if aspect == "colour":
        return replace(one, values=other.values, channels=other.channels)
    if aspect == "crop":
        return replace(one, resize=other.resize, crop_fraction=other.crop_fraction)
    return replace(one, interpolation=other.interpolation)


def _common(trial: Trial, pair: tuple[Convention, Convention]) -> int:
    """Images that both were run on."""
    return int((trial.ran(pair[0]) & trial.ran(pair[1])).sum())


def _chance_warning(trial: Trial, taken: Convention, right: int, chance: float) -> str:
    n = len(trial.images)
    text = f"accuracy {100 * right / n:.1f} % on {n} images"
    text += f" is not above chance ({100 * chance:.1f} %) under any convention"
    for shift in (-1, 1):
        hits = trial.shifted(taken, shift)
        if wilson(hits, n)[0] > chance:
            return f"{text}; with every answer {shift:+d} it would be {100 * hits / n:.1f} %: check the label file"
    return f"{text}; check the label file, the labels of the images, and that they are images of this task"
