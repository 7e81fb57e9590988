"""What was found for one network: the choice of every aspect, how sure it is, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from premodel.runtime.prediction import BINARY_LABELS
from premodel.stats import wilson
from premodel.zoo_tools.init.conventions import FITTED, Convention
from premodel.zoo_tools.init.labels import SHIFT, LabelMapping, in_words
from premodel.zoo_tools.init.trial import Rival, Trial
from premodel.zoo_tools.label_fit import Fit, backward_words, is_backward, swapped_labels

ASPECTS: dict[str, Callable[[Convention], Any]] = {
    "colour": lambda one: one.colour,
    "crop": lambda one: one.crop,
    "interpolation": lambda one: one.interpolation,
}
"""The aspects, and what of a convention belongs to each."""
PROMISE_GAP = 0.1
"""An accuracy that is surely so far below the mean confidence is not what the network promises."""
MIN_ONE_ANSWER = 10
"""Images from which one answer to all of them is worth a word."""
MIN_IMAGES = 30
"""Fewer images settle nothing: a resampled interval over a handful is too narrow."""


@dataclass(frozen=True)
class Decision:
    """What was taken in one aspect.

    Attributes
    ----------
    aspect:
        "colour" (channels and values), "crop", "interpolation" or "labels".
    chosen:
        In words.
    clear:
        Every other choice is clearly less accurate, or answers the same.
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
    mapping:
        Which output is which label, as the manifest can say it.
    images, right:
        How many were run and how many answered right; the same images chose the convention, which flatters it a
        little.
    confidence:
        The mean of the highest probability: the accuracy that the network itself promises.
    above_chance:
        The 95 % interval of the accuracy lies above chance: the better of guessing evenly and of always naming the
        commonest label of these images.
    labels:
        What was decided about outputs and labels; None where there was nothing to decide.
    runs:
        Of the network, in all.
    doubtful:
        The accuracy is far below the confidence, or other labels fit better: what was found may be wrong.
    guessed:
        What these images cannot show, one line each.
    warnings:
        One line each.
    """

    convention: Convention
    mapping: LabelMapping
    images: int
    right: int
    confidence: float
    decisions: tuple[Decision, ...]
    above_chance: bool
    runs: int
    labels: Decision | None = None
    doubtful: bool = False
    guessed: tuple[str, ...] = ()
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
        """Every aspect is clear, the accuracy above chance, nothing guessed, and nothing speaks against it."""
        settled = [*self.decisions, *([self.labels] if self.labels is not None else [])]
        sure = self.above_chance and not self.doubtful and not self.guessed
        return sure and all(decision.clear for decision in settled)


def found_for(trial: Trial, taken: Convention) -> Found:
    """What to report of a search that took a convention."""
    n = len(trial.images)
    found = trial.mapping
    decisions = tuple(_decide(trial, taken, aspect) for aspect in ASPECTS)
    trial.mapping = trial.written_mapping
    labels = _decide_labels(trial, taken) if trial.mapping == found else None
    mapping = trial.mappings[trial.mapping]
    right = int(trial.right(taken).sum())
    chance = chance_of(trial)
    above = wilson(right, n)[0] > chance
    confidence = trial.confidence(taken)
    warnings = [f"{count} runs failed: {reason}" for reason, count in trial.failures.items()]
    doubtful = False
    if words := backward_note(trial, taken):
        warnings.append(f"accuracy {100 * right / n:.1f} % on {n} images; {words}")
        doubtful = True
    elif found != trial.mapping:
        hits, better = int(trial.right(taken, found).sum()), trial.mappings[found]
        how, do = (
            f"with every answer {better.shift:+d}",
            "check the label file, and whether the images' labels count from 0",
        )
        if better.order != SHIFT:
            how, do = f"with {' and '.join(in_words(better))}", "check the order of the label file"
        warnings.append(
            f"accuracy {100 * right / n:.1f} % on {n} images; {how} it would be {100 * hits / n:.1f} %: {do}"
        )
        doubtful = True
    elif (swapped := _other_names(trial, taken)) is not None:
        warnings.append(
            f"accuracy {100 * right / n:.1f} % on {n} images; it would be {100 * swapped.right / n:.1f} % with "
            f"{swapped.words}: check the label file"
        )
        doubtful = True
    elif not above:
        warnings.append(
            f"accuracy {100 * right / n:.1f} % on {n} images is not above chance ({100 * chance:.1f} %) under any "
            "convention; check the label file, the labels of the images, and that they are images of this task"
        )
    elif wilson(right, n)[1] < confidence - PROMISE_GAP:
        warnings.append(
            f"accuracy {100 * right / n:.1f} % is far below the confidence, {100 * confidence:.1f} %: either these "
            "images are harder than those it was trained on, or none of the preprocessings tried is its own"
        )
        doubtful = True
    answers = np.unique(trial.answers(taken))
    if len(answers) == 1 and answers[0] >= 0 and n >= MIN_ONE_ANSWER:
        warnings.append(f"answers only one label, {trial.images.name(int(answers[0]))!r}, on all {n} images")
        doubtful = True
    return Found(
        taken, mapping, n, right, confidence, decisions, above, trial.runs, labels, doubtful,
        tuple(_not_shown(trial, taken)), tuple(warnings),
    )  # fmt: skip


def backward_note(trial: Trial, taken: Convention) -> str:
    """That the lowest output is the label, if it is under some convention far more often than the highest; else ""."""
    if trial.n_labels <= BINARY_LABELS:
        return ""
    ran = trial.ran(taken)
    reached = max(chance_of(trial), wilson(int(trial.right(taken)[ran].sum()), int(ran.sum()))[1])
    best = max(trial.tried(), key=trial.lowest_right)
    count = int(trial.ran(best).sum())
    hits = round(trial.lowest_right(best) * count)
    return backward_words(hits, count) if is_backward(hits, count, reached, len(trial.tried())) else ""


def _not_shown(trial: Trial, taken: Convention) -> Iterator[str]:
    """What the images cannot show."""
    if trial.images.grey and taken.channels != "GRAY":
        yield (
            f"order of channels: {taken.channels}, guessed: no image has a colour; it matters only for images that "
            "have one"
        )


def _other_names(trial: Trial, taken: Convention) -> Fit | None:
    names = [trial.images.name(label) for label in range(trial.n_labels)]
    return swapped_labels(trial.answers(taken), trial.images.labels, names)


def chance_of(trial: Trial) -> float:
    """The better of guessing evenly and of always naming the commonest label of these images."""
    return max(1 / trial.n_labels, int(np.bincount(trial.images.labels).max()) / len(trial.images))


def _decide(trial: Trial, taken: Convention, aspect: str) -> Decision:
    """Compare the choice taken in one aspect with every other choice that was tried, all else being equal.

    A choice that was compared with none of the others is not clear. Two colours are compared over all the
    crops that both saw most images with, which shows more than any one of them.
    """
    part = ASPECTS[aspect]
    others = []
    seen: dict[Any, Convention] = {}
    for other in trial.tried():
        if part(other) != part(taken) and (other.values != FITTED or other.fitted == taken.fitted):
            seen.setdefault(part(other), other)
    for other in seen.values():
        pairs = like_pairs(trial, taken, other, aspect)
        if pairs:
            name = other.describe(aspect)
            others.append(trial.compare([one for one, _ in pairs], [two for _, two in pairs], name))
    others.sort(key=lambda other: (other.behind, other.behind_ci))
    compared = bool(others) or (aspect == "colour" and trial.only_one_colour)
    clear = all(other.behind_ci[0] > 0 or other.same_answers for other in others)
    clear = clear and compared and len(trial.images) >= MIN_IMAGES
    return Decision(aspect, taken.describe(aspect), clear, tuple(others))


def better_colour(trial: Trial, taken: Convention) -> Convention | None:
    """What was taken, with other channels and values that were tried and are surely more accurate; None if none are."""
    best: tuple[float, Convention] | None = None
    seen = {other.colour: other for other in trial.tried() if other.colour != taken.colour and other.values != FITTED}
    for other in seen.values():
        pairs = like_pairs(trial, taken, other, "colour")
        compared = trial.compare([a for a, _ in pairs], [b for _, b in pairs], "") if pairs else None
        if compared is None or compared.images < MIN_IMAGES or compared.behind_ci[1] >= 0:
            continue
        if best is None or compared.behind < best[0]:
            best = compared.behind, other.with_crop_of(taken)
    return None if best is None else best[1]


def like_pairs(trial: Trial, taken: Convention, other: Convention, aspect: str) -> list[tuple[Convention, Convention]]:
    """Pairs of conventions that differ in one aspect, as these two do, and were run on the same, most, images."""
    part = ASPECTS[aspect]
    earlier = list(ASPECTS)[: list(ASPECTS).index(aspect)]
    tried = trial.tried()
    pairs = []
    for one in tried:
        if part(one) == part(other) and all(ASPECTS[name](one) == ASPECTS[name](taken) for name in earlier):
            like = _with(one, taken, aspect)
            if like in tried:
                pairs.append((like, one))
    most = max((_common(trial, pair) for pair in pairs), default=0)
    return [pair for pair in pairs if _common(trial, pair) * 2 > most]


def _with(one: Convention, other: Convention, aspect: str) -> Convention:
    """`one`, with `other`'s choice in one aspect."""
    if aspect == "colour":
        return replace(one, values=other.values, channels=other.channels, layout=other.layout, fitted=other.fitted)
    return one.with_crop_of(other) if aspect == "crop" else replace(one, interpolation=other.interpolation)


def _common(trial: Trial, pair: tuple[Convention, Convention]) -> int:
    """Images that both were run on."""
    return int((trial.ran(pair[0]) & trial.ran(pair[1])).sum())


def _decide_labels(trial: Trial, taken: Convention) -> Decision | None:
    """Compare the mapping of outputs to labels with the others; None where there is no other that has a name."""
    chosen = trial.mapping
    words = [", ".join(in_words(mapping)) or "as the list has them" for mapping in trial.mappings]
    named = [number for number, mapping in enumerate(trial.mappings) if mapping.order != SHIFT and number != chosen]
    if not named:
        return None
    others = [trial.compare_mappings(taken, number, words[number]) for number in named]
    others.sort(key=lambda other: (other.behind, other.behind_ci))
    clear = len(trial.images) >= MIN_IMAGES and all(other.behind_ci[0] > 0 for other in others)
    return Decision("labels", words[chosen], clear, tuple(others))
