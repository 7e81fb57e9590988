"""Settings are chosen on the training folds, and sums are the same in whatever order they are made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from premodel.evaluation.peers.choice import Setting, choose_by_folds
from premodel.training.folds import Fold, stratified_folds
from premodel.training.objective import Floor, Objective

NO_LOSS = ("no loss", Objective(Floor.parse("best")))


def test_settings_are_chosen_on_the_training_folds_alone() -> None:
    # Setting 0 is right on the first half, setting 1 on the second, setting 2 nowhere but cheap.
    n = 40
    first = np.arange(n) < n // 2

    def settings() -> Iterator[Setting]:
        yield from ((right, np.full(n, 2.0)) for right in (first, ~first, np.zeros(n, bool)))

    folds = [Fold(np.flatnonzero(first), np.flatnonzero(~first))]
    found = choose_by_folds(settings, folds, [NO_LOSS], lambda fold: 1.0)
    assert not found.right[0, ~first].any()  # chosen where it is right, served where it is wrong


def test_each_fold_is_served_by_the_setting_that_a_plain_search_finds() -> None:
    rng = np.random.default_rng(0)
    n = 300
    made = [(rng.random(n) < share, rng.choice([1.1, 2.7, 9.3], n)) for share in np.linspace(0.3, 0.9, 40)]
    folds = stratified_folds(rng.integers(0, 5, n), np.zeros(n, np.intp), 5, 0)
    asked = [NO_LOSS, ("at most 4 ms", Objective(max_latency_ms=4.0))]
    found = choose_by_folds(lambda: iter(made), folds, asked, lambda fold: 0.7)
    assert found.names == ("no loss", "at most 4 ms")
    for fold in folds:
        accuracy = np.array([right[fold.train].mean() for right, _ in made])
        latency_ms = np.array([ms[fold.train].astype(np.float32).mean(dtype=np.float64) for _, ms in made])
        for position, (_, objective) in enumerate(asked):
            pick = objective.choose(accuracy, latency_ms, 0.7)
            assert pick is not None
            assert found.right[position, fold.test].tolist() == made[pick][0][fold.test].tolist()
            assert np.array_equal(found.latency_ms[position, fold.test], made[pick][1][fold.test].astype(np.float32))
