"""A model of the Triton server that this process belongs to, asked from within Triton's Python backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from premodel.backends.base import Backend, Tensor, TensorSpec, check_tensor
from premodel.errors import InputError, ModelError, OptionError, RunError
from premodel.fields import shown
from premodel.protocol.oip import dtype_of, shape_of

PYTHON_BACKEND = "triton_python_backend_utils"
"""Triton's own module; there is one only in the processes of its Python backend."""
SETTINGS = ("model", "input", "output")
TOLERATED = ("remote_runtime", "remote_settings", "url", "name", "sha256")
"""Settings that say what the model was profiled with (see `Candidate.home`), or that every remote model is given."""


class TritonBackend(Backend):
    """A model beside this one in the same server; what Triton calls business logic scripting.

    `premodel export` writes the entries of this runtime. Settings: `model` is the model's name in the server; `input`
    and `output` are its tensors (`name`, `datatype`, `shape`), as its file states: the server cannot be asked for them
    before the first request.
    """

    name: ClassVar[str] = "triton"
    extra: ClassVar[str] = ""

    def __init__(self, triton: Any, settings: Mapping[str, Any], where: Path) -> None:
        self._triton = triton
        self._model = str(settings["model"])
        self._input_name, self.input = _tensor(settings["input"], where)
        self._output_name, self.output = _tensor(settings["output"], where)
        self._closed = False

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,  # noqa: ARG003 - the server's own
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> TritonBackend:
        """Nothing is asked of the server: it takes requests only while it answers one.

        Raises
        ------
        ModelError
            This process is none of Triton's, or the settings name no tensor.
        OptionError
            A setting is unknown or missing.
        """
        settings = settings or {}
        _check_options(file, providers, settings)
        try:
            triton = import_module(PYTHON_BACKEND)
        except ImportError as error:
            raise ModelError(
                "runtime triton runs only inside Triton's Python backend", where=file,
                do="start Triton on the folder that premodel export wrote",
            ) from error  # fmt: skip
        return cls(triton, settings, file)

    def predict(self, tensor: Tensor) -> Tensor:
        """Ask the server, and wait for its answer."""
        if self._closed:
            raise RunError("the model is closed")
        check_tensor(tensor, self.input)
        triton = self._triton
        try:
            response = triton.InferenceRequest(
                model_name=self._model,
                requested_output_names=[self._output_name],
                inputs=[triton.Tensor(self._input_name, np.ascontiguousarray(tensor))],
                preferred_memory=triton.PreferredMemory(triton.TRITONSERVER_MEMORY_CPU, 0),
            ).exec()
        except (triton.TritonModelException, RuntimeError) as error:
            raise RunError(f"Triton failed ({error})", where=self._model) from error
        if response.has_error():
            raise RunError(f"Triton failed ({response.error().message()})", where=self._model)
        output = triton.get_output_tensor_by_name(response, self._output_name)
        if output is None:
            raise RunError("Triton gave no such output", where=self._model, given=self._output_name)
        return np.array(output.as_numpy())  # its own memory: what came is the server's

    def close(self) -> None:
        """Ask no more; the model is the server's."""
        self._closed = True


def _tensor(entry: Any, where: Path) -> tuple[str, TensorSpec]:
    """Name and spec of a tensor as the protocol's metadata has it; ModelError if it is none."""
    try:
        shape = shape_of([int(side) for side in entry["shape"]])
        return str(entry["name"]), TensorSpec(shape, dtype_of(entry["datatype"]))
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError("no tensor", where=where, given=shown(entry), allowed="name, datatype and shape") from error


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any]) -> None:
    if providers and "remote_runtime" not in settings:
        raise OptionError("providers are the server's own", where=file, given=", ".join(providers), allowed="none")
    for name in settings:
        if name not in (*SETTINGS, *TOLERATED):
            raise OptionError("unknown setting for triton", where=file, given=name, allowed=", ".join(SETTINGS))
    for name in SETTINGS:
        if name not in settings:
            raise OptionError(f"settings.{name} is missing", where=file, allowed=", ".join(SETTINGS))
