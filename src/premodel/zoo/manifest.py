"""The zoo: the manifest of candidates, read and checked, and the keys under which their answers are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from premodel.backends.registry import BACKENDS, EXPORTED_RUNTIMES
from premodel.domains.base import Domain
from premodel.domains.registry import domain_of, tasks
from premodel.errors import ZooError
from premodel.fields import Fields, read_toml, shown
from premodel.zoo.calibration import read_calibration
from premodel.zoo.candidate import MAX_DETAIL, Candidate, require_file
from premodel.zoo.label_files import MIN_LABELS, read_label_file
from premodel.zoo.model_fields import path_beneath, read_model
from premodel.zoo.verify import check_further_files

FULL = "full"
"""What a manifest states of `decode` for every pixel."""


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
    calibration: frozenset[str] = frozenset()
    if fields.has("calibration"):
        calibration = frozenset(read_calibration(path_beneath(fields, "calibration", path.parent)))
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
    return Zoo(name, task, labels, detailed, path, calibration)


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
    return read_label_file(path_beneath(fields, "labels", path.parent))


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
        from premodel.zoo.call_fields import completed

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


def _refuse_twins(candidates: list[Candidate], path: Path) -> None:
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.name in seen:
            raise ZooError(
                "duplicate name", where=path, given=candidate.name, do="every model and view has its own name"
            )
        seen.add(candidate.name)
