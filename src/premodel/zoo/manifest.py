"""The zoo: the manifest of candidates, read and checked, and the keys under which their answers are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from premodel.backends.external_data import MAX_FILES, is_inside
from premodel.backends.registry import BACKENDS, CODE_RUNTIMES, EXPORTED_RUNTIMES, REMOTE_RUNTIMES
from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of, tasks
from premodel.errors import ZooError
from premodel.fields import Fields, is_json, is_text, read_toml, shown
from premodel.zoo.calibration import read_calibration
from premodel.zoo.call import Call, WholeInput, completed, read_call
from premodel.zoo.candidate import ACTIVATIONS, MAX_DETAIL, Candidate, Model, Origin, check_further_files, require_file
from premodel.zoo.label_files import MIN_LABELS, check_remote, read_label_file

MAX_THREADS = 1024
FULL = "full"
"""What a manifest states of `decode` for every pixel."""
SHA256 = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Zoo:
    """Candidates over one list of labels, in the manifest's order.

    Attributes
    ----------
    file:
        The manifest.
    calibration:
        SHA-256 of the samples that models were calibrated on: they are left out of profiles.

    All candidates have one `detail`, so that an input is decoded once for all of them.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    file: Path
    calibration: frozenset[str] = frozenset()

    @property
    def domain(self) -> Domain:
        """What inputs are, and how they are decoded."""
        return self.candidates[0].domain

    @property
    def detail(self) -> int:
        """How much of an input is decoded; 0 for all of it."""
        return self.candidates[0].model.detail

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name; ZooError naming those there are."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.candidates)
        raise ZooError("unknown candidate", where=self.file, given=name, allowed=names)


def read_zoo(path: str | Path, require_files: bool = False, trust_python: bool = False) -> Zoo:
    """Read and check a manifest.

    Parameters
    ----------
    path:
        The manifest, TOML.
    require_files:
        Every model file must be there, and its entry state every further file that it reads.
    trust_python:
        Callables of this manifest may be imported and run; nothing is imported here.

    Raises
    ------
    ZooError
        The manifest or its label file cannot be read, or a field is missing, unknown or wrong: the message names file,
        entry, field, value and what is allowed.
    ModelError
        A file is required and absent.
    """
    path = Path(path)
    fields = Fields(read_toml(path), str(path))
    name = fields.text("name")
    task = fields.text("task", allowed=tasks())
    labels = _labels(fields, path, domain_of(task))
    calibration = read_calibration(_inside(fields, "calibration", path.parent)) if fields.has("calibration") else ()
    detail = _detail(fields)
    entries = fields.tables("models")
    fields.done()
    if not entries:
        raise ZooError("no [[models]] entry", where=path, do="a zoo has at least one model")
    candidates: list[Candidate] = []
    for number, entry in enumerate(entries):
        candidates.extend(_entry(entry, f"{path}: models[{number}]", path.parent, labels, task))
    _refuse_twins(candidates, path)
    if require_files:
        for candidate in candidates:
            require_file(candidate.model)
            check_further_files(candidate.model)
    if trust_python:
        candidates = [candidate.with_trust(True) for candidate in candidates]
    if detail is None and any(candidate.model.takes_whole for candidate in candidates):
        detail = 0
    if detail is None:
        detail = candidates[0].domain.detail([candidate.input for candidate in candidates])
    models = {id(one.model): replace(one.model, detail=detail) for one in candidates}
    detailed = tuple(replace(one, model=models[id(one.model)]) for one in candidates)
    return Zoo(name, task, labels, detailed, path, frozenset(calibration))


def _detail(fields: Fields) -> int | None:
    """What `decode` states: 0 for "full", a number, or None where the candidates decide."""
    given = fields.value("decode", None)
    if given is None or given == FULL:
        return None if given is None else 0
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MAX_DETAIL:
        raise fields.fail("decode", f'"{FULL}", or the least pixels of the shorter side, from 1 to {MAX_DETAIL}')
    return given


def _labels(fields: Fields, path: Path, domain: Domain) -> tuple[str, ...]:
    """The names in the label file, or those the manifest lists itself; none where answers are no labels."""
    if not domain.answers_labels:
        return ()
    if isinstance(fields.value("labels"), list):
        labels = fields.texts("labels")
        if len(labels) < MIN_LABELS:
            raise fields.fail("labels", f"{MIN_LABELS} names or more, or the path of a label file")
        return labels
    return read_label_file(_inside(fields, "labels", path.parent))


def lies_beneath(path: Path, folder: Path) -> bool:
    """Does a path lie beneath a folder, even through symbolic links."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links
        return False


def _inside(fields: Fields, name: str, folder: Path) -> Path:
    """A path of the manifest: absolute, or beneath the manifest's folder even through symbolic links."""
    path = Path(fields.text(name))
    if path.is_absolute():
        return path
    if not lies_beneath(folder / path, folder):
        raise fields.fail(name, f"a path beneath {folder.resolve()}, or an absolute one")
    return folder / path


