"""The model of a manifest entry, or of a candidate that a store or bundle keeps, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from premodel.backends.registry import BACKENDS, CODE_RUNTIMES, EXPORTED_RUNTIMES, REMOTE_RUNTIMES
from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.fields import Fields, is_hexadecimal, is_json, is_text
from premodel.files import is_inside
from premodel.zoo.call import Call, WholeInput
from premodel.zoo.candidate import ACTIVATIONS, Model, Origin
from premodel.zoo.package import read_package

MAX_FURTHER_FILES = 1000
MAX_THREADS = 1024
SHA256_DIGITS = 64


def read_model(fields: Fields, folder: Path, task: str = IMAGE_TASK) -> Model:
    """The model of an entry, its views left to be read; the error class of `fields` if a field is wrong."""
    name = fields.name("name")
    if not fields.has("runtime"):
        do = 'state runtime = "python"' if fields.has("callable") else f"state one of {', '.join(BACKENDS)}"
        raise fields.error("runtime is missing", where=fields.where, given=name, do=do)
    activation = "none"
    if fields.value("runtime", None) in CODE_RUNTIMES and not fields.has("output"):
        activation = "softmax"
    elif domain_of(task).answers_labels or fields.has("output"):
        output = fields.table("output")
        activation = output.text("activation", allowed=ACTIVATIONS)
        output.done()
    settings = fields.value("settings", {})
    files = fields.value("files", {})
    if (
        not isinstance(files, Mapping)
        or len(files) > MAX_FURTHER_FILES
        or not all(map(_is_further_file, files.items()))
    ):
        raise fields.fail("files", "a table: file beneath the model's folder = its SHA-256 in 64 hexadecimal digits")
    if not isinstance(settings, Mapping) or not is_json(settings):
        raise fields.fail("settings", "a table of strings, numbers, booleans, lists and tables")
    runtime = fields.text("runtime", allowed=tuple(BACKENDS))
    remote = runtime in REMOTE_RUNTIMES
    call = None
    if runtime in CODE_RUNTIMES:
        from premodel.zoo.call_fields import read_call  # here: a device without callables does not wait for it

        call = read_call(fields)
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
        package=read_package(fields.table("package")) if fields.has("package") else None,
    )
    if model.package is not None and (model.url or call is not None or model.files):
        raise fields.fail("package", "none beside url, callable or files: a model comes from one place, in one file")
    if remote:
        _check_remote(fields, runtime, model.url, model.sha256, model.settings)
    return model


def _file(fields: Fields, folder: Path, remote: str | None, call: Call | None) -> Path:
    """The file of a model: stated, the name of a remote one, or the source of a callable."""
    if fields.has("file"):
        return path_beneath(fields, "file", folder)
    if call is None:
        return path_beneath(fields, "file", folder) if remote is None else folder / remote
    file = call.locate(folder)
    stated = Path(call.target.rpartition(":")[0])
    if call.module is None and not stated.is_absolute() and not lies_beneath(file, folder):
        raise fields.fail("callable", f"a file beneath {folder.resolve()}")
    return file


def _is_further_file(entry: tuple[Any, Any]) -> bool:
    name, digest = entry
    named = isinstance(name, str) and is_text(name) and is_inside(name)
    return named and isinstance(digest, str) and is_hexadecimal(digest, SHA256_DIGITS)


def _origin(fields: Fields) -> Origin:
    sha256 = fields.digest("sha256", 64)
    if sha256 is None:
        raise fields.fail("sha256", "64 hexadecimal digits")
    samples = fields.integer("calibration_samples", 0, 1 << 31, 0)
    origin = Origin(sha256, fields.text("kind"), fields.text("tool"), samples)
    fields.done()
    return origin


def lies_beneath(path: Path, folder: Path) -> bool:
    """Does a path lie beneath a folder, even through symbolic links."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links
        return False


def path_beneath(fields: Fields, name: str, folder: Path) -> Path:
    """A path of the manifest: absolute, or beneath the manifest's folder even through symbolic links."""
    path = Path(fields.text(name))
    if path.is_absolute():
        return path
    if not lies_beneath(folder / path, folder):
        raise fields.fail(name, f"a path beneath {folder.resolve()}, or an absolute one")
    return folder / path


def _check_remote(fields: Fields, runtime: str, url: str, sha256: str | None, settings: Mapping[str, Any]) -> None:
    """What a remote entry has to say, as there is no file to read it from."""
    if not url and runtime not in EXPORTED_RUNTIMES:
        raise fields.fail("url", "the server's URL, such as http://board:8090")
    if sha256 is None:
        raise fields.fail("sha256", "the digest of the model file that the server runs: answers are kept under it")
    local = [name for name in BACKENDS if name not in REMOTE_RUNTIMES]
    if settings.get("remote_runtime", local[0]) not in local:
        raise fields.fail("settings.remote_runtime", ", ".join(local))
    if not isinstance(settings.get("remote_settings", {}), Mapping):
        raise fields.fail("settings.remote_settings", "a table: the settings of remote_runtime")
