"""Packaging: a trained policy becomes a bundle, and the bundle is proven to decide as the policy did."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from premodel.errors import BundleError
from premodel.files import replacing
from premodel.records import CRITERIA
from premodel.runtime.bundle import Bundle, read_bundle, write_bundle
from premodel.runtime.policies.base import Policy
from premodel.runtime.reference import FIELD, Reference
from premodel.training.cost_matrix import COST
from premodel.training.guarantee import state_guarantee
from premodel.training.options import TrainOptions
from premodel.training.record import Trained, plain
from premodel.training.reference import training_reference
from premodel.training.simulate import Simulation, simulate
from premodel.training.tables import Tables
from premodel.zoo.candidate import Candidate

HIDDEN = ("data", "other_processes")
"""Conditions that name what else is on the machine of the profile; they do not travel with a bundle."""
TEST = "test"
"""Where the final test is in a bundle's training record."""


def package(
    trained: Trained,
    tables: Tables,
    candidates: Sequence[Candidate],
    options: TrainOptions,
    path: Path,
    *,
    embed: bool = False,
    test: Mapping[str, Any] | None = None,
    stream: Tables | None = None,
) -> Bundle:
    """Write a bundle, open it again, and compare every decision on every profiled sample.

    The bundle appears at `path` only when all decisions are the same: those of the trained policy with all samples
    scored at once, and those of the reopened one scored sample by sample, as the device does.

    Parameters
    ----------
    trained:
        What was trained.
    tables:
        The profile it was trained on.
    candidates:
        Every candidate of the profile, with the files they were profiled from.
    options:
        What was asked for; recorded.
    path:
        Where to.
    embed:
        Put the model files of the policy's candidates into the bundle.
    test:
        What the final test against single candidates said; recorded.
    stream:
        What the reference of drift is counted on and decisions are compared on, where that is more than `tables`.

    Raises
    ------
    BundleError
        The file cannot be written, or the reopened bundle decides otherwise.
    ModelError
        A model to embed is missing or changed.
    """
    stream = tables if stream is None else stream
    served = simulate(trained.policy, stream)
    reference = training_reference(served, answers_labels=bool(tables.label_names))
    bundle = _bundle(trained, tables, candidates, options, reference)
    if test is not None:
        bundle = replace(bundle, training_record={**bundle.training_record, TEST: dict(test)})
    try:
        with replacing(path) as draft:
            write_bundle(draft, bundle, folder=_folder(tables, candidates), embed=embed)
            reopened = read_bundle(draft)
            check_decisions(served, reopened.policy, stream, path)
    except OSError as error:
        raise BundleError("bundle cannot be written", where=path, given=error.strerror) from error
    return reopened


def check_decisions(served: Simulation, reopened: Policy, tables: Tables, where: Path) -> None:
    """Compare how the trained policy served every profiled sample with what the reopened one does.

    Raises
    ------
    BundleError
        They differ; the message counts the samples and names the first.
    """
    again = simulate(reopened, tables, one_by_one=True)
    if served.candidates != again.candidates:
        raise BundleError("the reopened bundle has other candidates", where=where)
    differ = np.flatnonzero(~served.same_decisions(again))
    if differ.size:
        raise BundleError(
            "the reopened bundle decides otherwise than the trained policy",
            where=where,
            given=f"{differ.size} of {len(tables)} samples, the first is {tables.samples[differ[0]]}",
            do="report this: it is a defect of premodel",
        )


def _bundle(
    trained: Trained, tables: Tables, candidates: Sequence[Candidate], options: TrainOptions, reference: Reference
) -> Bundle:
    by_name = {candidate.name: candidate for candidate in candidates}
    version = tables.conditions.get("extractor") if trained.policy.features else None
    return Bundle(
        policy=trained.policy,
        candidates=tuple(by_name[name] for name in tables.candidates),
        label_names=tables.label_names,
        criterion=CRITERIA[0] if options.criterion == COST else options.criterion,
        extractor_version=None if version is None else str(version),
        objective=state_guarantee(options).objective.to_json(),
        training_record={**_training_record(trained, tables, options), FIELD: reference.to_json()},
        conditions=_conditions(tables),
        sizes=_sizes(candidates),
    )


def _training_record(trained: Trained, tables: Tables, options: TrainOptions) -> Mapping[str, Any]:
    """What is known of the premodel: its training summary, and the profile it rests on."""
    accuracy = tables.score(options.criterion).mean(axis=0)
    end_to_end_ms = tables.end_to_end_ms()
    by_cost = {"criterion": COST, "highest_cost": tables.conditions.get("highest_cost")}
    return {
        **(by_cost if options.criterion == COST else {}),
        "policy": options.policy,
        "seed": options.seed,
        "summary": list(trained.summary),
        "training": plain(trained.record.to_json()),
        "samples": len(tables),
        "singles": [
            {
                "name": name,
                "accuracy": float(accuracy[column]),
                "latency_ms": float(end_to_end_ms[column]),
                "valid": tables.timings[column].valid,
                "memory_mb": _measured(tables.memory_mb[column]),
                "load_ms": None if tables.load_ms is None else _measured(tables.load_ms[column]),
            }
            for column, name in enumerate(tables.candidates)
        ],
    }


def _measured(value: float) -> float | None:
    """JSON has no NaN, which is what was not measured."""
    return float(value) if np.isfinite(value) else None


def _sizes(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Bytes of the model files that are at hand."""
    sizes = {}
    for candidate in candidates:
        for file, digest in candidate.model.all_files().items():
            if file.is_file():
                sizes[digest] = file.stat().st_size
    return sizes


def _folder(tables: Tables, candidates: Sequence[Candidate]) -> Path:
    """What the model files are recorded relative to: the manifest's folder, or the one that holds them all."""
    parents = [candidate.model.file.absolute().parent for candidate in candidates]
    zoo = tables.conditions.get("zoo")
    if isinstance(zoo, Mapping) and "file" in zoo:
        folder = Path(str(zoo["file"])).parent
        if all(parent.is_relative_to(folder) for parent in parents):
            return folder
    return Path(os.path.commonpath(parents))


def _conditions(tables: Tables) -> dict[str, Any]:
    """Where and how it was measured, without the paths of the machine it was measured on."""
    conditions: dict[str, Any] = plain({name: value for name, value in tables.conditions.items() if name not in HIDDEN})
    if isinstance(conditions.get("zoo"), dict):
        conditions["zoo"].pop("file", None)
    return conditions
