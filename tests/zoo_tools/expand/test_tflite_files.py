"""int8 siblings of float TFLite files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from premodel.backends.litert import LitertBackend
from premodel.errors import MissingExtraError, ModelError
from premodel.zoo_tools.expand import tflite_files

pytest.importorskip("ai_edge_litert", reason="needs the extra premodel[litert]")

from tiny_models import write_tflite

RNG = np.random.default_rng(0)
SHAPE = [1, 8, 8, 3]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = tmp_path / "net.tflite"
    write_tflite(file, RNG.normal(size=(192, 4)).astype(np.float32), np.zeros(4, np.float32), SHAPE)
    return file


def test_quantised_files_are_told_from_float_ones(network: Path, tmp_path: Path) -> None:
    assert not tflite_files.is_quantised(network)
    quantised = tmp_path / "int8.tflite"
    write_tflite(quantised, RNG.normal(size=(192, 4)).astype(np.float32), np.zeros(4, np.float32), SHAPE, dtype="int8")
    assert tflite_files.is_quantised(quantised)
    (tmp_path / "no.tflite").write_bytes(b"no model at all, but long enough")
    with pytest.raises(ModelError, match="cannot be opened"):
        tflite_files.is_quantised(tmp_path / "no.tflite")


def test_a_float_file_without_a_signature_is_quantised_and_answers_alike(network: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="needs the extra premodel[expand-litert]")
    tensors = [RNG.random(SHAPE).astype(np.float32) for _ in range(40)]
    part = tmp_path / "int8.tflite"
    tflite_files.quantise(network, tensors, part)
    assert tflite_files.is_quantised(part)
    assert tflite_files.input_dtype(part) == "int8"
    answers = []
    for file in (network, part):
        backend = LitertBackend.open(file, threads=1)
        given = backend.input
        stored = [
            np.clip(np.rint(one / given.scale) + given.zero_point, -128, 127).astype(np.int8) if given.scale else one
            for one in tensors
        ]
        answers.append([int(backend.predict(one).argmax()) for one in stored])
        backend.close()
    assert np.mean(np.array(answers[0]) == np.array(answers[1])) >= 0.9


def test_without_the_quantiser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(MissingExtraError, match=r"premodel\[expand-litert\]"):
        tflite_files.quantiser_version()
