"""Finding a network's preprocessing: conventions race on labelled images, and the clearly worse drop out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from premodel.stats import wilson
from premodel.zoo_tools.init.conventions import (
    INVERTED,
    Convention,
    further_colours,
    interpolations,
    scale_of,
)
from premodel.zoo_tools.init.fit import fit_scale_and_shift
from premodel.zoo_tools.init.found import (
    PROMISE_GAP,
    Found,
    backward_note,
    better_colour,
    chance_of,
    found_for,
    like_pairs,
)
from premodel.zoo_tools.init.trial import MAPPING_P, Trial, sign_test

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
OTHER_SCALE = 8.0
"""Values whose range is so many times another's differ by scale: the answers hardly show it, their confidence does."""
USUAL_COLOURS = 14
"""Ways to make a pixel's values that the budget of a race is meant for; it grows with more."""
KEPT_COLOURS = 3
"""Colours that are compared once more at the crop found."""
MAX_TURNS = 2
"""How often the crop is looked for anew because another colour was taken."""


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
    inverted values are taken only where they are clearly more accurate over all crops that both were run with. Of
    values that differ by their scale, and hardly in accuracy, those that make the truth likelier are taken. What is
    found is distrusted where the accuracy is far below the confidence, or no better than chance: rarer values are
    tried then, and at last a scale and a shift are fitted. Each time that other values are taken, crop and
    interpolation race once more.
    """
    n = len(trial.images)
    every = trial.usual_colours()
    more = max(1.0, len(every) / USUAL_COLOURS)
    leading = race(trial, every, "channels and values", round(more * _budget(trial, "colour")))
    if not _is_above_chance(trial, leading[0]):
        # The usual crop may show the network nothing of what it needs: colours and the widest crops together.
        wide = [one.with_crop_of(crop) for crop in trial.every_crop(leading[0]) for one in every]
        wide = [one for one in wide if one.crop_fraction == 1 and one not in leading]
        leading = race(trial, [*leading, *wide], "crop", round(more * _budget(trial, "colour and crop")))
    taken = _preferred(trial, leading)
    for _ in range(MAX_TURNS):
        usual_crop, taken = taken, race(trial, trial.every_crop(taken), "crop", _budget(trial, "crop"), 1.0)[0]
        # At a crop that shows the network much less than it needs, colours cannot be distinguished.
        kept = leading[:KEPT_COLOURS]
        if trial.is_clearly_ahead(taken, usual_crop):
            kept = _not_ruled_out(trial, every, usual_crop)
        close = [one.with_crop_of(taken) for one in kept if one.colour != taken.colour]
        if not close:
            break
        again = _preferred(trial, race(trial, [taken, *close], "channels and values", _budget(trial, "close colours")))
        if again.colour == taken.colour:
            break
        taken = again
    taken = _interpolated(trial, taken)
    trial.run([taken], n, "all images")
    trial.settle_mapping([taken], n)
    distrusted = _is_doubtful(trial, taken) or not _is_above_chance(trial, taken)
    if distrusted and not _runs_backward(trial, taken):
        taken = _further(trial, taken)
    for _ in range(MAX_TURNS):
        # Which output is which label may have been settled late: what was compared before may look otherwise now.
        if (better := better_colour(trial, taken)) is None:
            break
        better = _of_likelier_scale(trial, _usual_if_as_good(trial, better))
        if better.colour == taken.colour:
            break
        taken = _fitted_parts(trial, better)
        trial.settle_mapping([taken], n)
    if (usual := _usual_if_as_good(trial, taken)).colour != taken.colour:
        trial.run([usual], n, "all images")
        if not trial.is_clearly_ahead(taken, usual):
            taken = usual
    return found_for(trial, taken)


def _runs_backward(trial: Trial, taken: Convention) -> bool:
    """Is the lowest output the label, by the convention where it is most often, run on all images."""
    best = max(trial.tried(), key=trial.lowest_right)
    if trial.lowest_right(best) <= trial.order(taken, truth_weight=0):
        return False
    trial.run([best], len(trial.images), "lowest outputs")
    return bool(backward_note(trial, taken))


def _interpolated(trial: Trial, usual: Convention) -> Convention:
    """The same with another interpolation, if one is better."""
    best = race(trial, interpolations(usual), "interpolation", _budget(trial, "interpolation"), 1.0)[0]
    return best if trial.truth_t((best, usual)) > PREFERRED_T or trial.is_clearly_ahead(best, usual) else usual


def _fitted_parts(trial: Trial, taken: Convention) -> Convention:
    """The crop and the interpolation for values that were not among the first, run on all images."""
    usual = replace(taken, interpolation=next(interpolations(taken)).interpolation)
    best = race(trial, trial.every_crop(usual), "crop", _budget(trial, "crop"), 1.0)[0]
    best = _interpolated(trial, best)
    trial.run([best], len(trial.images), "all images")
    return best


def _not_ruled_out(trial: Trial, conventions: Iterable[Convention], leader: Convention) -> list[Convention]:
    """Those that are not clearly behind on the images that they were run on, which are the first ones."""
    ran = {one: int(trial.ran(one).sum()) for one in conventions if one in trial.tried()}
    return [one for one, count in ran.items() if not trial.is_clearly_behind(one, leader, count)]


def _budget(trial: Trial, what: str) -> int:
    """Runs that one race may cost; a small network is fast, and may run more often."""
    runs = max(MIN_RACE_RUNS, round(RUNS_PER_IMAGE[what] * len(trial.images)))
    return round(runs * trial.pace)


def _is_above_chance(trial: Trial, one: Convention) -> bool:
    ran = trial.ran(one)
    return wilson(int(trial.right(one)[ran].sum()), int(ran.sum()))[0] > chance_of(trial)


def _preferred(trial: Trial, leading: Sequence[Convention]) -> Convention:
    """The most accurate, unless a more usual order of channels, or more usual values, may be as good.

    Values are compared over all the crops that both were run with: the crop at hand may be the luckiest of one.
    """
    usual_one = trial.usual_colours()[0].with_crop_of(leading[0])
    better = list(leading)
    if usual_one in trial.tried():
        better = [one for one in leading if one != usual_one and _is_preferred(trial, one, usual_one)]
    best = better[0] if better else usual_one
    for one in better[1:]:
        ahead, truth_t = _lead(trial, one, best)
        if ahead >= 0 and truth_t > PREFERRED_T:
            best = one
    return _of_likelier_scale(trial, _usual_if_as_good(trial, best))


def _usual_if_as_good(trial: Trial, best: Convention) -> Convention:
    """RGB in place of BGR, and values as they are in place of inverted ones, unless clearly behind over all crops."""
    for more_usual in (_with_rgb, _not_inverted):
        usual = more_usual(best)
        if usual.colour == best.colour or usual.colour not in {one.colour for one in trial.tried()}:
            continue
        pairs = like_pairs(trial, best, usual, "colour")
        if pairs and trial.compare([one for one, _ in pairs], [two for _, two in pairs], "").behind_ci[0] <= 0:
            best = usual
    return best


def _of_likelier_scale(trial: Trial, best: Convention) -> Convention:
    """Another that differs by the scale of its values and is about as accurate, if it makes the truth likelier.

    Inputs far too large make many a network sure of the answers that it would give anyway.
    """
    n, scale = len(trial.images), scale_of(best, trial.inspected)
    if not scale:
        return best
    same = (best.channels, best.crop, best.interpolation)
    others = [one for one in trial.tried() if (one.channels, one.crop, one.interpolation) == same]
    found = best
    for one in others:
        ratio = scale_of(one, trial.inspected) / scale
        if 1 / OTHER_SCALE < ratio < OTHER_SCALE or trial.likelihood_t(one, found) <= 0:
            continue
        trial.run([best, one], n, "scale of the values")
        # Larger values make a network surer: for them more is asked.
        behind = trial.compare([best], [one], "").behind_ci[0] > 0 if ratio > 1 else trial.is_clearly_ahead(best, one)
        if not behind and trial.likelihood_t(one, found) > PREFERRED_T:
            found = one
    return found


def _is_preferred(trial: Trial, one: Convention, usual: Convention) -> bool:
    """Is a convention so much better than the usual one that it is taken in its place."""
    ahead, truth_t = _lead(trial, one, usual)
    return (ahead > 0 and truth_t > PREFERRED_T) or trial.is_clearly_ahead(one, usual)


def _lead(trial: Trial, one: Convention, other: Convention) -> tuple[float, float]:
    """By how much one colour is more accurate than another, and t of the probabilities of the truth; over all crops."""
    pairs = like_pairs(trial, one, other, "colour")
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
    start = _at_usual_crop(trial, taken)
    rarer = further_colours(trial.inspected, start)
    best = race(trial, [start, *rarer], "rarer values", _budget(trial, "rarer values"))[0]
    trial.run([best], n, "all images")
    if best != start and sign_test(trial.right(best), trial.right(start)) < MAPPING_P:
        best = _fitted_parts(trial, best)
        if trial.is_clearly_ahead(best, taken):
            taken = best
    trial.settle_mapping([taken], n)
    if not _is_doubtful(trial, taken):
        return taken
    start = _at_usual_crop(trial, taken)
    fitted = fit_scale_and_shift(trial, start)
    if fitted == start:
        return taken
    fitted = _fitted_parts(trial, fitted)
    return fitted if trial.is_clearly_ahead(fitted, taken) else taken


def _at_usual_crop(trial: Trial, taken: Convention) -> Convention:
    """The usual crop in place of one that was found with wrong values and is not clearly better; on all images."""
    usual = replace(trial.every_crop(taken)[0], interpolation=taken.interpolation)
    if usual not in trial.tried() or trial.is_clearly_ahead(taken, usual):
        return taken
    trial.run([usual], len(trial.images), "all images")
    return usual
