"""The tensors of a PyTorch checkpoint, read without PyTorch and without running anything that the file names.

A checkpoint is a pickle, and unpickling runs whatever functions the file names. Here nothing is unpickled: the few
operations that PyTorch writes are followed one by one, and the names of tensors, storages and dictionaries mean
something of this module.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from premodel.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ORDERED, TENSOR, PARAMETER = REBUILT = (
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
)  # fmt: skip
"""Functions that a file may name; what they would give is made here."""
STORAGES = {
    "torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch HalfStorage": "<f2", "torch LongStorage": "<i8",
    "torch IntStorage": "<i4", "torch ShortStorage": "<i2", "torch CharStorage": "|i1", "torch ByteStorage": "|u1",
    "torch BoolStorage": "|b1",
}  # fmt: skip
"""Module and name -> type of its numbers."""
ALLOWED = "OrderedDict, tensors and parameters, and storages of float16 to float64, int8 to int64, uint8 and bool"
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_BROKEN = (
    zipfile.BadZipFile, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError,
    OverflowError, MemoryError, NotImplementedError, UnicodeError,
)  # fmt: skip
"""What reading a damaged pickle or archive may raise."""


class _Name(NamedTuple):
    name: str


class _Storage(NamedTuple):
    dtype: Any
    key: Any
    numbers: Any


class _Tensor(NamedTuple):
    storage: Any
    offset: Any
    shape: Any
    strides: Any


def read_torch_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict that `torch.save` wrote, by name.

    Parameters
    ----------
    content:
        Of the file: an archive, as PyTorch writes since 1.6, or the form before.

    Raises
    ------
    ModelError
        The file is damaged, holds something else than names and tensors, or names what is not allowed.
    """
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            return _read_archive(content)
        return _read_stream(content)
    except _BROKEN as error:
        raise ModelError("PyTorch checkpoint must be whole, got one that is damaged", given=error) from error


def _read_archive(content: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(content):
            raise ValueError("more in the archive than there are bytes")
        (index,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = index.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ModelError("PyTorch checkpoint must be little-endian, got another")
        tensors = _tensors(_load(io.BytesIO(archive.read(index))))
        keys = {tensor.storage.key for tensor in tensors.values()}
        storages = {key: archive.read(f"{folder}data/{key}") for key in keys}
    return {name: _array(name, tensor, storages) for name, tensor in tensors.items()}


def _read_stream(content: bytes) -> dict[str, NDArray[Any]]:
    """Five pickles one behind the other, then the storages in the order that the last pickle states."""
    stream = io.BytesIO(content)
    if _load(stream) != MAGIC or _load(stream) != PROTOCOL:
        raise ModelError("file must be a PyTorch checkpoint, got another")
    if not _load(stream)["little_endian"]:
        raise ModelError("PyTorch checkpoint must be little-endian, got another")
    tensors = _tensors(_load(stream))
    sizes = {tensor.storage.key: np.dtype(tensor.storage.dtype).itemsize for tensor in tensors.values()}
    storages = {}
    for key in _load(stream):
        numbers = int.from_bytes(stream.read(8), "little")
        storages[key] = stream.read(numbers * sizes[key])
    return {name: _array(name, tensor, storages) for name, tensor in tensors.items()}


def _load(stream: io.BytesIO) -> Any:
    """What the next pickle of a stream describes: its operations are followed here, and none of them calls anything."""
    stack: list[Any] = []
    marks: list[list[Any]] = []
    notes: dict[Any, Any] = {}
    for operation, argument, _ in pickletools.genops(stream):
        match operation.name:
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(CONSTANTS[operation.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[operation.name]())
            case "MARK":
                marks.append(stack)
                stack = []
            case "TUPLE":
                stack = [*marks.pop(), tuple(stack)]
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operation.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND" | "SETITEM":
                count = 1 if operation.name == "APPEND" else 2
                items = stack[-count:]
                del stack[-count:]
                _put(stack[-1], items)
            case "APPENDS" | "SETITEMS":
                items, stack = stack, marks.pop()
                _put(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                notes[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(notes[argument])
            case "GLOBAL":
                stack.append(_named(str(argument)))
            case "REDUCE":
                arguments = stack.pop()
                stack[-1] = _rebuilt(stack[-1], arguments)
            case "BUILD":
                stack.pop()  # attributes of a dictionary, such as the versions of its modules
            case "BINPERSID":
                stack[-1] = _storage(stack[-1])
            case "PROTO":
                continue
            case "STOP":
                return stack.pop()
            case name:
                raise ModelError("PyTorch checkpoint must hold names and tensors, no more", given=f"pickle's {name}")
    raise ValueError("no end")


def _put(goal: Any, items: list[Any]) -> None:
    if isinstance(goal, list):
        goal.extend(items)
    elif isinstance(goal, dict) and all(isinstance(key, str | int) for key in items[::2]):
        goal.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise ValueError("items of what holds none")


def _named(name: str) -> _Name:
    if name not in REBUILT and name not in STORAGES:
        raise ModelError("PyTorch checkpoint names what is not allowed", given=name.replace(" ", "."), allowed=ALLOWED)
    return _Name(name)


def _rebuilt(called: Any, arguments: Any) -> Any:
    """What a call in the file would give."""
    name = called.name if isinstance(called, _Name) else None
    if name == ORDERED and arguments == ():
        return {}
    if name == PARAMETER:
        return arguments[0]
    if name == TENSOR:
        return _Tensor(*arguments[:4])
    raise ValueError("a call of what cannot be called")


def _storage(reference: Any) -> _Storage:
    kind, storage, key, _, numbers, *view = reference
    if kind != "storage" or not isinstance(storage, _Name) or any(part is not None for part in view):
        raise ValueError("unknown reference")
    return _Storage(STORAGES[storage.name], str(key), numbers)


def _tensors(data: Any) -> dict[str, _Tensor]:
    if not isinstance(data, dict) or not data:
        raise ModelError("PyTorch checkpoint must be a state dict", given=type(data).__name__)
    for name, tensor in data.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
            raise ModelError(
                "PyTorch checkpoint must be a state dict", given=name, allowed="names and their tensors, no more"
            )
    return data


def _array(name: str, tensor: _Tensor, storages: dict[Any, bytes]) -> NDArray[Any]:
    """The numbers of a tensor, copied; ValueError where they reach beyond their storage."""
    values = np.frombuffer(storages[tensor.storage.key], np.dtype(tensor.storage.dtype))
    shape, strides = tuple(map(int, tensor.shape)), tuple(map(int, tensor.strides))
    first, count = int(tensor.offset), int(np.prod(shape, dtype=object))
    last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) if count else first
    bad = min((first, *shape, *strides), default=0) < 0 or last >= max(len(values), 1) or count > len(values)
    if bad or len(values) != tensor.storage.numbers:
        raise ValueError(f"{name} reaches beyond its numbers")
    steps = tuple(stride * values.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(values[first:], shape, steps, writeable=False).copy()
