"""The Open Inference Protocol v2 over HTTP: JSON, and the binary tensor extension behind it, for both directions.

The one place where requests, responses and tensors are taken apart and written: the server, the board's agent and the
client of remote models use it, and say only what their own tensors mean.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from struct import pack, unpack_from
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from premodel.errors import InputError
from premodel.fields import shown

DATATYPES = {
    "FP32": "<f4",
    "FP16": "<f2",
    "FP64": "<f8",
    "UINT8": "|u1",
    "INT8": "|i1",
    "INT32": "<i4",
    "INT64": "<i8",
}
"""The protocol's name -> numpy's, little endian as the protocol sends it."""
_DTYPES = {name: np.dtype(code) for name, code in DATATYPES.items()}
_DATATYPE_OF = {dtype: name for name, dtype in _DTYPES.items()}
HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header: bytes of JSON before the binary data."""
BINARY_TYPE = "application/octet-stream"
JSON_TYPE = "application/json"
BYTES = "BYTES"
SIZE = "binary_data_size"
REQUEST_FIELDS = ("id", "parameters", "inputs", "outputs")
TENSOR_FIELDS = ("name", "shape", "datatype", "parameters", "data")
FOREIGN = frozenset(
    ("model_name", "model_version", "content_type", "headers", "priority", "sequence_id", "sequence_start",
     "sequence_end", "classification", "use_raw", "raw_input_contents")
)  # fmt: skip
"""Fields and parameters that KServe, MLServer and Triton send or know: passed over, however near they are to others."""
SHARED_MEMORY = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")
MISSPELT = 0.8
"""Least similarity, by difflib, at which an unknown name counts as a misspelt one."""
MAX_NUMBER = 1e15

Values = NDArray[Any] | bytes | Sequence[str]
"""What a tensor is written from; bytes are one BYTES element, texts are as many, and so is an array of objects."""


def datatype_of(dtype: str | np.dtype[Any]) -> str:
    """The protocol's name of a numpy dtype; InputError if it has none."""
    name = _DATATYPE_OF.get(np.dtype(dtype).newbyteorder("<"))
    if name is None:
        raise InputError("the protocol has no such type", given=str(dtype), allowed=", ".join(DATATYPES))
    return name


def dtype_of(datatype: str) -> str:
    """numpy's name of one of the protocol's types; the protocol's own where numpy has none here."""
    return _DTYPES[datatype].name if datatype in DATATYPES else datatype


def write_tensor(name: str, values: Values, *, binary: bool) -> tuple[str, bytes | None]:
    """The JSON table of a tensor, and its binary data; None where its data stand in the table."""
    chunk = None
    content: list[Any] = []
    if isinstance(values, np.ndarray) and values.dtype != object:
        datatype, shape = datatype_of(values.dtype), list(values.shape)
        if binary:
            chunk = np.ascontiguousarray(values, DATATYPES[datatype]).tobytes()
        else:
            content = values.ravel().tolist()
    else:
        elements = (
            [values]
            if isinstance(values, bytes)
            else values.ravel().tolist()
            if isinstance(values, np.ndarray)
            else list(values)
        )
        shape = list(values.shape) if isinstance(values, np.ndarray) else [len(elements)]
        datatype = BYTES
        if binary:
            chunk = join_elements([one if isinstance(one, bytes) else one.encode() for one in elements])
        else:
            content = [one.decode() if isinstance(one, bytes) else one for one in elements]
    held = f'"data":{_ENCODER.encode(content)}' if chunk is None else f'"parameters":{{"{SIZE}":{len(chunk)}}}'
    return f'{{"name":{_ENCODER.encode(name)},"datatype":"{datatype}","shape":{shape},{held}}}', chunk


def write_body(
    head: Mapping[str, Any], key: str, tensors: Mapping[str, Values], binary: Mapping[str, bool] | None = None
) -> tuple[bytes, int]:
    """A body and the length of its JSON.

    Parameters
    ----------
    head:
        What goes beside the tensors.
    key:
        "inputs" or "outputs".
    tensors:
        By name; bytes are one BYTES element, shape [1].
    binary:
        Which of them go behind the JSON, by name; None for all.
    """
    tables, chunks = [], []
    for name, values in tensors.items():
        table, chunk = write_tensor(name, values, binary=binary is None or binary[name])
        tables.append(table)
        if chunk is not None:
            chunks.append(chunk)
    beside = _ENCODER.encode(head)[1:-1]
    text = f'{{{beside}{"," if beside else ""}"{key}":[{",".join(tables)}]}}'.encode()
    return b"".join((text, *chunks)), len(text)


