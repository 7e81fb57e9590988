"""The ONNX file of an EfficientNet-Lite answers as the PyTorch package does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx")

from premodel.backends.onnx import OnnxBackend
from premodel.errors import ModelError
from premodel.zoo_tools.efficientnet_lite import efficientnet_lite
from torch_files import small_efficientnet

LOGITS = [-0.6017802, -2.6935191, 3.2055488, 3.8953154, -0.0744022]
"""What efficientnet-lite-pytorch 0.1.0 answers under PyTorch 2.13.0 with these weights on this image."""


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[Any]]:
    return small_efficientnet()


def test_the_file_answers_as_the_pytorch_package(weights: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    network = dict(weights)
    image = network.pop("image")
    file = tmp_path / "network.onnx"
    file.write_bytes(efficientnet_lite(network, (36, 36)))
    backend = OnnxBackend.open(file, threads=1)
    try:
        np.testing.assert_allclose(backend.predict(image)[0], LOGITS, atol=2e-5)
    finally:
        backend.close()
    assert efficientnet_lite(network, (36, 36)) == file.read_bytes()


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ({"_fc.bias": None}, "got none by this name; given: _fc.bias"),
        ({"_blocks.3._bn1.weight": np.ones(7, np.float32)}, r"_blocks\.3\._bn1\.weight: weights must fit each other"),
        ({"_conv_head.weight": np.ones((320, 81, 1, 1), np.float32)}, "_conv_head.weight: weights must fit each other"),
        ({"_fc.weight": np.ones((5, 320), np.int64)}, r"_fc\.weight: weights must fit each other; given: int64"),
        ({"_blocks.0._se_reduce.weight": np.ones(3, np.float32)}, "must be of EfficientNet-Lite; given: _blocks.0._se"),
    ],
)
def test_other_weights_are_refused(
    weights: dict[str, NDArray[Any]], change: dict[str, NDArray[Any] | None], states: str
) -> None:
    changed = {name: array for name, array in {**weights, **change}.items() if array is not None and name != "image"}
    with pytest.raises(ModelError, match=states):
        efficientnet_lite(changed, (36, 36))
