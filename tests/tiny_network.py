"""The tiny network that every backend is tried on, as a file of each runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from premodel.backends.base import Tensor
from premodel.backends.replay import record
from tiny_models import write_onnx, write_tflite

SHAPE = (1, 4, 4, 3)
_RNG = np.random.default_rng(7)
WEIGHTS = _RNG.normal(0, 0.5, (48, 5)).astype(np.float32)
BIAS = _RNG.normal(0, 1, 5).astype(np.float32)
INPUTS = [_RNG.random(SHAPE, np.float32) for _ in range(6)]


def expected(tensor: Tensor) -> Tensor:
    logits = tensor.reshape(1, -1).astype(np.float64) @ WEIGHTS + BIAS
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def write_replay(file: Path) -> None:
    record(file, INPUTS, np.concatenate([expected(tensor) for tensor in INPUTS]).astype(np.float32))


SOURCE = """import numpy as np

WEIGHTS = np.array({weights}, np.float64)
BIAS = np.array({bias}, np.float64)


def predict(tensor):
    logits = tensor.reshape(-1).astype(np.float64) @ WEIGHTS + BIAS
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()
"""


def write_python(file: Path) -> None:
    file.write_text(SOURCE.format(weights=WEIGHTS.tolist(), bias=BIAS.tolist()))


WRITERS: dict[str, Callable[[Path], None]] = {
    "onnx": lambda file: write_onnx(file, WEIGHTS, BIAS, ["N", *SHAPE[1:]]),
    "litert": lambda file: write_tflite(file, WEIGHTS, BIAS, SHAPE),
    "openvino": lambda file: write_onnx(file, WEIGHTS, BIAS, ["N", *SHAPE[1:]]),
    "replay": write_replay,
    "python": write_python,
}
"""Runtime -> what writes the network as a file of it; a new backend adds its own."""

SETTINGS: dict[str, dict[str, Any]] = {
    "python": {
        "callable": "tiny.py:predict",
        "labels": ["a", "b", "c", "d", "e"],
        "input": {"shape": SHAPE, "dtype": "float32"},
    },
}
"""Runtime -> settings without which its file cannot be opened."""
