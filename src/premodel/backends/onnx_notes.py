"""What an `.onnx` file states besides shapes: how integer inputs and outputs are quantised, and exporter's notes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from premodel.backends.base import TensorSpec
from premodel.backends.external_data import protobuf_entry, protobuf_fields, protobuf_text

MAX_SCALAR_BYTES = 1 << 10
"""A tensor of one number takes less, its name included."""
PASSING = frozenset({"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators that change no number: the quantisation of what they take is that of what they give."""
INTEGERS = ("uint8", "int8")
_FLOAT, _UINT8, _INT8, _INT32, _FLOAT16 = 1, 2, 3, 6, 10
_FORMATS = {_FLOAT: "<f", _UINT8: "<B", _INT8: "<b", _INT32: "<i", _FLOAT16: "<e"}


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: float | None = None


def quantised(file: Path, spec: TensorSpec, name: str, *, is_input: bool) -> TensorSpec:
    """The tensor with the scale and zero point of the node behind an integer input, or before an integer output.

    Notes
    -----
    That is a DequantizeLinear that takes the input, a QuantizeLinear that gives the output, with operators between that
    change no number. A scale for each channel, or one that is computed, is none that a single number can say; the
    tensor is then given back as it is.
    """
    if spec.dtype not in INTEGERS:
        return spec
    nodes, constants = _graph(file)
    kind = "DequantizeLinear" if is_input else "QuantizeLinear"
    for _ in range(len(nodes) + 1):
        near = [node for node in nodes if name in (node.inputs[:1] if is_input else node.outputs)]
        if not near or (is_input and len(near) > 1 and any(node.kind != kind for node in near)):
            return spec
        node = near[0]
        if node.kind == kind and len(node.inputs) > 1:
            scale = constants.get(node.inputs[1])
            zero = constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else 0.0
            if scale is None or zero is None or scale <= 0:
                return spec
            return replace(spec, scale=scale, zero_point=int(zero))
        if node.kind not in PASSING or not node.inputs or not node.outputs:
            return spec
        name = node.outputs[0] if is_input else node.inputs[0]
    return spec


def metadata(file: Path) -> dict[str, str]:
    """The properties that an exporter wrote into an `.onnx` file; none of a file that is no protobuf."""
    found: dict[str, str] = {}
    try:
        with file.open("rb") as stream:
            for field, place, length in protobuf_fields(stream, 0, os.fstat(stream.fileno()).st_size):
                if field == 14 and place is not None:
                    key, text = protobuf_entry(stream, place, length)
                    found[key] = text
    except (OSError, IndexError):
        return {}
    return found


def _graph(file: Path) -> tuple[list[_Node], dict[str, float]]:
    """The nodes of the main graph, and its constants of a single number; weights are passed over unread."""
    nodes: list[_Node] = []
    constants: dict[str, float] = {}
    try:
        with file.open("rb") as stream:
            for field, place, length in protobuf_fields(stream, 0, os.fstat(stream.fileno()).st_size):
                if field != 7 or place is None:
                    continue
                for inner, start, size in protobuf_fields(stream, place, place + length):
                    if inner == 1 and start is not None:
                        nodes.append(_node(stream, start, size))
                    elif inner == 5 and start is not None and size <= MAX_SCALAR_BYTES:
                        name, value = _scalar(stream, start, size)
                        if value is not None:
                            constants[name] = value
    except (OSError, IndexError, struct.error):
        return [], {}
    constants |= {node.outputs[0]: node.constant for node in nodes if node.constant is not None and node.outputs}
    return nodes, constants


def _node(stream: IO[bytes], start: int, length: int) -> _Node:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[tuple[int, int]] = []
    kind = ""
    for field, place, size in protobuf_fields(stream, start, start + length):
        if place is None:
            continue
        if field == 5:
            attributes.append((place, size))
        elif field in (1, 2, 4):
            text = protobuf_text(stream, place, size)
            if field == 4:
                kind = text
            else:
                (inputs if field == 1 else outputs).append(text)
    constant = next(_constants(stream, attributes), None) if kind == "Constant" else None
    return _Node(kind, tuple(inputs), tuple(outputs), constant)


def _constants(stream: IO[bytes], attributes: list[tuple[int, int]]) -> Iterator[float]:
    """Values of a Constant node that are one number."""
    for start, length in attributes:
        for field, place, size in protobuf_fields(stream, start, start + length):
            if field == 5 and place is not None and size <= MAX_SCALAR_BYTES:
                value = _scalar(stream, place, size)[1]
                if value is not None:
                    yield value


def _scalar(stream: IO[bytes], start: int, length: int) -> tuple[str, float | None]:
    """Name of a tensor, and its value if it holds one number."""
    name, kind, count, raw, typed = "", 0, 1, b"", None
    for field, place, value in protobuf_fields(stream, start, start + length):
        if field == 1:  # a dimension, or several packed
            sides = [value] if place is None else list(_packed(stream, place, value))
            for side in sides:
                count *= side
        elif field == 2 and place is None:
            kind = value
        elif field == 8 and place is not None:
            name = protobuf_text(stream, place, value)
        elif field in (4, 5, 9) and place is not None:
            stream.seek(place)
            data = stream.read(value)
            if field == 9:
                raw = data
            elif field == 4 and len(data) == 4:
                typed = struct.unpack("<f", data)[0]
            elif field == 5:
                numbers = list(_packed(stream, place, value))
                typed = numbers[0] - (1 << 64 if numbers[0] >> 63 else 0) if len(numbers) == 1 else None
        elif field == 5 and place is None:
            typed = value - (1 << 64 if value >> 63 else 0)
    if count != 1:
        return name, None
    form = _FORMATS.get(kind)
    if raw and form is not None and len(raw) == struct.calcsize(form):
        return name, float(struct.unpack(form, raw)[0])
    return name, None if typed is None else float(typed)


def _packed(stream: IO[bytes], start: int, length: int) -> Iterator[int]:
    stream.seek(start)
    value = shift = 0
    for byte in stream.read(length):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
