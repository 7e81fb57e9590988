"""Which further files a model file reads: weights that an `.onnx` or a `.tflite` file keeps outside itself."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from premodel.errors import ModelError
from premodel.files import is_inside

MAX_DEPTH = 64
MAX_FILES = 1000
_MARKS = (b"location", b"EPContext")
"""A message without these bytes names no file, so that it need not be read field by field."""
_SEARCHED_BYTES = 1 << 16
_TENSOR_BYTES = 1 << 12
_TENSOR, _NODE = "tensor", "node"
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: _NODE, 11: "attribute"},
    "graph": {1: _NODE, 5: _TENSOR, 15: "sparse"},
    _NODE: {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""The messages of ONNX's protobuf that can hold a tensor: field -> message."""


@contextmanager
def own_copy(file: Path, names: Sequence[str]) -> Iterator[Path]:
    """A copy of a model file and its further files, gone at the end; the file itself where it has no further ones.

    Runtimes map further files into memory, where they change with the file, and end the process when it shrinks. What
    was mapped of a copy that is gone stays as it was.

    Raises
    ------
    ModelError
        It cannot be copied.
    """
    if not names:
        yield file
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="premodel-"))
    except OSError as error:
        raise ModelError(f"model file cannot be copied ({error.strerror})", where=file) from error
    try:
        try:
            for name in (file.name, *names):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.parent / name, folder / name)
        except OSError as error:
            raise ModelError(f"model file cannot be copied ({error.strerror})", where=file.parent / name) from error
        yield folder / file.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def onnx_files(file: Path) -> tuple[str, ...]:
    """Files that an `.onnx` file reads besides itself, relative to its folder; a file that is no protobuf names none.

    Notes
    -----
    That is the external data of tensors, wherever a tensor may stand, and the contexts of compiled nodes (EPContext).
    Weights are passed over unread.

    Raises
    ------
    ModelError
        A name leads out of the file's folder, or there are too many.
    """
    try:
        with file.open("rb") as stream:
            found = dict.fromkeys(_locations(stream, 0, os.fstat(stream.fileno()).st_size, "model", 0))
    except OSError:  # opening it will tell
        return ()
    except (IndexError, RecursionError):  # no protobuf: opening it will tell
        return ()
    return _checked(file, found)


def tflite_files(file: Path) -> tuple[str, ...]:
    """Files that a `.tflite` file keeps buffers in besides itself; raises as `onnx_files`."""
    try:
        with file.open("rb") as stream:
            return _checked(file, dict.fromkeys(_buffer_groups(stream)))
    except (OSError, struct.error):  # opening it will tell
        return ()


def _checked(file: Path, names: dict[str, None]) -> tuple[str, ...]:
    for name in names:
        if not is_inside(name):
            raise ModelError(
                "model reads a file outside its own folder", where=file, given=name,
                allowed="files beside it or in folders beneath", do="export it again into one folder",
            )  # fmt: skip
    if len(names) > MAX_FILES:
        raise ModelError("model reads too many further files", where=file, given=len(names), allowed=MAX_FILES)
    return tuple(dict.fromkeys(PurePosixPath(name).as_posix() for name in names))


def _locations(stream: IO[bytes], start: int, end: int, message: str, depth: int) -> Iterator[str]:
    """Names of files in one message of the kinds above, which lies from `start` to `end`."""
    if depth > MAX_DEPTH:
        return
    inner = _MESSAGES[message]
    external, location, entries = False, "", []
    for field, place, value in protobuf_fields(stream, start, end):
        if place is None:
            external |= message == _TENSOR and field == 14 and value == 1
        elif field in inner:
            if message == _NODE:
                entries.append((place, value))
            if value <= (_TENSOR_BYTES if inner[field] == _TENSOR else _SEARCHED_BYTES):
                stream.seek(place)
                data = stream.read(value)
                if _MARKS[0] not in data and _MARKS[1] not in data:
                    continue
            yield from _locations(stream, place, place + value, inner[field], depth + 1)
        elif message == _TENSOR and field == 13:
            key, text = protobuf_entry(stream, place, value)
            location = text if key == "location" else location
        elif message == _NODE and field == 4 and protobuf_text(stream, place, value) == "EPContext":
            external = True
    if message == _TENSOR and external:
        yield location
    elif message == _NODE and external:
        yield from _context(stream, entries)


