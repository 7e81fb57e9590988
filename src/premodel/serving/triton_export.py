"""A premodel as a model repository of Triton: its networks as models, and the premodel as one that asks them."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from premodel.backends.onnx import DEFAULT_PROVIDERS, GPU_PROVIDERS, OnnxBackend
from premodel.backends.registry import EXPORTED_RUNTIMES
from premodel.errors import ModelError, OptionError
from premodel.fields import is_name
from premodel.records import TOP_K
from premodel.runtime.bundle import Bundle, read_bundle, write_bundle
from premodel.runtime.model_files import ModelFiles
from premodel.serving.signature import VERSION
from premodel.serving.triton_config import network_config, premodel_config, tensor_entry
from premodel.version import __version__
from premodel.zoo.candidate import Candidate, Model
from premodel.zoo.verify import verify

FORMAT = "premodel triton repository"
MARKER = "premodel.json"
"""Marks that a folder is an export, and what belongs to it. Triton looks at folders only."""
CONFIG = "config.pbtxt"
NETWORK_FILE = "model.onnx"
MODEL_PY = '''"""Answers with the premodel beside this file; written by `premodel export`."""

from pathlib import Path

import triton_python_backend_utils as pb_utils

from premodel.serving.triton import TritonServing


class TritonPythonModel:
    def initialize(self, args):
        (bundle,) = Path(__file__).resolve().parent.glob("*.premodel")
        self.serving = TritonServing(bundle, pb_utils)

    def execute(self, requests):
        return [self.serving.answer(request) for request in requests]

    def finalize(self):
        self.serving.close()
'''


@dataclass(frozen=True)
class Repository:
    """What was written.

    Attributes
    ----------
    folder:
        The repository.
    model:
        Name of the premodel in it.
    networks:
        Candidate -> the model of the repository that runs it.
    inside:
        Candidates that run inside the premodel's own model: Triton's onnxruntime cannot run them as profiled.
    """

    folder: Path
    model: str
    networks: Mapping[str, str]
    inside: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "model": self.model,
            "networks": dict(self.networks),
            "inside": list(self.inside),
        }


def export_repository(path: Path, folder: Path, zoo: str | Path | None = None) -> Repository:
    """Write a bundle as a model repository; it appears at `folder` when it is whole.

    Parameters
    ----------
    path:
        The bundle; its file stem is the premodel's name.
    folder:
        Absent, empty, or an earlier export, which is replaced.
    zoo:
        Where the model files are, if they were moved (see `ModelFiles`).

    Raises
    ------
    BundleError
        The bundle is missing, damaged, foreign or of another version.
    ModelError
        A model file is missing or not the profiled one, or is of several files.
    OptionError
        The folder holds something else or cannot be written, a name cannot be that of a model, or a candidate is Python
        code.
    """
    folder = folder.absolute()
    bundle = read_bundle(path)
    candidates = [bundle.candidate(name) for name in bundle.policy.candidates]
    if not bundle.domain.takes_pixels:
        raise OptionError(
            f"a premodel of {bundle.domain.plural} cannot be exported for Triton", where=path, given=bundle.domain.task,
            allowed="a premodel of images", do="serve it with: premodel serve",
        )  # fmt: skip
    if any(one.model.runtime in EXPORTED_RUNTIMES for one in candidates):
        raise OptionError("this bundle is of an export", where=path, do="give the one that was trained")
    callables = [one.name for one in candidates if one.model.call is not None]
    if callables:
        raise OptionError(
            "Python code is not exported to Triton", where=path, given=f"candidate {callables[0]} of runtime python",
            do="serve it with premodel serve --trust-python, or train without that candidate",
        )  # fmt: skip
    networks = _networks(candidates)
    _check_names(path, networks)
    _check_own(folder)
    files = ModelFiles(path, bundle, zoo)
    try:
        with _aside(folder) as draft:
            found = {one.name: one if one.model.is_remote else one.with_file(files.get(one)) for one in candidates}
            written: dict[str, dict[str, Any]] = {}
            for name, model in networks.items():
                if model not in written:
                    written[model] = _write_network(draft / model, model, found[name].model)
                found[name] = _in_triton(found[name], written[model])
            _write_premodel(draft / path.stem, path, bundle, found)
            _write_marker(draft, [path.stem, *written])
    except OSError as error:
        raise OptionError("repository cannot be written", where=folder, given=error.strerror or error) from error
    finally:
        files.close()
    inside = tuple(name for name in bundle.policy.candidates if name not in networks)
    return Repository(folder, path.stem, networks, inside)


def _networks(candidates: list[Candidate]) -> dict[str, str]:
    """Candidate -> model of the repository, for those that Triton's onnxruntime runs; views share one."""
    by_key: dict[str, str] = {}
    names = {}
    for candidate in candidates:
        model = candidate.model
        if model.runtime == "onnx" and set(model.providers) <= {*DEFAULT_PROVIDERS, *GPU_PROVIDERS}:
            names[candidate.name] = by_key.setdefault(candidate.network_key, model.name)
    return names


