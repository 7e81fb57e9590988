"""Do a network's answers go with the truth under other labels than those that it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from premodel.zoo_tools.init.labels import Order, orders_of

ORDER_P = 0.01
"""Of the exact sign test by which another order of the labels fits better, shared among the orders."""
SWAP_P = 0.001
"""Of that by which classes are answered under the names of others."""
MIN_OF_CLASS = 4
"""Samples of a class from which its commonest answer counts."""
BACKWARD_P = 1e-6
"""Of the exact binomial test by which the lowest output is the label."""
MIN_BACKWARD_Z = 6.0
"""Of very many samples, standard errors above chance."""
MAX_EXACT = 1000
NAMED = 3
"""Classes that a sentence names."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Fit:
    """Labels that fit better than the given ones.

    Attributes
    ----------
    words:
        What they are, to follow "with".
    right:
        Samples that are answered right with them.
    shift:
        What is added to every answer.
    """

    words: str
    right: int
    shift: int = 0


def better_order(answers: Labels, truth: Labels, orders: Sequence[Order]) -> Fit | None:
    """The order of the labels by which clearly more answers are right than by the given one; None if there is none.

    Parameters
    ----------
    answers, truth:
        int32 (n,): label answered and true label, by the given list.
    orders:
        Those to be tried.
    """
    given = answers == truth
    best: tuple[int, Order, NDArray[np.bool_]] | None = None
    for order in orders:
        hits = answers == np.asarray(order.places, np.int32)[truth]
        if best is None or int(hits.sum()) > best[0]:
            best = (int(hits.sum()), order, hits)
    if best is None or sign_test(best[2], given) >= ORDER_P / len(orders):
        return None
    return Fit(f"the labels in {best[1].name}", best[0])


def swapped_labels(answers: Labels, truth: Labels, names: Sequence[str]) -> Fit | None:
    """Classes that are answered under the name of another class; None if that is not clear.

    Notes
    -----
    Each class is given the answer that is commonest on one half of its samples, and the other half judges. A class
    whose commonest answer is its own name keeps it, and no other class may take that name: a network that merely takes
    one class for another is not a list in the wrong order.
    """
    given = answers == truth
    hits = given.copy()
    half = _halves(truth)
    for fitted in (0, 1):
        taken = _renamed(answers[half == fitted], truth[half == fitted])
        judged = np.flatnonzero(half != fitted)
        for row in judged:
            if int(truth[row]) in taken:
                hits[row] = answers[row] == taken[int(truth[row])]
    if sign_test(hits, given) >= SWAP_P:
        return None
    moved = _renamed(answers, truth)
    if not moved:
        return None
    target = np.arange(max(int(truth.max()) + 1, len(names)), dtype=np.int32)
    target[list(moved)] = list(moved.values())
    words = []
    for label, answer in sorted(moved.items(), key=lambda pair: -int((truth == pair[0]).sum()))[:NAMED]:
        of_class = truth == label
        count = int((answers[of_class] == answer).sum())
        words.append(f"{_name(names, label)!r} as {_name(names, answer)!r} ({count} of {int(of_class.sum())})")
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return Fit(
        f"other names for the classes: it answers {', '.join(words)}{more}", int((answers == target[truth]).sum())
    )


def other_labels(answers: Labels, truth: Labels, names: Sequence[str], own: Sequence[Sequence[str]] = ()) -> Fit | None:
    """Labels that clearly fit better than the given ones: another order, a shift by one, or names of other classes.

    Parameters
    ----------
    answers, truth:
        int32 (n,): label answered and true label, by the given list.
    names:
        The list.
    own:
        Lists of names that the network's file states.
    """
    ordered = better_order(answers, truth, orders_of(names, own, numbers=True))
    moved = shifted(answers, truth)
    if ordered is not None and (moved is None or ordered.right > moved.right):
        return ordered
    return moved or swapped_labels(answers, truth, names)


def shifted(answers: Labels, truth: Labels) -> Fit | None:
    """Every answer one further or one less, if clearly more are right then; None if not."""
    hits = {shift: answers + shift == truth for shift in (-1, 1)}
    best = max(hits, key=lambda shift: int(hits[shift].sum()))
    if sign_test(hits[best], answers == truth) >= ORDER_P / len(hits):
        return None
    return Fit(f"every answer {best:+d}", int(hits[best].sum()), best)


def is_backward(hits: int, samples: int, chance: float, tried: int = 1) -> bool:
    """Is the lowest output the true label far more often than by chance: do the answers run backward.

    Parameters
    ----------
    hits:
        Samples whose lowest output is that of the true label.
    chance:
        The share that guessing would reach.
    tried:
        Ways in which it was looked at, of which this is one.
    """
    if samples == 0 or hits * 2 <= samples or hits <= chance * samples:
        return False
    spread = sqrt(chance * (1 - chance) / samples)
    if samples > MAX_EXACT:
        return spread > 0 and (hits / samples - chance) / spread > MIN_BACKWARD_Z
    tail = sum(comb(samples, k) * chance**k * (1 - chance) ** (samples - k) for k in range(hits, samples + 1))
    return tail * tried < BACKWARD_P


def backward_words(hits: int, samples: int) -> str:
    """What such answers mean, and what to do."""
    return (
        f"the answers run backward: the lowest output is the right label on {hits} of {samples}; either the outputs "
        "are distances or logits with the wrong sign (negate them in the model file), or black and white are exchanged "
        "(a negative std inverts)"
    )


def sign_test(better: NDArray[np.bool_], worse: NDArray[np.bool_]) -> float:
    """One-sided p of McNemar's test: exact, of very many samples by the normal approximation."""
    ahead, behind = int((better & ~worse).sum()), int((~better & worse).sum())
    discordant = ahead + behind
    if ahead <= behind:
        return 1.0
    if discordant > MAX_EXACT:
        return erfc((ahead - behind - 1) / sqrt(2 * discordant)) / 2
    return float(sum(comb(discordant, k) for k in range(ahead, discordant + 1)) / 2**discordant)


def _halves(truth: Labels) -> NDArray[np.int8]:
    """Of each sample the half that it is in: every second one of its class."""
    seen: Counter[int] = Counter()
    half = np.zeros(len(truth), np.int8)
    for row, label in enumerate(truth):
        half[row] = seen[int(label)] % 2
        seen[int(label)] += 1
    return half


def _renamed(answers: Labels, truth: Labels) -> dict[int, int]:
    """The classes whose commonest answer is another class's name, and that name; no name twice."""
    found: list[tuple[int, int, int]] = []
    kept = set()
    for label in np.unique(truth):
        own = answers[truth == label]
        counts = Counter(int(answer) for answer in own if answer >= 0)
        if not counts:
            continue
        answer, count = max(counts.items(), key=lambda item: (item[1], item[0] == label))
        if answer == label:
            kept.add(answer)
        elif len(own) * 2 >= MIN_OF_CLASS and count * 2 > len(own):
            found.append((count, int(label), answer))
    taken: dict[int, int] = {}
    for _, label, answer in sorted(found, key=lambda item: (-item[0], item[1])):
        if answer not in kept:
            kept.add(answer)
            taken[label] = answer
    return taken


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)
