"""The zoos that come with the package, and the cache directory that pulled ones lie in."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from premodel.errors import ModelError, ZooError
from premodel.zoo.candidate import Model
from premodel.zoo.manifest import Zoo
from premodel.zoo.verify import verify

CACHE_VARIABLE = "PREMODEL_CACHE"
SHIPPED = Path(__file__).parent / "zoos"
MANIFEST = "zoo.toml"

State = Literal["present", "missing", "part", "wrong digest"]


@dataclass(frozen=True)
class KnownZoo:
    """A zoo that can be pulled, or was.

    Attributes
    ----------
    name:
        What `zoo pull` calls it.
    manifest:
        The one in the cache if it was pulled, else the one that comes with the package.
    folder:
        Where its models lie, or would lie.
    shipped:
        It comes with the package.
    pulled:
        Its manifest is in the cache.
    """

    name: str
    manifest: Path
    folder: Path
    shipped: bool
    pulled: bool


@dataclass(frozen=True)
class ModelState:
    """One model file of a zoo.

    Attributes
    ----------
    state:
        "present" and, where the manifest states a digest, verified; "part" if some of its files are missing or a
        download was cut.
    size_bytes:
        Of what is there; None if nothing is.
    """

    model: Model
    state: State
    size_bytes: int | None


def cache_directory() -> Path:
    """Where zoos are pulled to: PREMODEL_CACHE, else the platform's cache directory for this package."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return _platform_cache()


def folder_name(zoo_name: str) -> str:
    """The folder of a zoo in the cache: its name, with what is unsafe in file names replaced."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", zoo_name).strip(".-") or "zoo"


def shipped_manifests() -> dict[str, Path]:
    """The zoos that come with the package: name -> manifest."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.toml"))}


def find_manifest(zoo: str | Path) -> Path:
    """The manifest that a path or a known name means; a path wins.

    Raises
    ------
    ZooError
        It is neither.
    """
    path = Path(zoo)
    if path.is_dir() and (path / MANIFEST).is_file():
        return path / MANIFEST
    if path.is_file():
        return path
    shipped = shipped_manifests()
    if str(zoo) in shipped:
        return shipped[str(zoo)]
    raise ZooError("unknown zoo", given=zoo, allowed=f"the path of a manifest, or a known name: {', '.join(shipped)}")


def known_zoos(cache: Path | None = None) -> Iterator[KnownZoo]:
    """The zoos that come with the package, then those that were pulled into the cache from elsewhere."""
    cache = cache or cache_directory()
    shipped = shipped_manifests()
    for name, manifest in shipped.items():
        pulled = cache / name / MANIFEST
        yield KnownZoo(name, pulled if pulled.is_file() else manifest, cache / name, True, pulled.is_file())
    for pulled in sorted(cache.glob(f"*/{MANIFEST}")):
        if pulled.parent.name not in shipped:
            yield KnownZoo(pulled.parent.name, pulled, pulled.parent, False, True)


def model_states(zoo: Zoo, folder: Path) -> list[ModelState]:
    """Every model of a zoo as it lies beneath `folder`; files are read and hashed."""
    states = []
    for model in models_of(zoo):
        file = model.file
        if file.is_relative_to(zoo.file.parent):
            file = folder / file.relative_to(zoo.file.parent)
        states.append(_state(replace(model, file=file)))
    return states


def models_of(zoo: Zoo) -> list[Model]:
    """The models of a zoo, each once."""
    return [candidate.model for candidate in zoo.candidates if not candidate.view.name]


def _state(model: Model) -> ModelState:
    files = [model.file, *(model.file.parent / name for name in model.files)]
    parts = [file.with_name(file.name + ".part") for file in files]
    if all(file.is_file() for file in files):
        size = sum(file.stat().st_size for file in files)
        try:
            verify(model)
        except ModelError:
            return ModelState(model, "wrong digest", size)
        return ModelState(model, "present", size)
    begun = [file for file in (*files, *parts) if file.is_file()]
    if begun:
        return ModelState(model, "part", sum(file.stat().st_size for file in begun))
    return ModelState(model, "missing", None)


def _platform_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "premodel"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "premodel"
