"""An answer is what was served, and stays so."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from premodel.records import Prediction
from premodel.runtime.answer import Answer
from premodel.runtime.policies.base import Run, Stop

SAID = Prediction(np.array([2, 0], np.int32), np.array([0.75, 0.25], np.float32), 0.5623)
STEPS = (Run(1, np.array([0.25, 0.5]), "why"), Stop(SAID, 1, 0.5, "large answered"))


def answer() -> Answer:
    return Answer(
        2, "cat", 0.75, "large", ("large",), {"small": "gone"}, False, 0.5, {"total": 1.5}, STEPS, SAID,
        ("dog", "bird", "cat"), ("small", "large"),
    )  # fmt: skip


def test_every_field_is_what_was_given() -> None:
    given = answer()
    assert (given.label, given.class_name, given.probability, given.candidate) == (2, "cat", 0.75, "large")
    assert (given.ran, given.failed, given.abstained, given.confidence) == (("large",), {"small": "gone"}, False, 0.5)
    assert given.latency_ms == {"total": 1.5}
    assert given.steps is STEPS
    assert given.prediction is SAID
    assert given.outcome is None
    assert [line.class_name for line in given.probabilities] == ["cat", "dog"]
    assert [step["run"] for step in given.to_json("x", explain=True)["steps"] if "run" in step] == ["large"]
    assert all(hasattr(given, field.name) for field in fields(Answer))
    assert "class_name='cat'" in repr(given)


@pytest.mark.parametrize("name", [field.name for field in fields(Answer)])
def test_a_field_cannot_be_written(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(answer(), name, None)


@pytest.mark.parametrize(
    ("step", "name"), [(STEPS[0], "candidate"), (STEPS[1], "source"), (STEPS[1], "prediction"), (STEPS[0], "reason")]
)
def test_a_step_cannot_be_written(step: Run | Stop, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(step, name, 0)


def test_a_confidence_that_is_none_is_no_number_in_json() -> None:
    given = Answer(None, None, None, None, (), {}, True, math.nan, {}, (Stop(None, None),), None, (), ())
    assert given.to_json("x", explain=True)["confidence"] is None
    assert given.probabilities == ()


def test_it_is_replaced_copied_and_pickled_like_any_dataclass() -> None:
    given = answer()
    changed = replace(given, confidence=0.25)
    assert (changed.confidence, changed.label, changed.prediction) == (0.25, 2, SAID)
    for other in (copy.copy(given), pickle.loads(pickle.dumps(given))):
        assert (other.label, other.class_name, other.probability, other.ran) == (2, "cat", 0.75, ("large",))
        assert [line.class_name for line in other.probabilities] == ["cat", "dog"]
