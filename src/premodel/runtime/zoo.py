"""The zoo: the manifest of candidates, read and checked, and the keys under which their answers are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from premodel.errors import InputError, ModelError, ZooError
from premodel.runtime.backends.registry import BACKENDS
from premodel.runtime.digests import file_git_blob_sha1, file_sha256
from premodel.runtime.fields import Fields, is_json, read_toml, shown
from premodel.runtime.image import PREPROCESSING_VERSION
from premodel.runtime.input_spec import InputSpec, read_input_spec
from premodel.runtime.label_file import MIN_LABELS, read_label_file

TASKS = ("image-classification",)
ACTIVATIONS = ("softmax", "none")
MAX_THREADS = 1024


@dataclass(frozen=True)
class Model:
    """One pretrained network file and how to feed and read it.

    Attributes
    ----------
    name:
        Unique in the zoo.
    file:
        Absolute path, or beneath the manifest's folder.
    sha256, git_blob_sha1:
        What the file must hash to, as the manifest says; either or both may be None.
    url, license:
        Where it comes from; empty if not stated.
    runtime:
        Name of the backend.
    label_offset:
        Output i + label_offset is label i; the outputs before it (a "background" class) are dropped.
    input:
        How an image becomes its input.
    activation:
        What the outputs are: "softmax" for probabilities, "none" for logits.
    threads:
        Threads of the runtime.
    providers, settings:
        What the runtime is told; the backend knows which are allowed.
    """

    name: str
    file: Path
    runtime: str
    input: InputSpec
    activation: str
    sha256: str | None = None
    git_blob_sha1: str | None = None
    url: str = ""
    license: str = ""
    label_offset: int = 0
    threads: int = 1
    providers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file: the manifest's if it states one, else computed from the file.

        Raises
        ------
        ModelError
            The manifest states none and the file is missing or cannot be read.
        """
        if self.sha256 is not None:
            return self.sha256
        require_file(self)
        return file_sha256(self.file)


@dataclass(frozen=True)
class View:
    """How a candidate looks at the image: another crop, the mirror image, or (the unnamed one) as the model says."""

    name: str = ""
    crop_fraction: float | None = None
    mirror: bool = False


@dataclass(frozen=True)
class Candidate:
    """A model with its settings and view: what is chosen among, and timed.

    Attributes
    ----------
    model, view:
        What it is made of.
    n_labels:
        Labels of the zoo.
    """

    model: Model
    view: View
    n_labels: int

    @property
    def name(self) -> str:
        """The model's name, followed by @ and the view's if it has one."""
        return f"{self.model.name}@{self.view.name}" if self.view.name else self.model.name

    @cached_property
    def input(self) -> InputSpec:
        """The model's input with the view's crop."""
        if self.view.crop_fraction is None:
            return self.model.input
        return replace(self.model.input, crop_fraction=self.view.crop_fraction)

    @property
    def threads(self) -> int:
        """Threads of the runtime."""
        return self.model.threads

    @property
    def network_key(self) -> str:
        """Candidates with equal keys can share one opened network."""
        return _digest(self._network())

    @cached_property
    def prediction_key(self) -> str:
        """SHA-256 over everything that decides the answer; two candidates with one key give the same answers."""
        return _digest(self._answer())

    @cached_property
    def timing_key(self) -> str:
        """SHA-256 over everything that decides the answer or the time it takes, but for the device."""
        return _digest({**self._answer(), **self._network()})

    def with_threads(self, threads: int) -> Candidate:
        """The same candidate on another number of threads."""
        return replace(self, model=replace(self.model, threads=threads))

    def with_file(self, file: Path) -> Candidate:
        """The same candidate with its model file elsewhere."""
        return replace(self, model=replace(self.model, file=file))

    def _network(self) -> dict[str, Any]:
        model = self.model
        return {
            "digest": model.digest,
            "runtime": model.runtime,
            "threads": model.threads,
            "providers": model.providers,
            "settings": model.settings,
        }

    def _answer(self) -> dict[str, Any]:
        model = self.model
        return {
            "digest": model.digest,
            "runtime": model.runtime,
            "input": asdict(self.input),
            "mirror": self.view.mirror,
            "label_offset": model.label_offset,
            "activation": model.activation,
            "labels": self.n_labels,
            "providers": model.providers,
            "settings": model.settings,
            "preprocessing": PREPROCESSING_VERSION,
        }


@dataclass(frozen=True)
class Zoo:
    """Candidates over one list of labels, in the manifest's order.

    Attributes
    ----------
    file:
        The manifest.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    file: Path

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name; ZooError naming those there are."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        names = ", ".join(candidate.name for candidate in self.candidates)
        raise ZooError("unknown candidate", where=self.file, given=name, allowed=names)


def read_zoo(path: str | Path, require_files: bool = False) -> Zoo:
    """Read and check a manifest.

    Parameters
    ----------
    path:
        The manifest, TOML.
    require_files:
        Every model file must be there.

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
    task = fields.text("task", allowed=TASKS)
    labels = _labels(fields, path)
    entries = fields.tables("models")
    fields.done()
    if not entries:
        raise ZooError("no [[models]] entry", where=path, do="a zoo has at least one model")
    candidates: list[Candidate] = []
    for number, entry in enumerate(entries):
        candidates.extend(_entry(entry, f"{path}: models[{number}]", path.parent, len(labels)))
    _refuse_twins(candidates, path)
    if require_files:
        for candidate in candidates:
            require_file(candidate.model)
    return Zoo(name, task, labels, tuple(candidates), path)