def _check_names(path: Path, networks: Mapping[str, str]) -> None:
    """The premodel's name must be one, and its own."""
    if not is_name(path.stem) or path.stem in networks.values():
        raise OptionError(
            "the bundle's name cannot be its model's name", where=path, given=path.stem,
            allowed="letters, digits and . _ + -, and no candidate's name", do="rename the file",
        )  # fmt: skip


def _check_own(folder: Path) -> None:
    """OptionError unless the folder is absent, empty or an earlier export with nothing else in it."""
    if not folder.exists() and not folder.is_symlink():
        return
    allowed = "a new or empty folder, or an earlier export"
    if folder.is_symlink() or not folder.is_dir():
        raise OptionError("place of the export must be a folder", where=folder, allowed=allowed)
    own = _own_entries(folder / MARKER)
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in own)
    if foreign:
        raise OptionError("folder holds what premodel did not export", where=folder, given=foreign[0], allowed=allowed)


def _own_entries(marker: Path) -> set[str]:
    try:
        about = json.loads(marker.read_bytes())
        return {MARKER, *map(str, about["models"])} if about["format"] == FORMAT else set()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return set()


@contextlib.contextmanager
def _aside(folder: Path) -> Generator[Path]:
    """A folder beside `folder` that takes its place at the end, or leaves nothing behind."""
    token = secrets.token_hex(4)
    draft, old = (folder.with_name(f".{folder.name}.{token}.{end}") for end in ("part", "old"))
    try:
        draft.mkdir(parents=True)
        yield draft
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_network(folder: Path, name: str, model: Model) -> dict[str, Any]:
    """A network's model; gives the settings under which the premodel asks for it."""
    file = folder / VERSION / NETWORK_FILE
    _copy_model(model, file)
    # The copy is opened, on the processor: what cannot be opened there fails here, not in the server.
    backend = OnnxBackend.open(file, threads=1, settings=model.settings)
    try:
        (folder / CONFIG).write_text(network_config(name, model, backend), encoding="utf-8")
        return {
            "model": name,
            "input": tensor_entry(backend.input_name, backend.input, model),
            "output": tensor_entry(backend.output_name, backend.output, model),
        }
    finally:
        backend.close()


def _copy_model(model: Model, goal: Path) -> None:
    """Copy all files of a model, its own as `goal`, and verify the copies."""
    for file in model.all_files():
        copy = goal if file == model.file else goal.parent / file.relative_to(model.file.parent)
        if file != model.file and copy == goal:
            raise ModelError("two files of one model get one name", where=file, given=goal.name, do="rename this one")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    verify(model.with_file(goal))


def _in_triton(candidate: Candidate, settings: Mapping[str, Any]) -> Candidate:
    """The candidate as the premodel has it there: run by the server."""
    model = candidate.model
    profiled = {"remote_runtime": model.runtime, "remote_settings": dict(model.settings)}
    return replace(candidate, model=replace(model, runtime="triton", url="", settings={**settings, **profiled}))


def _write_premodel(folder: Path, path: Path, bundle: Bundle, found: Mapping[str, Candidate]) -> None:
    """The premodel's model: what calls it, its bundle, and beside that the models that the server does not run."""
    place = folder / VERSION
    place.mkdir(parents=True)
    (folder / CONFIG).write_text(premodel_config(path.stem, min(TOP_K, len(bundle.label_names))), encoding="utf-8")
    (place / "model.py").write_text(MODEL_PY, encoding="utf-8")
    candidates = []
    for recorded in bundle.candidates:
        candidate = found.get(recorded.name, recorded)
        model = recorded.model
        # An .xml finds its weights by its own name; further files of other models bear names that two may share.
        file = (
            place / model.name / model.file.name if model.further_files else place / f"{model.name}{model.file.suffix}"
        )
        if candidate.name in found and not candidate.model.is_remote and not file.exists():
            _copy_model(candidate.model, file)
        candidates.append(candidate.with_file(file))
    write_bundle(place / path.name, replace(bundle, candidates=tuple(candidates)), folder=place)


def _write_marker(folder: Path, models: list[str]) -> None:
    about = {"format": FORMAT, "made_by": __version__, "models": models}
    (folder / MARKER).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
