"""What a manifest states of a Python callable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class WholeInput:
    """The input of a callable that takes the decoded input itself and no tensor of it; see `Domain.plain`."""

    shape: tuple[int, ...] = ()
    dtype: str = "object"


@dataclass(frozen=True)
class Call:
    """How a callable is called, and what its answers mean.

    Attributes
    ----------
    target:
        "package.module:name", or "file.py:name".
    factory:
        It is called once, and its result is what answers; of a class that goes without saying.
    batch:
        It takes a list of inputs, and gives a list of answers.
    label_map:
        What it answers -> name of a label.
    labels:
        Names of the zoo's labels, in their order: another order is another candidate.
    packages:
        Versions of the packages that it imports.
    """

    target: str
    factory: bool = False
    batch: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict, hash=False)
    labels: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def module(self) -> str | None:
        """The installed module that it is in; None if it is a file beside the manifest."""
        from premodel.backends.python_source import module_of  # here: a device without callables does not wait for it

        return module_of(self.target)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "labels": list(self.labels)}

    def locate(self, folder: Path) -> Path:
        """Its source here, without importing anything; where it would be, if it is not here."""
        from premodel.backends.python_source import find_module

        module = self.module
        if module is None:
            return folder / self.target.rpartition(":")[0]
        return find_module(module) or folder / f"{module}.py"
