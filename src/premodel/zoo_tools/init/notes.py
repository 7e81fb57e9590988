"""What an exporter wrote into a model file, or beside it: names of the classes, size of the input, task."""

from __future__ import annotations

import ast
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from premodel.backends.onnx_notes import metadata
from premodel.zoo_tools.init.stated import Stated, beside, model_info, read_stated

NAME_KEYS = ("names", "id2label", "class_names", "classes", "labels")
CONFIG_KEYS = ("id2label", "label_names")
SIZE_KEYS = ("imgsz", "input_size", "image_size")
OTHER_TASKS = frozenset({"detect", "segment", "pose", "obb"})
MAX_TEXT_BYTES = 1 << 22
MAX_NAMES = 1 << 16


@dataclass(frozen=True)
class FileNotes:
    """What a file states in words.

    Attributes
    ----------
    names:
        Of the classes, in the order of the outputs; empty if not stated.
    source:
        Where the names stand.
    size:
        (height, width) of the input; None if not stated.
    task:
        As the exporter calls it; empty if not stated.
    stated:
        The preprocessing that it states; None if it states none.
    """

    names: tuple[str, ...] = ()
    source: str = ""
    size: tuple[int, int] | None = None
    task: str = ""
    stated: Stated | None = None


def read_notes(file: Path) -> FileNotes:
    """The notes of a model file; none of a file that holds none or cannot be read.

    Notes
    -----
    Read are the metadata of an `.onnx` (Ultralytics writes `names`, `imgsz` and `task`, others `id2label` or
    `classes`), the label file that is packed into a `.tflite`, the `model_info` of an OpenVINO `.xml`, and the
    `id2label` or `label_names` of a `config.json` beside the model; and the preprocessing as `read_stated` finds it.
    """
    return replace(_notes(file), stated=read_stated(file))


def _notes(file: Path) -> FileNotes:
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        found = metadata(file)
        names = next((names for key in NAME_KEYS if (names := _names(found.get(key, "")))), ())
        size = next((size for key in SIZE_KEYS if (size := _size(found.get(key, "")))), None)
        if names or size or "task" in found:
            return FileNotes(names, "the file's metadata", size, found.get("task", ""))
    if suffix == ".tflite" and (names := _packed_names(file)):
        return FileNotes(names, "the label file inside the model file")
    if suffix == ".xml" and len(names := tuple(model_info(file).get("labels", "").split())) > 1:
        return FileNotes(names, "the file's model_info")
    for path in beside(file, "config.json"):
        text = _text(path)
        names = next((names for key in CONFIG_KEYS if (names := _names(text, key))), ())
        if names:
            return FileNotes(names, "config.json beside the model")
    return FileNotes(source="config.json beside the model")


def _names(text: str, key: str | None = None) -> tuple[str, ...]:
    """Names from a list, or a table of number -> name, written in JSON or in Python."""
    value = _value(text)
    if key is not None:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        try:
            numbered = {int(number): name for number, name in value.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(numbered) != list(range(len(numbered))):
            return ()
        value = [numbered[number] for number in range(len(numbered))]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 1 < len(value) <= MAX_NAMES:
        return ()
    return tuple(str(name).strip() for name in value)


def _value(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return [part.strip() for part in text.split(",")] if "," in text else None


def _size(text: str) -> tuple[int, int] | None:
    value = _value(text)
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list | tuple) or len(sides) < 2:
        return None
    last = sides[-2:]
    return (last[0], last[1]) if all(isinstance(side, int) and side > 0 for side in last) else None


def _packed_names(file: Path) -> tuple[str, ...]:
    """Lines of the longest text file in the archive that is appended to a `.tflite`."""
    try:
        with zipfile.ZipFile(file) as archive:
            texts = [
                archive.read(item).decode("utf-8")
                for item in archive.infolist()
                if item.filename.lower().endswith(".txt") and item.file_size <= MAX_TEXT_BYTES
            ]
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, RuntimeError, NotImplementedError):
        return ()
    lists = [tuple(line.strip() for line in text.splitlines() if line.strip()) for text in texts]
    return max((names for names in lists if 1 < len(names) <= MAX_NAMES), key=len, default=())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") if file.is_file() and file.stat().st_size <= MAX_TEXT_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""
