"""Are the files of a model there, and those that its manifest entry states."""

from __future__ import annotations

import json
from collections.abc import Mapping

from premodel.backends.registry import backend_class
from premodel.errors import ModelError
from premodel.files import file_git_blob_sha1, file_sha256, is_regular
from premodel.zoo.candidate import Model, require_file

AFTER_A_CHANGE = (
    "put the old one back; after a change on purpose, such as a refit, put its new sha256 where the manifest states "
    "the old one, profile and train again"
)
"""What to do about a file that is another one than was profiled."""


def verify(model: Model) -> None:
    """Check a model file against the digests of its manifest entry, where it states any; a server does so itself.

    Raises
    ------
    ModelError
        The file is missing, cannot be read, or hashes to something else; both digests are named.
    """
    require_file(model)
    if model.is_remote:
        return
    check_further_files(model)
    for kind, expected in (("sha256", model.sha256), ("git_blob_sha1", model.git_blob_sha1)):
        if expected is not None:
            found = file_sha256(model.file) if kind == "sha256" else file_git_blob_sha1(model.file)
            if found != expected:
                raise ModelError(
                    f"model file of {model.name} has the wrong {kind}", where=model.file, given=found,
                    allowed=expected, do=AFTER_A_CHANGE,
                )  # fmt: skip
    for name, expected in model.files.items():
        file = model.file.parent / name
        if not is_regular(file):
            raise ModelError(f"a further file of {model.name} is missing", where=file, do="put it beside the model")
        found = file_sha256(file)
        if found != expected:
            raise ModelError(
                f"a further file of {model.name} has the wrong sha256", where=file, given=found, allowed=expected,
                do=AFTER_A_CHANGE,
            )  # fmt: skip


def check_further_files(model: Model) -> None:
    """ModelError where a model reads a file that its entry does not state: changed, it would go unnoticed."""
    if model.is_remote:
        return
    backend = backend_class(model.runtime)
    beside = model.domain.spec_files(model.input)
    found = (*backend.further_files(model.file), *beside)
    if not found or set(found) <= set(model.further_files):
        return
    states = f"settings = {toml_table(settings)}" if (settings := backend.file_settings(model.file)) else ""
    if not states or beside:
        digests = {name: file_sha256(model.file.parent / name) for name in found}
        states = f"files = {toml_table(digests)}"
    raise ModelError(
        f"model {model.name} reads further files, which its entry does not state", where=model.file,
        given=", ".join(found), do=f"state {states} in its manifest entry, and profile it again",
    )  # fmt: skip


def toml_table(texts: Mapping[str, str]) -> str:
    """An inline table of texts as TOML."""
    return "{ " + ", ".join(f"{json.dumps(name)} = {json.dumps(text)}" for name, text in texts.items()) + " }"
