"""Finding a network's preprocessing: conventions race on labelled images, and the clearly worse drop out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from premodel.stats import wilson
from premodel.zoo_tools.init.conventions import (
    FITTED,
    INVERTED,
    Convention,
    colours,
    crops,
    further_colours,
    interpolations,
)
from premodel.zoo_tools.init.fit import fit_scale_and_shift
from premodel.zoo_tools.init.labels import SHIFT, LabelMapping, in_words
from premodel.zoo_tools.init.trial import MAPPING_P, Rival, Trial, sign_test
from premodel.zoo_tools.label_fit import Fit, swapped_labels

ROUNDS = (12, 24, 48, 96, 150)
"""Images after which the clearly worse drop out; the rest see ever more."""
RUNS_PER_IMAGE = {
    "colour": 0.8,
    "crop": 0.6,
    "close colours": 0.3,
    "colour and crop": 3.0,
    "interpolation": 0.4,
    "rarer values": 0.9,
}
MIN_RACE_RUNS = 150
"""What one race may cost: so many times the images, but no less than that."""
COLOUR_WEIGHT = 0.01
"""Of the probability of the truth where colours are ranked: too large values make any network sure of its answers."""
PREFERRED_T = 2.0
"""Of the probabilities of the truth, paired: a less usual choice is taken only beyond it."""
KEPT_COLOURS = 3
"""Colours that are compared once more at the crop found."""
MIN_IMAGES = 30
"""Fewer images settle nothing: a resampled interval over a handful is too narrow."""
PROMISE_GAP = 0.1
"""An accuracy that is surely so far below the mean confidence is not what the network promises."""
MIN_ONE_ANSWER = 10
"""Images from which one answer to all of them is worth a word."""
MAX_TURNS = 2
"""How often the crop is looked for anew because another colour was taken."""
ASPECTS: dict[str, Callable[[Convention], Any]] = {
    "colour": lambda one: one.colour,
    "crop": lambda one: one.crop,
    "interpolation": lambda one: one.interpolation,
}
"""The aspects, and what of a convention belongs to each."""


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
        """Every aspect is clear, the accuracy above chance, and nothing speaks against what was found."""
        settled = [*self.decisions, *([self.labels] if self.labels is not None else [])]
        return self.above_chance and not self.doubtful and all(decision.clear for decision in settled)


def race(
    trial: Trial,
    conventions: Iterable[Convention],
    what: str,
    budget: int | None = None,
    truth_weight: float = COLOUR_WEIGHT,
) -> list[Convention]:
    """Run conventions on ever more images, dropping those that are clearly less accurate than the leader.

    Parameters
    ----------
    budget:
        Runs that the race may cost; None for no bound. Where it does not suffice for all that are left, the less
        accurate are set aside; they are not ruled out.
    truth_weight:
        Of the probability of the truth beside the accuracy, to rank by.

    Returns
    -------
    Those that are left, the most accurate first; among equals the one that came first.

    Notes
    -----
    A race ends when one is left: the winner is run on the rest of the images once all races are over.
    """
    alive = list(conventions)
    n = len(trial.images)
    seen, spent = 0, trial.runs
    for count in (*(count for count in ROUNDS if count < n), n):
        if seen and len(alive) == 1:
            break
        if seen and budget is not None:
            affordable = (budget - (trial.runs - spent)) // (count - seen)
            if affordable < 2:
                break
            alive = alive[:affordable]
        trial.run(alive, count, what)
        trial.settle_mapping(alive, count)
        alive.sort(key=lambda one, count=count: trial.order(one, count, truth_weight), reverse=True)  # type: ignore[misc]
        alive = [one for one in alive if one is alive[0] or not trial.is_clearly_behind(one, alive[0], count)]
        seen = count
    return alive


def find_preprocessing(trial: Trial) -> Found:
    """Find channels and values first, then the crop, then the interpolation, and which output is which label.

    Parameters
    ----------
    trial:
        The network and the images.

    Notes
    -----
    The colours race with the usual crop, the best with every crop, those close to it once more with the crop found, the
    winner with every interpolation. Colours are ranked by accuracy, crops and interpolations by accuracy and mean
    probability of the truth in equal parts: the one is what counts, the other needs fewer images. Of equals the more
    usual one is taken, and the usual values and interpolation stay unless another is better on the same images. BGR and
    inverted values are taken only where they are clearly more accurate over all crops that both were run with. What is
    found is distrusted where the accuracy is far below the confidence: rarer values are tried then, and at last a scale
    and a shift are fitted.
    """
    n = len(trial.images)
    leading = race(trial, colours(trial.inspected), "channels and values", _budget(trial, "colour"))
    if not _is_above_chance(trial, leading[0]):
        # The usual crop may show the network nothing of what it needs: colours and the widest crops together.
        every = list(colours(trial.inspected))
        wide = [one.with_crop_of(crop) for crop in crops(leading[0], trial.inspected) for one in every]
        wide = [one for one in wide if one.crop_fraction == 1]
        leading = race(trial, [*leading, *wide], "crop", _budget(trial, "colour and crop"))
    taken = _preferred(trial, leading)
    for _ in range(MAX_TURNS):
        usual_crop, taken = taken, race(trial, crops(taken, trial.inspected), "crop", _budget(trial, "crop"), 1.0)[0]
        # At a crop that shows the network much less than it needs, colours cannot be distinguished.
        kept = leading[:KEPT_COLOURS]
        if trial.is_clearly_ahead(taken, usual_crop):
            kept = _not_ruled_out(trial, colours(trial.inspected), usual_crop)
        close = [one.with_crop_of(taken) for one in kept if one.colour != taken.colour]
        if not close:
            break
        again = _preferred(trial, race(trial, [taken, *close], "channels and values", _budget(trial, "close colours")))
        if again.colour == taken.colour:
            break
        taken = again
    usual, best = taken, race(trial, interpolations(taken), "interpolation", _budget(trial, "interpolation"), 1.0)[0]
    taken = best if trial.truth_t((best, usual)) > PREFERRED_T or trial.is_clearly_ahead(best, usual) else usual
    trial.run([taken], n, "all images")
    trial.settle_mapping([taken], n)
    if _is_doubtful(trial, taken):
        taken = _further(trial, taken)
    return _found(trial, taken)


def _not_ruled_out(trial: Trial, conventions: Iterable[Convention], leader: Convention) -> list[Convention]:
    """Those that are not clearly behind on the images that they were run on, which are the first ones."""
    ran = {one: int(trial.ran(one).sum()) for one in conventions if one in trial.tried()}
    return [one for one, count in ran.items() if not trial.is_clearly_behind(one, leader, count)]


def _budget(trial: Trial, what: str) -> int:
    """Runs that one race may cost; a small network is fast, and may run more often."""
    runs = max(MIN_RACE_RUNS, round(RUNS_PER_IMAGE[what] * len(trial.images)))
    return round(runs * trial.pace)


def _found(trial: Trial, taken: Convention) -> Found:
    n = len(trial.images)
    found = trial.mapping
    decisions = tuple(_decide(trial, taken, aspect) for aspect in ASPECTS)
    trial.mapping = trial.written_mapping
    labels = _decide_labels(trial, taken) if trial.mapping == found else None
    mapping = trial.mappings[trial.mapping]
    right = int(trial.right(taken).sum())
    chance = _chance(trial)
    above = wilson(right, n)[0] > chance
    confidence = trial.confidence(taken)
    warnings = [f"{count} runs failed: {reason}" for reason, count in trial.failures.items()]
    doubtful = False
    if found != trial.mapping:
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
        taken, mapping, n, right, confidence, decisions, above, trial.runs, labels, doubtful, tuple(warnings)
    )  # fmt: skip


def _other_names(trial: Trial, taken: Convention) -> Fit | None:
    names = [trial.images.name(label) for label in range(trial.n_labels)]
    return swapped_labels(trial.answers(taken), trial.images.labels, names)


def _chance(trial: Trial) -> float:
    """The better of guessing evenly and of always naming the commonest label of these images."""
    return max(1 / trial.n_labels, int(np.bincount(trial.images.labels).max()) / len(trial.images))


def _is_above_chance(trial: Trial, one: Convention) -> bool:
    ran = trial.ran(one)
    return wilson(int(trial.right(one)[ran].sum()), int(ran.sum()))[0] > _chance(trial)


def _preferred(trial: Trial, leading: Sequence[Convention]) -> Convention:
    """The most accurate, unless a more usual order of channels, or more usual values, may be as good.

    Values are compared over all the crops that both were run with: the crop at hand may be the luckiest of one.
    """
    usual_one = next(colours(trial.inspected)).with_crop_of(leading[0])
    better = list(leading)
    if usual_one in trial.tried():
        better = [one for one in leading if one != usual_one and _is_preferred(trial, one, usual_one)]
    best = better[0] if better else usual_one
    for one in better[1:]:
        ahead, truth_t = _lead(trial, one, best)
        if ahead >= 0 and truth_t > PREFERRED_T:
            best = one
    for usual in (_with_rgb(best), _not_inverted(best)):
        if usual == best or usual not in trial.tried():
            continue
        pairs = _like_pairs(trial, best, usual, "colour")
        if pairs and trial.compare([one for one, _ in pairs], [two for _, two in pairs], "").behind_ci[0] <= 0:
            best = usual
    return best


def _is_preferred(trial: Trial, one: Convention, usual: Convention) -> bool:
    """Is a convention so much better than the usual one that it is taken in its place."""
    ahead, truth_t = _lead(trial, one, usual)
    return (ahead > 0 and truth_t > PREFERRED_T) or trial.is_clearly_ahead(one, usual)


def _lead(trial: Trial, one: Convention, other: Convention) -> tuple[float, float]:
    """By how much one colour is more accurate than another, and t of the probabilities of the truth; over all crops."""
    pairs = _like_pairs(trial, one, other, "colour")
    if not pairs:
        return 0.0, 0.0
    return trial.compare([mine for mine, _ in pairs], [theirs for _, theirs in pairs], "").behind, trial.truth_t(*pairs)


def _with_rgb(one: Convention) -> Convention:
    return replace(one, channels="RGB") if one.channels == "BGR" else one


def _not_inverted(one: Convention) -> Convention:
    return replace(one, values=one.values.removesuffix(INVERTED))


def _is_doubtful(trial: Trial, taken: Convention) -> bool:
    n = int(trial.ran(taken).sum())
    right = int(trial.right(taken).sum())
    return wilson(right, n)[1] < trial.confidence(taken) - PROMISE_GAP


def _further(trial: Trial, taken: Convention) -> Convention:
    """Rarer values, then a fitted scale and shift; what was taken, unless one is clearly more accurate."""
    n = len(trial.images)
    rarer = further_colours(trial.inspected, taken)
    best = race(trial, [taken, *rarer], "rarer values", _budget(trial, "rarer values"))[0]
    trial.run([best], n, "all images")
    if best != taken and sign_test(trial.right(best), trial.right(taken)) < MAPPING_P:
        taken = best
    if not _is_doubtful(trial, taken):
        return taken
    # A crop that was found with wrong values is no better than the usual one, unless clearly so.
    usual_crop = replace(next(crops(taken)), interpolation=taken.interpolation)
    start = taken
    if usual_crop in trial.tried() and not trial.is_clearly_ahead(taken, usual_crop):
        start = usual_crop
        trial.run([start], n, "all images")
    fitted = fit_scale_and_shift(trial, start)
    if fitted == start:
        return taken
    fitted = race(trial, crops(fitted, trial.inspected), "crop", _budget(trial, "crop"), 1.0)[0]
    trial.run([fitted], n, "all images")
    return fitted if trial.is_clearly_ahead(fitted, taken) else taken


def _decide(trial: Trial, taken: Convention, aspect: str) -> Decision:
    """Compare the choice taken in one aspect with every other choice that was tried, all else being equal.

    Two colours are compared over all the crops that both saw most images with, which shows more than any one of them.
    """
    part = ASPECTS[aspect]
    others = []
    seen: dict[Any, Convention] = {}
    for other in trial.tried():
        if part(other) != part(taken) and (other.values != FITTED or other.fitted == taken.fitted):
            seen.setdefault(part(other), other)
    for other in seen.values():
        pairs = _like_pairs(trial, taken, other, aspect)
        if pairs:
            name = other.describe(aspect)
            others.append(trial.compare([one for one, _ in pairs], [two for _, two in pairs], name))
    others.sort(key=lambda other: (other.behind, other.behind_ci))
    clear = len(trial.images) >= MIN_IMAGES and all(other.behind_ci[0] > 0 or other.same_answers for other in others)
    return Decision(aspect, taken.describe(aspect), clear, tuple(others))


def _like_pairs(trial: Trial, taken: Convention, other: Convention, aspect: str) -> list[tuple[Convention, Convention]]:
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