def _context(stream: IO[bytes], attributes: list[tuple[int, int]]) -> Iterator[str]:
    """The file of a compiled node, unless the node holds what was compiled itself."""
    embedded, name = True, ""
    for start, length in attributes:
        key, number, text = "", 0, ""
        for field, place, value in protobuf_fields(stream, start, start + length):
            if place is None:
                number = value if field == 3 else number
            elif field in (1, 4) and value < _TENSOR_BYTES:
                key, text = (
                    (protobuf_text(stream, place, value), text)
                    if field == 1
                    else (key, protobuf_text(stream, place, value))
                )
        if key == "embed_mode":
            embedded = number == 1
        elif key == "ep_cache_context":
            name = text
    if not embedded and name:
        yield name


def protobuf_fields(stream: IO[bytes], start: int, end: int) -> Iterator[tuple[int, int | None, int]]:
    """Fields of a message: (number, where its bytes begin, how many), or (number, None, value) of a number."""
    place = start
    while place < end:
        stream.seek(place)
        head = stream.read(20)  # tag and length, ten bytes each at most
        tag, used = (head[0], 1) if head[0] < 0x80 else _varint(head, 0)
        kind = tag & 7
        if kind == 2:
            value, used = (head[used], used + 1) if head[used] < 0x80 else _varint(head, used)
            if place + used + value > end:
                raise IndexError
            yield tag >> 3, place + used, value
            place += used + value
        elif kind == 0:
            value, used = _varint(head, used)
            yield tag >> 3, None, value
            place += used
        elif kind in (1, 5):
            place += used + (8 if kind == 1 else 4)
        else:
            raise IndexError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of the wire format, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def protobuf_entry(stream: IO[bytes], start: int, length: int) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    found = {1: "", 2: ""}
    for field, place, value in protobuf_fields(stream, start, start + length):
        if place is not None and field in found:
            found[field] = protobuf_text(stream, place, value)
    return found[1], found[2]


def protobuf_text(stream: IO[bytes], start: int, length: int) -> str:
    """A text of the wire format."""
    stream.seek(start)
    return stream.read(length).decode("utf-8", "surrogateescape")


def _buffer_groups(stream: IO[bytes]) -> Iterator[str]:
    """The table `external_buffer_groups` (slot 8) of the model at the root; each group's first slot is its name."""
    (root,) = struct.unpack("<I", stream.read(4))
    groups = _slot(stream, root, 8)
    if groups is None:
        return
    for index in range(min(_number(stream, groups), MAX_FILES + 1)):
        place = groups + 4 + 4 * index
        name = _slot(stream, place + _number(stream, place), 0)
        if name is not None:
            yield protobuf_text(stream, name + 4, min(_number(stream, name), 1 << 16))


def _slot(stream: IO[bytes], table: int, slot: int) -> int | None:
    """Where what a table's slot refers to begins; None if the table has none."""
    stream.seek(table)
    (back,) = struct.unpack("<i", stream.read(4))
    stream.seek(max(0, table - back))
    (size,) = struct.unpack("<H", stream.read(2))
    if size < 4 + 2 * (slot + 1):
        return None
    stream.seek(table - back + 4 + 2 * slot)
    (offset,) = struct.unpack("<H", stream.read(2))
    if not offset:
        return None
    return int(table + offset + _number(stream, table + offset))


def _number(stream: IO[bytes], place: int) -> int:
    stream.seek(place)
    (value,) = struct.unpack("<I", stream.read(4))
    return int(value)
