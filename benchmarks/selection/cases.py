"""The profiles that are compared on: which candidates, which labelled images, and how the profile is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from premodel.domains.image.views import View
from premodel.errors import ModelError
from premodel.records import CRITERIA, Criterion
from premodel.runtime.candidate import open_network
from premodel.training.load import load_tables
from premodel.training.tables import Tables
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import read_zoo

ROOT = Path(__file__).resolve().parents[2]
CROPS = (0.8, 0.875, 0.95, 1.0)
STEP = 16
"""Sides of other sizes are multiples of it, from three quarters of a network's own."""


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes
    ----------
    key, title:
        Of files, and of the README.
    zoo, data, labels:
        As `premodel profile` takes them.
    store:
        File name of the profile; cases may share one.
    candidates:
        Names of those compared; None for all of the zoo.
    policies:
        Of ours, those run by default, top-1; the first one also top-5.
    divisions:
        Most divisions into folds.
    targets:
        Ceilings of mean latency that curves are made for.
    criteria:
        Those that it is compared by.
    """

    key: str
    title: str
    zoo: Path
    data: Path
    labels: Path | None
    store: str
    candidates: tuple[str, ...] | None = None
    policies: tuple[str, ...] = ("cascade-routing", "cascade")
    divisions: int = 3
    targets: int = 12
    criteria: tuple[Criterion, ...] = CRITERIA


def find_cases(shared: Path, work: Path) -> tuple[list[Case], list[str]]:
    """The cases whose models and images are there, and why the others are not."""
    cases, absent = [], []
    imagenet = shared / "imagenet"
    if (imagenet / "zoo.toml").is_file():
        names = tuple(model["name"] for model in _manifest(imagenet / "zoo.toml")["models"])
        zoo = with_views(imagenet / "zoo.toml", work / "zoo-views.toml")
        images, labels = imagenet / "images", imagenet / "labels.csv"
        ours = ("cascade-routing", "cascade", "select", "paper")
        cases.append(Case("imagenet", "ImageNet, six networks", zoo, images, labels, "imagenet.db", names, ours))
        title = "ImageNet, six networks with further views (crops, smaller sizes, mirror image)"
        one = ("cascade-routing",)
        cases.append(
            Case("imagenet-views", title, zoo, images, labels, "imagenet.db", None, one, 2, criteria=("top1",))
        )
    else:
        absent.append(f"ImageNet: no {imagenet / 'zoo.toml'}")
    zoo, data = ROOT / "recipes" / "cifar10" / "zoo.toml", shared / "cifar10" / "test.parquet"
    if zoo.is_file() and data.is_file():
        cases.append(Case("cifar10", "CIFAR-10, the zoo of recipes/cifar10", zoo, data, None, "cifar10.db"))
    else:
        absent.append("CIFAR-10: its zoo is not trained, or its images are not there")
    return cases, absent


def with_views(zoo: Path, out: Path) -> Path:
    """A copy of a manifest with absolute paths, each model offering other crops, smaller sizes and its mirror image.

    Of sizes those that the network can be run at.
    """
    data, candidates = _manifest(zoo), {one.name: one for one in read_zoo(zoo).candidates}
    data["labels"] = str((zoo.parent / data["labels"]).resolve())
    for model in data["models"]:
        model["file"] = str((zoo.parent / model["file"]).resolve())
        own = model["input"]["crop_fraction"]
        crops = [{"name": f"crop{crop * 1000:.0f}", "crop_fraction": crop} for crop in CROPS if crop != own]
        sizes = [{"name": f"size{side}", "size": [side, side]} for side in _sides(candidates[model["name"]])]
        model["views"] = [*crops, *sizes, {"name": "mirror", "mirror": True}]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(toml_text(data))
    return out


def _sides(candidate: Candidate) -> list[int]:
    """Multiples of STEP, smaller than the network's own side, that it can be run at."""
    own, found = min(candidate.input.size), []
    for side in range(-(-own * 3 // 4 // STEP) * STEP, own, STEP):
        try:
            open_network(replace(candidate, view=View(f"size{side}", size=(side, side)))).close()
        except ModelError:
            continue
        found.append(side)
    return found


def toml_text(data: dict[str, Any]) -> str:
    """A manifest as TOML: scalars first, then one [[models]] per model."""
    lines = [f"{key} = {_toml(value)}" for key, value in data.items() if key != "models"]
    for model in data["models"]:
        lines += ["", "[[models]]", *(f"{key} = {_toml(value)}" for key, value in model.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)


def _manifest(zoo: Path) -> dict[str, Any]:
    return tomllib.loads(zoo.read_text())


def make_profile(case: Case, work: Path, *, retime: bool = False) -> Path:
    """Profile what is missing; a finished profile is only checked, or timed again. The child runs on one thread."""
    store = work / case.store
    command = [sys.executable, "-m", "premodel.cli.main", "profile", str(case.zoo), str(case.data)]
    command += ["--labels", str(case.labels)] if case.labels else []
    command += ["--retime", "all"] if retime else []
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Its summary goes to stderr: stdout is for the result.
    subprocess.run([*command, "--store", str(store)], check=True, stdout=sys.stderr, env={**os.environ, **single})
    return store


def read_case(case: Case, store: Path) -> tuple[Tables, int]:
    """The case's tables without samples on which a candidate failed, and how many those were.

    The peers know no failed prediction; leaving such samples out is the same for everybody.
    """
    tables = load_tables(store, candidates=case.candidates)
    whole = np.flatnonzero((tables.top_labels[:, :, 0] >= 0).all(axis=1))
    return tables.take(whole), len(tables) - len(whole)
