"""Two tasks of texts: registered, and loaded without a line of the domain of images, and the other way round."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from premodel.backends.base import TensorSpec
from premodel.backends.texts import pack_answer
from premodel.domains.registry import domain_of, tasks
from premodel.errors import RunError, ZooError
from premodel.fields import Fields

PROGRAM = """
import json, sys
from premodel.domains.registry import domain_of
domain = domain_of(sys.argv[1])
sample = domain.decode(domain.synthetic())
domain.extractor().extract(sample)
domain.prepare(sample, domain.read_spec(__import__("premodel.fields").fields.Fields(json.loads(sys.argv[2]), "here")),
               domain.plain_view(), domain.shared(sample))
print(json.dumps([name for name in sys.modules if name.startswith("premodel.domains.") or name in ("cv2", "gzip")]))
"""
IMAGE_INPUT = {
    "size": [8, 8], "layout": "NHWC", "dtype": "uint8", "resize": "squash", "crop_fraction": 1.0,
    "interpolation": "bilinear",
}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "spec", "absent"),
    [
        ("text-classification", {}, ("premodel.domains.image", "cv2")),
        ("translation", {}, ("premodel.domains.image", "cv2")),
        ("image-classification", IMAGE_INPUT, ("premodel.domains.text",)),
    ],
)
def test_a_domain_loads_no_other(task: str, spec: dict[str, object], absent: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", PROGRAM, task, json.dumps(spec)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    loaded = json.loads(found.stdout)
    assert loaded
    assert [name for name in loaded if name.startswith(absent)] == []


def test_both_tasks_are_built_in() -> None:
    assert {"text-classification", "translation"} <= set(tasks())
    assert domain_of("text-classification").answers_labels
    assert not domain_of("translation").answers_labels
    assert all(domain_of(task).latency_varies for task in ("text-classification", "translation"))


def test_a_translation_is_a_text_with_its_probability() -> None:
    domain, output = domain_of("translation"), TensorSpec((1, None), "uint8")
    said = domain.outcome(pack_answer("ein Hund", 0.5), output, None)
    assert (said.outcome, float(said.probabilities[0])) == ("ein Hund", 0.5)
    assert said.entropy == pytest.approx(math.log(2))
    assert domain.score(said, "ein Hund", "chrf") == 1.0
    unknown = domain.outcome(pack_answer("ein Hund"), output, None)
    assert (float(unknown.probabilities[0]), unknown.entropy) == (1.0, 0.0)
    with pytest.raises(RunError, match="translation is empty"):
        domain.outcome(pack_answer(" "), output, None)
    with pytest.raises(RunError, match="packed text"):
        domain.outcome(np.zeros((1, 4), np.float32), output, None)


def test_a_text_has_one_view() -> None:
    domain = domain_of("translation")
    assert domain.read_view(Fields({}, "here"), "v") == domain.plain_view("v")
    with pytest.raises(ZooError, match="unknown field mirror"):
        domain.read_view(Fields({"mirror": True}, "here"), "v")