def join_elements(elements: Sequence[bytes]) -> bytes:
    """BYTES elements as binary data: four bytes of length, little endian, before each."""
    chunks: list[bytes] = []
    for element in elements:
        chunks += (pack("<I", len(element)), element)
    return b"".join(chunks)


def split_elements(binary: memoryview) -> list[bytes]:
    """The elements that `join_elements` joined; InputError if they do not end with the data."""
    elements = []
    position, end = 0, len(binary)
    while position < end:
        if end - position < 4:
            raise InputError("binary data ends within the length of an element", given=f"{end} bytes")
        (size,) = unpack_from("<I", binary, position)
        position += 4
        if size > end - position:
            raise InputError(
                "binary data ends within an element",
                given=f"{end - position} bytes",
                allowed=f"{size}, by the length before it",
            )
        elements.append(bytes(binary[position : position + size]))
        position += size
    return elements


def read_body(
    body: bytes, header_length: int | None, max_depth: int | None = None
) -> tuple[dict[str, Any], memoryview]:
    """The JSON table of a body, and the binary data behind it.

    Parameters
    ----------
    body:
        As received.
    header_length:
        Value of HEADER_LENGTH; None if all of the body is JSON.
    max_depth:
        Lists and tables inside one another; None for what Python's parser bears.

    Raises
    ------
    InputError
        It is no JSON table, nested too deep, or shorter than it states.
    """
    if header_length is None:
        return parse_json(body, max_depth), memoryview(b"")
    if not 0 < header_length <= len(body):
        raise InputError(f"{HEADER_LENGTH} is not within the body", given=header_length, allowed=f"1 to {len(body)}")
    return parse_json(body[:header_length], max_depth), memoryview(body)[header_length:]


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def parse_json(text: bytes, max_depth: int | None = None) -> dict[str, Any]:
    """A JSON table; one nested too deep is refused before it is parsed.

    Raises
    ------
    InputError
        It is no JSON, no table, or too deep.
    """
    if max_depth is not None and text.count(b"[") + text.count(b"{") > max_depth:  # else it cannot be too deep
        signs = np.frombuffer(_STRING.sub(b"", text), np.uint8)
        steps = ((signs == 0x5B) | (signs == 0x7B)).astype(np.int8) - ((signs == 0x5D) | (signs == 0x7D))
        depth = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
        if depth > max_depth:
            _refuse("JSON is nested too deep", given=depth, allowed=f"up to {max_depth}")
    try:
        data = _DECODER.decode(text.decode(json.detect_encoding(text), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON ({error})") from error
    if not isinstance(data, dict):
        _refuse("no JSON table", given=data)
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {name}")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def tensor_chunks(entries: Any, binary: memoryview, what: str) -> Iterator[tuple[dict[str, Any], memoryview | None]]:
    """Each tensor's table with its binary data, None if its data stand in the table; in order.

    Parameters
    ----------
    entries:
        The list of tables; anything else holds none.
    binary:
        What follows the JSON; all of it must belong to a tensor.
    what:
        "input" or "output", for messages.

    Raises
    ------
    InputError
        An entry is no table, or the sizes that the tables state are not what follows.
    """
    position = 0
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            _refuse(f"an {what} must be a table", given=entry)
        parameters = table(entry, "parameters", what)
        refuse_shared_memory(parameters, f"parameters of the {what}")
        size = parameters.get(SIZE)
        if size is None:
            yield entry, None
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary) - position:
            _refuse(
                f"{SIZE} is not what follows the JSON", given=size,
                allowed=f"up to {len(binary) - position} (bytes after the first {HEADER_LENGTH})",
            )  # fmt: skip
        if entry.get("data") is not None:
            _refuse(f"{what} has both data and {SIZE}", do="send one of them")
        yield entry, binary[position : position + size]
        position += size
    if position != len(binary):
        _refuse(f"binary data that no {what} names", given=f"{len(binary) - position} bytes", do=f"set {SIZE}")


def read_outputs(entries: Any, binary: memoryview) -> dict[str, NDArray[Any]]:
    """Numeric tensors by name, from the table of a response and what is behind it; others are left out.

    Raises
    ------
    InputError
        An entry is no tensor, or shape and data differ.
    """
    return {
        str(entry.get("name")): read_tensor(entry, chunk)
        for entry, chunk in tensor_chunks(entries, binary, "output")
        if entry.get("datatype") != BYTES
    }


def shape_in(entry: Mapping[str, Any], least: int = 0) -> tuple[int, ...]:
    """The shape of a tensor's table; InputError if it is none, or a side is below `least`."""
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and least <= side < 1 << 31 for side in shape):
        raise InputError("wrong shape", given=shown(shape), allowed=f"a list of whole numbers from {least}")
    return tuple(shape)