def require_file(model: Model) -> None:
    """Raise ModelError, saying how to get it, if the model file is not there."""
    if not model.file.is_file():
        do = "put it there, or correct the manifest"
        if model.url:
            do = "fetch it with: premodel zoo pull ZOO --dest FOLDER, the folder of ZOO"
        raise ModelError(f"model file of {model.name} is missing", where=model.file, do=do)


def verify(model: Model) -> None:
    """Check a model file against the digests of its manifest entry, where it states any.

    Raises
    ------
    ModelError
        The file is missing, cannot be read, or hashes to something else; both digests are named.
    """
    require_file(model)
    for kind, expected in (("sha256", model.sha256), ("git_blob_sha1", model.git_blob_sha1)):
        if expected is not None:
            found = file_sha256(model.file) if kind == "sha256" else file_git_blob_sha1(model.file)
            if found != expected:
                raise ModelError(
                    f"model file of {model.name} has the wrong {kind}", where=model.file, given=found, allowed=expected
                )


def candidate_to_json(candidate: Candidate, folder: Path | None = None) -> dict[str, Any]:
    """A candidate as plain JSON types; its file is relative to `folder` if beneath it, else absolute."""
    model = candidate.model
    file = model.file.absolute()
    if folder is not None and file.is_relative_to(folder.absolute()):
        file = file.relative_to(folder.absolute())
    data = {
        "name": model.name,
        "file": file.as_posix(),
        "sha256": model.digest,
        "url": model.url,
        "license": model.license,
        "runtime": model.runtime,
        "label_offset": model.label_offset,
        "threads": model.threads,
        "providers": list(model.providers),
        "settings": dict(model.settings),
        "input": {name: value for name, value in _plain(asdict(model.input)).items() if value is not None},
        "output": {"activation": model.activation},
        "view": {name: value for name, value in asdict(candidate.view).items() if value is not None},
        "labels": candidate.n_labels,
    }
    for name in ("url", "license"):
        if not data[name]:
            del data[name]
    return data


def candidate_from_json(data: Any, folder: Path, error: type[InputError] = ZooError) -> Candidate:
    """The candidate that `candidate_to_json` wrote; relative files lie beneath `folder`.

    Raises
    ------
    ZooError, or `error`
        A field is missing, unknown or wrong.
    """
    fields = Fields(data, "candidate", error)
    n_labels = fields.integer("labels", 1, 1 << 24)
    model = _model(fields, folder)
    view_fields = fields.table("view")
    name = view_fields.text("name", "")
    view = View(name, *_view_values(view_fields))
    fields.done()
    return Candidate(model, view, n_labels)


def _digest(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


def _labels(fields: Fields, path: Path) -> tuple[str, ...]:
    """The names in the label file, or those the manifest lists itself."""
    if isinstance(fields.value("labels"), list):
        labels = fields.texts("labels")
        if len(labels) < MIN_LABELS:
            raise fields.fail("labels", f"{MIN_LABELS} names or more, or the path of a label file")
        return labels
    return read_label_file(_inside(fields, "labels", path.parent))


def _inside(fields: Fields, name: str, folder: Path) -> Path:
    """A path of the manifest: absolute, or beneath the manifest's folder even through symbolic links."""
    path = Path(fields.text(name))
    if path.is_absolute():
        return path
    try:
        escapes = not (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links
        escapes = True
    if escapes:
        raise fields.fail(name, f"a path beneath {folder.resolve()}, or an absolute one")
    return folder / path


def _entry(entry: Any, where: str, folder: Path, n_labels: int) -> list[Candidate]:
    """The candidates of one [[models]] entry: as the entry says, then one per view."""
    fields = Fields(entry, where)
    named = entry.get("name")
    if isinstance(named, str):
        fields.where = f"{where} ({shown(named)})"
    model = _model(fields, folder)
    candidates = [Candidate(model, View(), n_labels)]
    for number, item in enumerate(fields.tables("views")):
        view_fields = Fields(item, fields.where, fields.error, f"views[{number}].")
        name = view_fields.name("name")
        view = View(name, *_view_values(view_fields))
        if view.crop_fraction is None and not view.mirror:
            raise ZooError(
                f"views[{number}] ({name}) changes nothing",
                where=fields.where,
                do="give it crop_fraction or mirror = true",
            )
        candidates.append(Candidate(model, view, n_labels))
    fields.done()
    return candidates


def _view_values(fields: Fields) -> tuple[float | None, bool]:
    crop_fraction = fields.number("crop_fraction", 0, 1) if fields.has("crop_fraction") else None
    mirror = fields.flag("mirror", False)
    fields.done()
    return crop_fraction, mirror


def _model(fields: Fields, folder: Path) -> Model:
    name = fields.name("name")
    output = fields.table("output")
    activation = output.text("activation", allowed=ACTIVATIONS)
    output.done()
    settings = fields.value("settings", {})
    if not isinstance(settings, Mapping) or not is_json(settings):
        raise fields.fail("settings", "a table of strings, numbers, booleans, lists and tables")
    return Model(
        name=name,
        file=_inside(fields, "file", folder),
        runtime=fields.text("runtime", allowed=tuple(BACKENDS)),
        input=read_input_spec(fields.table("input")),
        activation=activation,
        sha256=fields.digest("sha256", 64),
        git_blob_sha1=fields.digest("git_blob_sha1", 40),
        url=fields.text("url", ""),
        license=fields.text("license", ""),
        label_offset=fields.integer("label_offset", 0, 1 << 16, 0),
        threads=fields.integer("threads", 1, MAX_THREADS, 1),
        providers=fields.texts("providers"),
        settings=dict(settings),
    )


def _refuse_twins(candidates: list[Candidate], path: Path) -> None:
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.name in seen:
            raise ZooError(
                "duplicate name", where=path, given=candidate.name, do="every model and view has its own name"
            )
        seen.add(candidate.name)
