"""Answers that go with the truth under other labels than the given ones."""

from __future__ import annotations

import numpy as np

from premodel.zoo_tools.init.labels import orders_of
from premodel.zoo_tools.label_fit import better_order, swapped_labels

NAMES = [f"c{i}" for i in range(12)]
TRUTH = np.repeat(np.arange(12, dtype=np.int32), 10)


def sure(truth: np.ndarray, of_ten: int, other: np.ndarray) -> np.ndarray:
    """The truth in so many of ten, else `other`."""
    return np.where(np.arange(len(truth)) % 10 < of_ten, truth, other).astype(np.int32)


def test_an_order_that_fits_better_is_found_through_errors() -> None:
    (natural,) = orders_of(sorted(NAMES))
    place = np.asarray(natural.places, np.int32)
    found = better_order(sure(place[TRUTH], 6, np.zeros(120)), TRUTH, [natural])
    assert found is not None
    assert found.words == "the labels in natural order"
    assert found.right == int((sure(place[TRUTH], 6, np.zeros(120)) == place[TRUTH]).sum())


def test_an_order_is_not_taken_for_a_few_answers() -> None:
    orders = orders_of(sorted(NAMES), numbers=True)
    assert better_order(sure(TRUTH, 3, (TRUTH + 5) % 12), TRUTH, orders) is None
    assert better_order(TRUTH, TRUTH, []) is None


def test_a_class_that_is_taken_for_another_is_no_swap() -> None:
    """Every 3 is answered 4, and every 4 too: a weak network, not a list in the wrong order."""
    answers = np.where(TRUTH == 3, 4, TRUTH).astype(np.int32)
    assert swapped_labels(answers, TRUTH, NAMES) is None


def test_three_names_in_a_circle() -> None:
    circle = {3: 5, 5: 8, 8: 3}
    moved = np.array([circle.get(int(label), label) for label in TRUTH], np.int32)
    found = swapped_labels(sure(moved, 8, np.zeros(120)), TRUTH, NAMES)
    assert found is not None
    assert found.words == (
        "other names for the classes: it answers 'c3' as 'c5' (8 of 10), 'c5' as 'c8' (8 of 10), 'c8' as 'c3' (8 of 10)"
    )


def test_guessing_is_no_swap() -> None:
    rng = np.random.default_rng(0)
    found = [swapped_labels(rng.integers(0, 12, 120).astype(np.int32), TRUTH, NAMES) for _ in range(50)]
    assert found == [None] * 50


def test_classes_of_one_sample_say_nothing() -> None:
    truth = np.arange(12, dtype=np.int32)
    assert swapped_labels(np.roll(truth, 1), truth, NAMES) is None


def test_orders_of_numbers() -> None:
    found = {order.name: order.places for order in orders_of([f"n{chr(97 + i)}" for i in range(12)], numbers=True)}
    assert found == {
        "the textual order of their numbers (0, 1, 10, 11, ...)": (0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3),
        "the order of numbers, where the list is in the textual one (0, 1, 10, 11, ...)": (
            0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9,
        ),
        "the textual order of their numbers from 1 (1, 10, 11, ...)": (0, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3),
        "the order of numbers, where the list is in the textual one from 1 (1, 10, 11, ...)": (
            0, 9, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8,
        ),
    }  # fmt: skip
    assert orders_of([f"n{i}" for i in range(5)], numbers=True) == []
