"""The last resort: a scale and a shift of the pixel values, fitted on labelled images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from premodel.zoo_tools.init.conventions import FITTED, Convention, mean_and_std
from premodel.zoo_tools.init.trial import MAPPING_P, Trial, sign_test

FIT_IMAGES = 64
MAX_FIT_RUNS = 2000
"""Of a network of usual size; a small one is fast, and may run more often."""
MEANS = tuple(number / 8 for number in range(9))
STDS = (1 / 255, 0.15, 0.3, 0.6, 1.2)
"""The grid that the search starts from, on the first images."""
GRID_IMAGES = 16
N_STARTS = 5
TRUTH_WEIGHT = 0.1
MIN_STEP = 0.02
"""The search ends when scale and shift are known to this share of the scale."""
FIRST_STEP = 0.25
MIN_HELD_OUT = 30
"""Images that the fit has not seen, by which it is judged."""


def fit_scale_and_shift(trial: Trial, taken: Convention) -> Convention:
    """What was taken, or the same with a fitted mean and std if that is clearly more accurate on images held out.

    Notes
    -----
    Value = a * pixel / 255 + b, one a and one b for all channels and then a b for each, by pattern search from the best
    of a grid: the network is a black box, and its accuracy has no gradient. Half of the images, and at most FIT_IMAGES,
    are fitted on; all the others judge.
    """
    n = len(trial.images)
    count = min(FIT_IMAGES, n // 2)
    quantised = trial.inspected.is_integer and not trial.inspected.backend.input.scale
    if n - count < MIN_HELD_OUT or quantised:
        return taken
    last_run = trial.runs + round(MAX_FIT_RUNS * trial.pace)
    first = _as_numbers(taken)
    few = min(GRID_IMAGES, count)
    # The best of each scale: the far too large ones are alike, and would take every place.
    starts = [
        max((_fitted(first, (mean,), (std,)) for mean in MEANS), key=lambda one: _score(trial, one, few))
        for std in STDS
    ]
    starts.sort(key=lambda one: _score(trial, one, few), reverse=True)
    found = [_descend(trial, start, count, last_run) for start in (first, *starts[:N_STARTS])]
    best = max(found, key=lambda one: _score(trial, one, count))
    trial.run([best], n, "fitted scale and shift")
    held_out = slice(count, n)
    if sign_test(trial.right(best)[held_out], trial.right(taken)[held_out]) < MAPPING_P:
        return best
    return taken


def _descend(trial: Trial, best: Convention, count: int, last_run: int) -> Convention:
    """The best that steps of a scale or a shift lead to, ever smaller ones."""
    score = _score(trial, best, count)
    step = FIRST_STEP
    while step >= MIN_STEP and trial.runs < last_run:
        tried = [(_score(trial, one, count), number, one) for number, one in enumerate(_neighbours(best, step))]
        top = max(tried, key=lambda item: (item[0], -item[1]))
        if top[0] > score:
            score, best = top[0], top[2]
        else:
            step /= 2
    return best


def _as_numbers(one: Convention) -> Convention:
    mean, std = one.fitted or mean_and_std(one.values, one.channels)
    return replace(one, values=FITTED, fitted=(mean or (0.0,), std or (1.0,)))


def _score(trial: Trial, one: Convention, count: int) -> float:
    """Accuracy and some of the mean probability of the truth: the one is what counts, the other has fewer steps."""
    trial.run([one], count, "fitting scale and shift")
    return trial.order(one, count, TRUTH_WEIGHT)


def _neighbours(one: Convention, step: float) -> Iterator[Convention]:
    """Scales and shifts around one convention's; the scale turns around the middle of the pixel values."""
    assert one.fitted is not None
    mean, std = np.array(one.fitted[0]), np.array(one.fitted[1])
    for factor in (1 + step, 1 / (1 + step)):
        yield _fitted(one, 0.5 + (mean - 0.5) * factor, std * factor)
        yield _fitted(one, mean, std * factor)
    for sign in (1, -1):
        yield _fitted(one, mean + sign * step * np.abs(std), std)
        if one.channels != "GRAY":
            for channel in range(3):
                moved = np.broadcast_to(mean, 3).copy()
                moved[channel] += sign * step * abs(float(np.broadcast_to(std, 3)[channel]))
                yield _fitted(one, moved, std)


def _fitted(one: Convention, mean: Sequence[float] | np.ndarray, std: Sequence[float] | np.ndarray) -> Convention:
    rounded = tuple(tuple(float(f"{number:.4g}") for number in numbers) for numbers in (mean, std))
    return replace(one, fitted=(rounded[0], rounded[1]))
