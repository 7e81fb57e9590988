"""premodel: answer every input with the cheapest of your pretrained models that will get it right.

Importing this package imports nothing but its errors and its version; `load` brings the rest.

Examples
--------
>>> import premodel
>>> clf = premodel.load("edge.premodel")
>>> clf.predict("photos/00000.png").candidate
'small'
>>> clf.close()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from premodel.errors import (
    BundleError,
    DatasetError,
    ImageError,
    InputError,
    MissingExtraError,
    ModelError,
    OptionError,
    PremodelError,
    RunError,
    StoreError,
    ZooError,
)
from premodel.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from premodel.runtime.answer import Answer, Explanation, LabelProbability
    from premodel.runtime.engine import Premodel

__all__ = [
    "Answer",
    "BundleError",
    "DatasetError",
    "Explanation",
    "ImageError",
    "InputError",
    "LabelProbability",
    "MissingExtraError",
    "ModelError",
    "OptionError",
    "Premodel",
    "PremodelError",
    "RunError",
    "StoreError",
    "ZooError",
    "__version__",
    "load",
]

_LAZY = {
    "Answer": "premodel.runtime.answer",
    "Explanation": "premodel.runtime.answer",
    "LabelProbability": "premodel.runtime.answer",
    "Premodel": "premodel.runtime.engine",
}


def load(
    path: str | Path,
    threads: int | None = None,
    zoo: str | Path | None = None,
    memory_budget_mb: float | None = None,
    trust_python: bool = False,
) -> Premodel:
    """Load a premodel; its models are opened when they are first needed.

    Parameters
    ----------
    path:
        The bundle, a `.premodel` file.
    threads:
        Threads of every inference runtime, and of OpenCV in the whole process; None for what each candidate was
        profiled with (1 unless the zoo specifies otherwise).
    zoo:
        Folder or manifest where the model files are, if they are not where they were in training.
    memory_budget_mb:
        What the opened models may take together, in 10^6 bytes; the one used longest ago is unloaded to make room.
    trust_python:
        Python callables that the bundle names may be imported and run; without it such a bundle is refused.

    Raises
    ------
    BundleError
        The bundle is missing, damaged, foreign or of another version.
    ModelError
        None of the model files is found.
    OptionError
        An option is wrong, or the bundle names Python code that is not trusted.
    """
    from premodel.runtime.engine import Premodel

    return Premodel(path, threads=threads, zoo=zoo, memory_budget_mb=memory_budget_mb, trust_python=trust_python)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
