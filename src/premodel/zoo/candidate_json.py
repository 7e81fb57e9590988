"""A candidate as JSON, in stores and bundles."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import tasks
from premodel.errors import InputError, ZooError
from premodel.fields import Fields
from premodel.zoo.candidate import MAX_DETAIL, Candidate
from premodel.zoo.model_fields import lies_beneath, read_model


def candidate_to_json(candidate: Candidate, folder: Path | None = None) -> dict[str, Any]:
    """A candidate as plain JSON types; its file relative to `folder` if beneath it, through links too."""
    from premodel.redact import redacted_url  # here: who only reads candidates does not wait for it

    model = candidate.model
    file = model.file.absolute()
    if folder is not None and file.is_relative_to(folder.absolute()) and lies_beneath(file, folder):
        file = file.relative_to(folder.absolute())
    data = {
        "name": model.name,
        "file": file.as_posix(),
        "sha256": model.file_digest,
        "url": model.url if model.is_remote else redacted_url(model.url),
        "license": model.license,
        "runtime": model.runtime,
        "label_offset": model.label_offset,
        "threads": model.threads,
        "providers": list(model.providers),
        "settings": dict(model.settings),
        "input": {name: value for name, value in _plain(asdict(model.input)).items() if value is not None},
        "output": {"activation": model.activation},
        "view": {name: value for name, value in _plain(asdict(candidate.view)).items() if value is not None},
        "labels": candidate.n_labels,
    }
    if model.call is not None:
        data["call"] = model.call.to_json()
        if model.takes_whole:
            del data["input"]
    if model.dropped_last:
        data["dropped_last"] = model.dropped_last
    if files := model.files_to_state:
        data["files"] = files
    if model.task != IMAGE_TASK:
        data["task"] = model.task
    if model.detail:
        data["detail"] = model.detail
    if model.origin is not None:
        data["origin"] = asdict(model.origin)
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
    n_labels = fields.integer("labels", 0, 1 << 24)
    model = read_model(fields, folder, fields.text("task", IMAGE_TASK, tasks()))
    if bool(n_labels) != model.domain.answers_labels:
        raise fields.fail("labels", "1 or more" if model.domain.answers_labels else "0: its answers are no labels")
    detail = fields.integer("detail", 0, MAX_DETAIL, 0)  # what was made before it was recorded decoded everything
    view_fields = fields.table("view")
    view = model.domain.read_view(view_fields, view_fields.text("name", ""))
    fields.done()
    return Candidate(model, view, n_labels).with_detail(detail)


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}
