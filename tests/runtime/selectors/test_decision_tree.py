from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from premodel.errors import BundleError
from premodel.runtime.selectors.decision_tree import DecisionTreeSelector

# Two trees. The first asks contrast <= 0.5, and on the right hue1 <= 2; the second is a leaf.
#   0: contrast <= 0.5 ? 1 : 2    1: leaf 0.25    2: hue1 <= 2 ? 3 : 4    3: leaf 0.75    4: leaf 1
#   5: leaf 0.5
PARTS: dict[str, Any] = {
    "roots": np.int32([0, 5]),
    "feature": np.int32([0, -1, 1, -1, -1, -1]),
    "threshold": np.float64([0.5, 0, 2, 0, 0, 0]),
    "left": np.int32([1, 0, 3, 0, 0, 0]),
    "right": np.int32([2, 0, 4, 0, 0, 0]),
    "shares": np.float64([[0.4], [0.25], [0.8], [0.75], [1], [0.5]]),
}
SETTINGS = {"features": ["contrast", "hue1"]}


def test_walks_by_hand() -> None:
    selector = DecisionTreeSelector.from_components(SETTINGS, PARTS)
    assert selector.n_candidates == 2
    inputs = np.float32([[0.5, 9], [0.5000001, 2], [7, 2.5]])  # on a threshold goes left
    assert [selector.score(row).tolist() for row in inputs] == [[0.25, 0.5], [0.75, 0.5], [1.0, 0.5]]
    assert selector.score_batch(inputs).tolist() == [[0.25, 0.5], [0.75, 0.5], [1.0, 0.5]]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("left", np.int32([1, 0, 2, 0, 0, 0]), "not a later node"),  # a node that leads to itself never ends
        ("right", np.int32([2, 0, 6, 0, 0, 0]), "not a later node"),
        ("feature", np.int32([0, -1, 2, -1, -1, -1]), "no known feature"),
        ("feature", np.int32([-2, -1, 1, -1, -1, -1]), "no known feature"),
        ("roots", np.int32([0, 6]), "outside its nodes"),
        ("roots", np.int32([]), "no candidates"),
        ("shares", np.float64([[0.4], [0.25], [0.8], [0.75], [1.5], [0.5]]), "outside"),
    ],
)
def test_a_broken_tree_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        DecisionTreeSelector.from_components(SETTINGS, {**PARTS, name: value})
