"""The expanded manifest: the original's text with all that is in it, and an entry for each sibling."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from premodel.errors import MissingExtraError, OptionError, ZooError
from premodel.files import replacing, write_whole
from premodel.zoo.calibration import calibration_text, read_calibration
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo, read_zoo
from premodel.zoo_tools.init.draft import place, toml

EXTRA = "expand"


@dataclass(frozen=True)
class Entry:
    """One sibling to be written.

    Attributes
    ----------
    candidate:
        Ready to run.
    original:
        Name of the model that it is a sibling of.
    base:
        Name of the model whose entry is given the sibling's view; empty for an entry of its own.
    said:
        What was found out, for a comment.
    """

    candidate: Candidate
    original: str
    base: str
    said: str


def check_writer() -> None:
    """Raise MissingExtraError if what writes manifests is not installed."""
    try:
        import tomlkit  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("tomlkit", EXTRA) from error


def calibration_file(out: Path) -> Path:
    """Where the calibration samples of a manifest are listed."""
    return out.with_name(f"{out.stem}-calibration.txt")


def write_expanded(zoo: Zoo, out: Path, entries: Sequence[Entry], calibration: Mapping[str, str]) -> None:
    """Write the expanded manifest, read it back, and compare all that was in the original.

    Raises
    ------
    ZooError
        The manifest read back is not what was meant.
    OptionError
        It cannot be written.
    """
    import tomlkit

    document = tomlkit.parse(zoo.file.read_bytes().decode("utf-8-sig"))
    _move_paths(document, zoo, out)
    for entry in entries:
        models: Any = document["models"]
        if entry.base:
            _add_view(tomlkit, next(one for one in models if one["name"] == entry.base), entry)
        else:
            models.append(_table(tomlkit, entry, out))
    marks = dict(calibration)
    if zoo.calibration:
        stated = tomllib.loads(zoo.file.read_bytes().decode("utf-8-sig"))["calibration"]
        marks = {**read_calibration(zoo.file.parent / str(stated)), **marks}
    listed = calibration_file(out)
    if marks and "calibration" in document:
        document["calibration"] = listed.name
    text = tomlkit.dumps(document)
    if marks and "calibration" not in document:
        text = _with_key(text, "calibration", listed.name)
    try:
        if marks:
            write_whole(listed, calibration_text(marks).encode())
        with replacing(out) as part:
            part.write_text(text, encoding="utf-8")
            _compare(zoo, read_zoo(part, require_files=True), entries, out)
    except OSError as error:
        raise OptionError(f"cannot be written ({error.strerror})", where=out) from error


def _with_key(text: str, name: str, value: str) -> str:
    """The manifest with another key of its top level: in front of the first line that is no comment."""
    lines = text.splitlines(keepends=True)
    at = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    return "".join([*lines[:at], f"{name} = {toml(value)}\n", *lines[at:]])


def _move_paths(document: Any, zoo: Zoo, out: Path) -> None:
    """Paths are relative to the manifest's folder: say them anew where that is another one."""
    before, after = zoo.file.absolute().parent, out.absolute().parent
    if before.resolve() == after.resolve():
        return
    if isinstance(document["labels"], str):
        document["labels"] = place(before / document["labels"], after)
    for model in document["models"]:
        if "file" in model:
            model["file"] = place(before / model["file"], after)


def _add_view(tomlkit: Any, model: Any, entry: Entry) -> None:
    view = entry.candidate.view
    item = tomlkit.inline_table()
    item.update({"name": view.name, "size": list(view.size)})
    if "views" not in model:
        model["views"] = tomlkit.array()
    model["views"].append(item)


def _table(tomlkit: Any, entry: Entry, out: Path) -> Any:
    model = entry.candidate.model
    spec = {name: list(one) if isinstance(one, tuple) else one for name, one in asdict(model.input).items()}
    table = tomlkit.table()
    table.add(tomlkit.comment(entry.said))
    values: dict[str, Any] = {
        "name": model.name,
        "file": place(model.file, out.absolute().parent),
        "sha256": model.file_digest,
        "files": model.files_to_state,
        "license": model.license,
        "runtime": model.runtime,
        "label_offset": model.label_offset,
        "threads": model.threads,
        "providers": list(model.providers),
        "settings": dict(model.settings),
        "origin": None if model.origin is None else asdict(model.origin),
        "input": {name: one for name, one in spec.items() if one is not None},
        "output": {"activation": model.activation},
    }
    for name, value in values.items():
        if value in (None, "", [], {}) or (name, value) in (("threads", 1), ("label_offset", 0)):
            continue
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            value = inline
        table.add(name, value)
    return table


def _compare(zoo: Zoo, written: Zoo, entries: Sequence[Entry], out: Path) -> None:
    """All that was there is there, and answers as before; the siblings are what was checked."""
    wanted = {one.name: one.timing_key for one in (*zoo.candidates, *(entry.candidate for entry in entries))}
    found = {one.name: one.timing_key for one in written.candidates}
    if wanted != found or zoo.labels != written.labels or zoo.name != written.name:
        names = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise ZooError(
            "the expanded manifest could not be written as it was meant", where=out, given=", ".join(names),
            do="report this: it is a defect of premodel",
        )  # fmt: skip
