"""Tiny networks for tests, written without any training framework: softmax(flatten(x) @ weights + bias).

With `pooled` it is softmax(mean of x over all places @ weights + bias), which any height and width go with.

`write_onnx` writes the protobuf wire format by hand; `write_tflite` uses the flatbuffer schema that ai-edge-litert
brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ONNX_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "float16": 10}


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    parts = [_bytes(1, name) for name in inputs] + [_bytes(2, output), _bytes(4, kind)]
    parts += [_bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2)) for name, value in attributes.items()]
    return _bytes(1, b"".join(parts))


def _initializer(name: str, array: NDArray[Any]) -> bytes:
    dims = b"".join(_number(1, side) for side in array.shape)
    return _bytes(5, dims + _number(2, ONNX_TYPES[array.dtype.name]) + _bytes(8, name) + _bytes(9, array.tobytes()))


def _external(name: str, array: NDArray[Any], location: str, offset: int) -> bytes:
    """An initializer whose numbers lie in another file."""
    dims = b"".join(_number(1, side) for side in array.shape)
    entries = {"location": location, "offset": str(offset), "length": str(array.nbytes)}
    said = b"".join(_bytes(13, _bytes(1, key) + _bytes(2, value)) for key, value in entries.items())
    return _bytes(5, dims + _number(2, ONNX_TYPES[array.dtype.name]) + _bytes(8, name) + said + _number(14, 1))


def _value(field: int, name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _bytes(2, side) if isinstance(side, str) else _number(1, side)) for side in shape)
    tensor = _number(1, ONNX_TYPES[dtype]) + _bytes(2, dims)
    return _bytes(field, _bytes(1, name) + _bytes(2, _bytes(1, tensor)))


def write_onnx(
    file: Path,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    shape: Sequence[int | str],
    *,
    dtype: str = "float32",
    softmax: bool = True,
    outputs: Sequence[str] = ("prob",),
    pooled: bool = False,
    external: str | None = None,
) -> None:
    """An `.onnx` file; `shape` of the input with names for free dimensions; every output gives the same numbers.

    A `pooled` one takes NCHW. `external` names a file beneath the model's folder that weights and bias are kept in.
    """
    nodes = [_node("Cast", ["x"], "real", to=1)]
    nodes += [_node("GlobalAveragePool", ["real"], "mean")] if pooled else []
    nodes.append(_node("Flatten", ["mean" if pooled else "real"], "flat", axis=1))
    nodes.append(_node("Gemm", ["flat", "weights", "bias"], "logits"))
    nodes += [_node("Softmax" if softmax else "Identity", ["logits"], name) for name in outputs]
    graph = b"".join(nodes) + _bytes(2, "tiny")
    if external is None:
        graph += _initializer("weights", weights) + _initializer("bias", bias)
    else:
        graph += _external("weights", weights, external, 0) + _external("bias", bias, external, weights.nbytes)
        (file.parent / external).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / external).write_bytes(weights.tobytes() + bias.tobytes())
    graph += _value(11, "x", dtype, shape)
    graph += b"".join(_value(12, name, "float32", [shape[0], weights.shape[1]]) for name in outputs)
    file.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13)))


def write_tflite(
    file: Path,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    shape: Sequence[int],
    *,
    dtype: str = "float32",
    outputs: Sequence[str] = ("prob",),
    signature: Sequence[int] | None = None,
    pooled: bool = False,
) -> None:
    """A `.tflite` file, float32 or fully quantised (int8): input real value = 1/128 * (stored - zero point 0).

    The output of a quantised file is 1/256 * (stored + 128). Every output gives the same numbers. `signature` is the
    input's shape with -1 for free dimensions.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    kinds = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, "tiny"
    model.buffers, graph.tensors = [schema.BufferT()], []

    def tensor(
        name: str, shape: Sequence[int], kind: str, scale: float = 0.0, zero: int = 0, data: bytes | None = None
    ) -> int:
        item = schema.TensorT()
        item.name, item.shape, item.type = name, list(shape), kinds[kind]
        if scale:
            item.quantization = schema.QuantizationParametersT()
            item.quantization.scale, item.quantization.zeroPoint = [scale], [zero]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8)
            item.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    def operator(code: int, version: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, version
        model.operatorCodes.append(entry)
        item = schema.OperatorT()
        item.opcodeIndex, item.inputs, item.outputs = len(model.operatorCodes) - 1, inputs, [output]
        item.builtinOptionsType, item.builtinOptions = kind, options
        graph.operators.append(item)

    quantised = dtype == "int8"
    size, n_outputs = weights.shape
    model.operatorCodes, graph.operators = [], []
    step, input_step, logit_step = (float(np.abs(weights).max() / 127), 1 / 128, 1 / 8) if quantised else (0.0,) * 3
    stored = np.ascontiguousarray(weights.T)
    if quantised:
        stored = np.rint(stored / step).astype(np.int8)
        bias = np.rint(bias / (step * input_step)).astype(np.int32)
    x = tensor("x", shape, dtype, input_step)
    graph.tensors[x].shapeSignature = None if signature is None else list(signature)
    axes = np.array([1, 2] if pooled else [1, size], np.int32)  # the places, or the new shape
    second = tensor("axes", [2], "int32", data=axes.tobytes())
    flat = tensor("flat", [1, size], dtype, input_step)
    w = tensor("weights", [n_outputs, size], dtype, step, data=stored.tobytes())
    b = tensor("bias", [n_outputs], bias.dtype.name, step * input_step, data=bias.tobytes())
    logits = tensor("logits", [1, n_outputs], dtype, logit_step)
    if pooled:
        mean = schema.ReducerOptionsT()
        operator(schema.BuiltinOperator.MEAN, 1, [x, second], flat, schema.BuiltinOptions.ReducerOptions, mean)
    else:
        reshape = schema.ReshapeOptionsT()
        reshape.newShape = [1, size]
        operator(schema.BuiltinOperator.RESHAPE, 1, [x, second], flat, schema.BuiltinOptions.ReshapeOptions, reshape)
    connect = schema.FullyConnectedOptionsT()
    operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        4,
        [flat, w, b],
        logits,
        schema.BuiltinOptions.FullyConnectedOptions,
        connect,
    )
    graph.inputs, graph.outputs = [x], []
    for name in outputs:
        out = tensor(name, [1, n_outputs], dtype, 1 / 256 if quantised else 0.0, -128 if quantised else 0)
        softmax = schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        operator(schema.BuiltinOperator.SOFTMAX, 2, [logits], out, schema.BuiltinOptions.SoftmaxOptions, softmax)
        graph.outputs.append(out)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    file.write_bytes(bytes(builder.Output()))
