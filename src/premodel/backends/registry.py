"""Runtime name -> backend. A backend is one file of this package; its runtime is imported when it is first opened."""

from __future__ import annotations

from importlib import import_module

from premodel.backends.base import Backend
from premodel.errors import OptionError, ZooError

BACKENDS = {
    "onnx": "premodel.backends.onnx:OnnxBackend",
    "litert": "premodel.backends.litert:LitertBackend",
    "openvino": "premodel.backends.openvino:OpenvinoBackend",
    "oip": "premodel.backends.oip:OipBackend",
    "replay": "premodel.backends.replay:ReplayBackend",
    "python": "premodel.backends.python:PythonBackend",
    "triton": "premodel.backends.triton:TritonBackend",
}

REMOTE_RUNTIMES = ("oip", "triton")
"""These predict in another process, most often on another machine: there is no model file to open here, and no meter
or clock here sees their work."""
CODE_RUNTIMES = ("python",)
"""These run code that a manifest names: never unless the user asks for it."""
EXPORTED_RUNTIMES = ("triton",)
"""These are in bundles that `premodel export` wrote; no manifest names them."""


def register(runtime: str, target: str) -> None:
    """Make a backend of another package known, wherever models of its runtime are opened.

    Parameters
    ----------
    runtime:
        As manifests name it, and `Backend.name` of the class.
    target:
        "module:Class"; imported when it is first opened.

    Raises
    ------
    OptionError
        There is another backend of that runtime.
    """
    if BACKENDS.setdefault(runtime, target) != target:
        raise OptionError("name of a runtime must be a new one", given=runtime, allowed="a name of its own")


def backend_class(runtime: str) -> type[Backend]:
    """The backend of a runtime.

    Raises
    ------
    ZooError
        No backend has that name.
    """
    target = BACKENDS.get(runtime)
    if target is None:
        raise ZooError("unknown runtime", given=runtime, allowed=", ".join(BACKENDS))
    module, _, name = target.partition(":")
    found: type[Backend] = getattr(import_module(module), name)
    return found


def runtimes_by_suffix() -> dict[str, str]:
    """Suffix of a model file -> the runtime that `zoo init` takes for it; of several, the first registered."""
    found: dict[str, str] = {}
    for runtime in BACKENDS:
        for suffix in backend_class(runtime).suffixes:
            found.setdefault(suffix, runtime)
    return found


def runtime_packages() -> tuple[str, ...]:
    """The packages of all runtimes, as pip has them."""
    packages = (backend_class(runtime).package for runtime in BACKENDS)
    return tuple(dict.fromkeys(package for package in packages if package))
