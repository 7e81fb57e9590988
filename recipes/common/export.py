"""A trained PyTorch network as an ONNX file: batch normalisation folded, checked against PyTorch on real inputs."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

OPSET = 17
SCALE = "_scale"
"""What the name of a weight's scales ends in."""


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of `network` whose convolutions carry the batch normalisation that followed them.

    Found in any `nn.Sequential`: Conv2d, BatchNorm2d; and Conv2d, MaxPool2d, BatchNorm2d where all scales of the
    normalisation are positive, since the maximum commutes with a growing function. What cannot be folded stays.
    """
    folded = copy.deepcopy(network).cpu().eval()
    for sequence in [m for m in folded.modules() if isinstance(m, nn.Sequential)]:
        for position, norm in enumerate(sequence):
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            source = position - 1
            if source > 0 and isinstance(sequence[source], nn.MaxPool2d) and bool((norm.weight > 0).all()):
                source -= 1
            conv = sequence[source] if source >= 0 else None
            if isinstance(conv, nn.Conv2d):
                sequence[source] = fuse_conv_bn_eval(conv, norm)
                sequence[position] = nn.Identity()
    return folded


def export_onnx(network: nn.Module, path: Path, input_shape: tuple[int, ...], *, weight_bits: int = 32) -> str:
    """Write `network` (folded, in evaluation mode) to `path`; returns the file's SHA-256.

    The file has one input `image` of exactly `input_shape`, float32, and one output `logits`. Names of source files,
    which exporters like to leave in, are removed. `weight_bits` of 16 or 8 make it smaller, see `narrow_weights`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.onnx.export(
        fold_batch_norm(network),
        (torch.zeros(input_shape),),
        str(partial),
        input_names=["image"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(str(partial))
    model.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    if weight_bits != 32:
        narrow_weights(model, weight_bits)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(partial))
    partial.replace(path)
    return sha256(path)


def narrow_weights(model: onnx.ModelProto, bits: int) -> None:
    """Store the weights of two or more dimensions in `bits`, 16 or 8, with what makes them float32 again behind each.

    16 is float16. 8 is int8, in multiples of 1/127 of the largest of each output (the first dimension). Runtimes fold
    the cast and the product when they open the file: they compute in float32, as before, with rounded weights.
    """
    graph = model.graph
    before, scales = [], []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
        if bits == 16:
            stored, widened = values.astype(np.float16), name
        else:
            largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            stored, widened = np.rint(values / scale).astype(np.int8), f"{name}_wide"
            scales.append(onnx.numpy_helper.from_array(scale, name + SCALE))
        tensor.CopyFrom(onnx.numpy_helper.from_array(stored, f"{name}_narrow"))
        before.append(onnx.helper.make_node("Cast", [tensor.name], [widened], to=onnx.TensorProto.FLOAT))
        if widened != name:
            before.append(onnx.helper.make_node("Mul", [widened, name + SCALE], [name]))
    graph.initializer.extend(scales)
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def onnx_logits(path: Path, inputs: Tensor, *, threads: int = 1) -> Tensor:
    """What onnxruntime answers, (N, K), for inputs (N, C, H, W) given one at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = [session.run(None, {name: np.ascontiguousarray(row[None])})[0] for row in inputs.numpy()]
    return torch.from_numpy(np.concatenate(rows))


def check_onnx(path: Path, network: nn.Module, inputs: Tensor, *, tolerance: float = 1e-3) -> float:
    """The largest difference of a logit between onnxruntime and PyTorch on `inputs`, real and normalised.

    Raises ValueError where it exceeds `tolerance`.
    """
    with torch.inference_mode():
        expected = copy.deepcopy(network).cpu().eval()(inputs)
    difference = float((onnx_logits(path, inputs) - expected).abs().max())
    if not difference <= tolerance:
        raise ValueError(
            f"{path}: onnxruntime's logits are up to {difference:.2g} from PyTorch's, allowed {tolerance:g}"
        )
    return difference


def count_macs(path: Path) -> int:
    """Multiply-adds of all convolutions and matrix products of an ONNX file with fixed shapes; 1 MAC is 2 FLOP."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.value_info, *model.graph.output]
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:  # narrow weights made wide
        if node.op_type in ("Cast", "Mul") and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":  # weight: outputs, inputs / groups, height, width
            total += int(np.prod(shapes[node.output[0]]) * np.prod(weights[node.input[1]][1:]))
        elif node.op_type in ("Gemm", "MatMul"):
            total += int(np.prod(shapes[node.output[0]][:-1]) * np.prod(weights[node.input[1]]))
    return total


def count_parameters(path: Path) -> int:
    """Numbers in the initialisers of an ONNX file, but for scales: the parameters of the folded network."""
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
    tensors = onnx.load(str(path)).graph.initializer
    weights = [one for one in tensors if one.data_type in kinds and not one.name.endswith(SCALE)]
    return sum(int(np.prod(one.dims)) for one in weights)
