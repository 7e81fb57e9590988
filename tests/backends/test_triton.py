"""What is particular to the backend of Triton's own models; the contract is in test_contract.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_triton import FakeTriton
from premodel.backends.triton import TritonBackend
from premodel.errors import ModelError, OptionError, RunError, ZooError
from premodel.zoo.manifest import read_zoo

TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 4, 4, 3]}
SETTINGS = {"model": "m", "input": TENSOR, "output": {"name": "prob", "datatype": "FP32", "shape": [1, 5]}}


def open_backend(settings: dict[str, Any]) -> TritonBackend:
    return TritonBackend.open(Path("m"), threads=1, settings=settings)


@pytest.fixture
def triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTriton:
    found = FakeTriton(tmp_path)
    monkeypatch.setitem(sys.modules, found.__name__, found)
    return found


def test_outside_triton() -> None:
    with pytest.raises(ModelError, match="runs only inside Triton's Python backend"):
        open_backend(SETTINGS)


@pytest.mark.parametrize("name", ["model", "input", "output"])
def test_a_setting_is_missing(triton: FakeTriton, name: str) -> None:
    with pytest.raises(OptionError, match=rf"settings\.{name} is missing"):
        open_backend({key: value for key, value in SETTINGS.items() if key != name})


@pytest.mark.parametrize("wrong", [{}, {"shape": [1, "a"]}, {"shape": 3}, "x"])
def test_settings_that_name_no_tensor(triton: FakeTriton, wrong: Any) -> None:
    entry = {**TENSOR, **wrong} if wrong and isinstance(wrong, dict) else wrong
    with pytest.raises(ModelError, match="no tensor"):
        open_backend({**SETTINGS, "input": entry})


def test_outside_of_a_request_triton_refuses(triton: FakeTriton) -> None:
    with pytest.raises(RunError, match=r"Triton failed \(other models"):
        open_backend(SETTINGS).predict(np.zeros((1, 4, 4, 3), np.float32))


def test_an_output_that_does_not_come(triton: FakeTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "_exec", lambda *_: triton.InferenceResponse([]))
    with pytest.raises(RunError, match="no such output; given: prob"):
        open_backend(SETTINGS).predict(np.zeros((1, 4, 4, 3), np.float32))


def test_no_manifest_names_it(tmp_path: Path) -> None:
    (tmp_path / "zoo.toml").write_text("""
name = "z"
task = "image-classification"
labels = ["a", "b"]
[[models]]
name = "m"
runtime = "triton"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
output = { activation = "softmax" }
[models.input]
size = [4, 4]
layout = "NHWC"
dtype = "float32"
resize = "squash"
crop_fraction = 1.0
interpolation = "bilinear"
""")
    with pytest.raises(ZooError, match=r"runtime.*given: .?triton.?; allowed: onnx, (?!.*triton)"):
        read_zoo(tmp_path / "zoo.toml")