def read_tensor(entry: Mapping[str, Any], binary: memoryview | None) -> NDArray[Any]:
    """A numeric tensor from its table: its binary data, or its `data`, flat or nested as its shape.

    Raises
    ------
    InputError
        The datatype is none of DATATYPES, or shape and data differ.
    """
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InputError("unknown datatype", given=shown(datatype), allowed=", ".join(DATATYPES))
    shape, dtype = shape_in(entry), _DTYPES[datatype]
    size = math.prod(shape)
    if binary is not None:
        if len(binary) != size * dtype.itemsize:
            raise InputError(
                "shape and data differ", given=f"{len(binary)} bytes", allowed=f"{size * dtype.itemsize}, by the shape"
            )
        return np.frombuffer(binary, dtype).reshape(shape)
    data = entry.get("data")
    if not isinstance(data, list):
        raise InputError("tensor has no data", given=shown(data), allowed=f"a list of numbers, or {SIZE}")
    try:
        values = np.asarray(data)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("data must be a tensor: its lists have different lengths") from error
    if values.shape not in (shape, (size,)):
        raise InputError(
            "shape and data differ", given=f"{values.size} values", allowed=f"{size} numbers, {list(shape)} or flat"
        )
    if values.dtype.kind not in "iuf" or not _fits(values, dtype):
        raise InputError(f"data does not fit {datatype}", given=shown(data), allowed=f"{size} numbers of {datatype}")
    with np.errstate(over="ignore"):  # too large for the type is infinite, and refused as an answer
        return values.astype(dtype).reshape(shape)


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Are these numbers of an integer type within it; those of a float type always are."""
    if dtype.kind == "f" or not values.size:
        return True
    limits = np.iinfo(dtype)
    return values.dtype.kind in "iu" and int(values.min()) >= limits.min and int(values.max()) <= limits.max


def shape_of(sides: Sequence[int]) -> tuple[int | None, ...]:
    """A shape of the protocol's metadata, where -1 is a free side; a free batch, the first side, is 1."""
    shape: list[int | None] = [None if side < 0 else side for side in sides]
    if shape and shape[0] is None:
        shape[0] = 1
    return tuple(shape)


def table(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """A table within a table, empty if it is not there or null; InputError if it is something else."""
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(f"{name} must be a table", where=where, given=value)
    return value


def check_names(data: Mapping[str, Any], where: str, own: Sequence[str]) -> None:
    """Refuse a misspelt name of one's own; what others send is passed over.

    Raises
    ------
    InputError
        A name is near to one of `own`, the message states which.
    """
    for name in data:
        if name not in own and name not in FOREIGN and data[name] is not None:
            meant = _meant(name, own)
            if meant:
                _refuse("unknown field", where=where, given=name, allowed=", ".join(own), do=f"is {meant} meant?")


def _meant(name: str, own: Sequence[str]) -> str:
    """Which of one's own names is meant by an unknown one; empty if none is near."""
    folded = {_folded(one): one for one in own}
    found = difflib.get_close_matches(_folded(name), folded, 1, MISSPELT)
    if found:
        return folded[found[0]]
    short = _folded(name)
    within = (
        one for text, one in folded.items() if min(len(short), len(text)) >= 5 and (short in text or text in short)
    )
    return next(within, "")


def _folded(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


def refuse_shared_memory(parameters: Mapping[str, Any], where: str) -> None:
    """Refuse tensors in shared memory, as whoever asks for them looks for no others."""
    for name in SHARED_MEMORY:
        if parameters.get(name) is not None:
            _refuse("shared memory is not offered", where=where, given=name, do="send and ask for binary_data instead")


def flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    """A truth value among the parameters; InputError if it is none."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        _refuse(f"{name} must be true or false", given=value, allowed="true, false")
    return value


def number(parameters: Mapping[str, Any], name: str) -> float | None:
    """A number from 0 among the parameters, None if it is not there; InputError if it is none."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        _refuse(f"{name} must be a number", given=value, allowed="a number from 0")
    if value < 0:
        _refuse(f"{name} is below 0", given=value, allowed="a number from 0")
    return float(value)


def _refuse(what: str, *, given: object = None, **more: Any) -> NoReturn:
    raise InputError(what, given=None if given is None else shown(given), **more)