def _entry(entry: Any, where: str, folder: Path, labels: tuple[str, ...], task: str) -> list[Candidate]:
    """The candidates of one [[models]] entry: as the entry states, then one per view."""
    fields = Fields(entry, where)
    named = entry.get("name")
    if isinstance(named, str):
        fields.where = f"{where} ({shown(named)})"
    model = read_model(fields, folder, task)
    domain = model.domain
    if model.runtime in EXPORTED_RUNTIMES:
        raise fields.fail("runtime", ", ".join(name for name in BACKENDS if name not in EXPORTED_RUNTIMES))
    if model.call is not None:
        model = replace(model, call=completed(model.call, labels, model.file, fields))
    n_labels = len(labels)
    candidates = [Candidate(model, domain.plain_view(), n_labels)]
    if model.takes_whole and fields.tables("views"):
        raise fields.fail("views", "none: the callable takes the decoded input", "give it an input table")
    for number, item in enumerate(fields.tables("views")):
        view_fields = Fields(item, fields.where, fields.error, f"views[{number}].")
        view = domain.normal_view(domain.read_view(view_fields, view_fields.name("name")), model.input)
        if view == domain.plain_view(view.name):
            raise ZooError(
                f"views[{number}] ({view.name}) changes nothing",
                where=fields.where,
                do="give it crop_fraction, size or mirror = true",
            )
        if model.is_remote and (own := domain.network_key(view)):
            raise view_fields.fail(next(iter(own)), "none for a model on a server: the size is the server's")
        candidates.append(Candidate(model, view, n_labels))
    fields.done()
    return candidates


def read_model(fields: Fields, folder: Path, task: str = IMAGE_TASK) -> Model:
    """The model of an entry, its views left to be read; the error class of `fields` if a field is wrong."""
    name = fields.name("name")
    activation = "none"
    if fields.value("runtime", None) in CODE_RUNTIMES and not fields.has("output"):
        activation = "softmax"
    elif domain_of(task).answers_labels or fields.has("output"):
        output = fields.table("output")
        activation = output.text("activation", allowed=ACTIVATIONS)
        output.done()
    settings = fields.value("settings", {})
    files = fields.value("files", {})
    if not isinstance(files, Mapping) or len(files) > MAX_FILES or not all(map(_is_further_file, files.items())):
        raise fields.fail("files", "a table: file beneath the model's folder = its SHA-256 in 64 hexadecimal digits")
    if not isinstance(settings, Mapping) or not is_json(settings):
        raise fields.fail("settings", "a table of strings, numbers, booleans, lists and tables")
    runtime = fields.text("runtime", allowed=tuple(BACKENDS))
    remote = runtime in REMOTE_RUNTIMES
    call = read_call(fields) if runtime in CODE_RUNTIMES else None
    whole = call is not None and not fields.has("input")
    model = Model(
        name=name,
        file=_file(fields, folder, name if remote else None, call),
        runtime=runtime,
        input=WholeInput() if whole else domain_of(task).read_spec(fields.table("input")),
        activation=activation,
        sha256=fields.digest("sha256", 64),
        git_blob_sha1=fields.digest("git_blob_sha1", 40),
        url=fields.text("url", ""),
        license=fields.text("license", ""),
        label_offset=fields.integer("label_offset", 0, 1 << 16, 0),
        dropped_last=fields.integer("dropped_last", 0, 1 << 16, 0),
        threads=fields.integer("threads", 1, MAX_THREADS, 1),
        providers=fields.texts("providers"),
        settings=dict(settings),
        task=task,
        files={PurePosixPath(name).as_posix(): digest.lower() for name, digest in files.items()},
        origin=_origin(fields.table("origin")) if fields.has("origin") else None,
        call=call,
    )
    if remote:
        check_remote(fields, runtime, model.url, model.sha256, model.settings)
    return model


def _file(fields: Fields, folder: Path, remote: str | None, call: Call | None) -> Path:
    """The file of a model: stated, the name of a remote one, or the source of a callable."""
    if fields.has("file"):
        return _inside(fields, "file", folder)
    if call is None:
        return _inside(fields, "file", folder) if remote is None else folder / remote
    file = call.locate(folder)
    stated = Path(call.target.rpartition(":")[0])
    if call.module is None and not stated.is_absolute() and not lies_beneath(file, folder):
        raise fields.fail("callable", f"a file beneath {folder.resolve()}")
    return file


def _is_further_file(entry: tuple[Any, Any]) -> bool:
    name, digest = entry
    named = isinstance(name, str) and is_text(name) and is_inside(name)
    return named and isinstance(digest, str) and SHA256.fullmatch(digest) is not None


def _origin(fields: Fields) -> Origin:
    sha256 = fields.digest("sha256", 64)
    if sha256 is None:
        raise fields.fail("sha256", "64 hexadecimal digits")
    samples = fields.integer("calibration_samples", 0, 1 << 31, 0)
    origin = Origin(sha256, fields.text("kind"), fields.text("tool"), samples)
    fields.done()
    return origin


def _refuse_twins(candidates: list[Candidate], path: Path) -> None:
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.name in seen:
            raise ZooError(
                "duplicate name", where=path, given=candidate.name, do="every model and view has its own name"
            )
        seen.add(candidate.name)
