"""LiteRT (TensorFlow Lite) on the CPU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from premodel.backends.base import (
    Backend,
    Tensor,
    TensorSpec,
    check_tensor,
    choose_output,
    load_runtime,
    refuse_foreign,
    require_model_file,
)
from premodel.backends.external_data import own_copy, tflite_files
from premodel.errors import ModelError, OptionError, RunError

PROVIDERS = ("xnnpack", "builtin")
SETTINGS = ("output",)
_CHATTER_LOCK = Lock()


class LitertBackend(Backend):
    """A `.tflite` file under ai-edge-litert's interpreter.

    Providers: "xnnpack" (default, the optimised kernels) or "builtin" (without any delegate).
    Settings: `output` names the output tensor of a file that has several.
    The interpreter is no good for two threads at once, so `predict` locks.
    """

    name: ClassVar[str] = "litert"
    extra: ClassVar[str] = "litert"
    package: ClassVar[str] = "ai-edge-litert"
    suffixes: ClassVar[tuple[str, ...]] = (".tflite",)

    def __init__(self, interpreter: Any, output: Mapping[str, Any], content: bytes | None = None) -> None:
        inputs = interpreter.get_input_details()
        self.input = _spec(inputs[0])
        self.output = _spec(output)
        self._input_index = int(inputs[0]["index"])
        self._output_index = int(output["index"])
        self._shape: tuple[int, ...] = tuple(int(side) for side in inputs[0]["shape"])
        self._interpreter: Any | None = interpreter
        self._content = content  # the interpreter reads weights from it
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> LitertBackend:
        """Open a `.tflite` file."""
        settings = settings or {}
        provider = _check_options(file, providers, settings)
        litert = load_runtime(cls, "ai_edge_litert.interpreter")
        require_model_file(file)
        refuse_foreign(file)
        resolver = litert.OpResolverType.AUTO
        if provider == "builtin":
            resolver = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with own_copy(file, tflite_files(file)) as place, _without_chatter():
                content = file.read_bytes() if place == file else None  # a mapped file would change under us
                interpreter = litert.Interpreter(
                    model_path=None if content else str(place), model_content=content, num_threads=threads,
                    experimental_op_resolver_type=resolver,
                )  # fmt: skip
                interpreter.allocate_tensors()
        except OSError as error:
            raise ModelError(f"model file cannot be read ({error.strerror})", where=file) from error
        except (ValueError, RuntimeError, TypeError) as error:
            raise ModelError(f"model file cannot be opened ({error})", where=file, given="runtime litert") from error
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1:
            raise ModelError("model has several inputs", where=file, given=_names(inputs), allowed="one input")
        chosen = choose_output(
            file, {str(output["name"]): _spec(output).shape for output in outputs}, settings.get("output")
        )
        return cls(interpreter, outputs[chosen], content)

    @classmethod
    def further_files(cls, file: Path) -> tuple[str, ...]:
        """External buffers."""
        return tflite_files(file)

    def predict(self, tensor: Tensor) -> Tensor:
        """Run the interpreter; one call at a time."""
        check_tensor(tensor, self.input)
        with self._lock:
            interpreter = self._interpreter
            if interpreter is None:
                raise RunError("the model is closed")
            try:
                if tensor.shape != self._shape:
                    self._shape = ()  # should the next lines fail
                    interpreter.resize_tensor_input(self._input_index, tensor.shape)
                    interpreter.allocate_tensors()
                    self._shape = tensor.shape
                interpreter.set_tensor(self._input_index, tensor)
                interpreter.invoke()
                output: Tensor = interpreter.get_tensor(self._output_index)
            except (ValueError, RuntimeError) as error:
                raise RunError(f"litert failed ({error})") from error
        return output

    def resize(self, shape: tuple[int, ...]) -> None:
        """Change the sides, also where the file fixes them; run once, as not every operator complains earlier."""
        with self._lock:
            interpreter = self._interpreter
            if interpreter is None:
                raise RunError("the model is closed")
            try:
                interpreter.resize_tensor_input(self._input_index, shape)
                interpreter.allocate_tensors()
                interpreter.set_tensor(self._input_index, np.zeros(shape, self.input.dtype))
                interpreter.invoke()
                output = interpreter.get_tensor(self._output_index).shape
            except (ValueError, RuntimeError) as error:
                raise RunError(f"litert failed ({' '.join(str(error).split())})") from error
        self._shape = shape
        self._resized(shape, output)

    def close(self) -> None:
        """Drop the interpreter."""
        with self._lock:
            self._interpreter = self._content = None


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep the runtime's "INFO: Created ... delegate" off stderr, whose log level it offers no way to set.

    The C library writes to file descriptor 2, so that is diverted while a file is opened; every other line written
    meanwhile, by whatever thread, is passed on afterwards.
    """
    with _CHATTER_LOCK:
        try:
            stderr = os.dup(2)
        except OSError:  # a process without stderr
            yield
            return
        try:
            with tempfile.TemporaryFile() as kept:
                os.dup2(kept.fileno(), 2)
                try:
                    yield
                finally:
                    os.dup2(stderr, 2)
                    kept.seek(0)
                    for line in kept:
                        if not line.startswith(b"INFO: "):
                            os.write(2, line)
        finally:
            os.close(stderr)


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any]) -> str:
    if len(providers) > 1 or any(provider not in PROVIDERS for provider in providers):
        raise OptionError(
            "wrong providers for litert",
            where=file,
            given=", ".join(providers),
            allowed="one of " + ", ".join(PROVIDERS),
        )
    unknown = [name for name in settings if name not in SETTINGS]
    if unknown:
        raise OptionError("unknown setting for litert", where=file, given=unknown[0], allowed=", ".join(SETTINGS))
    return providers[0] if providers else PROVIDERS[0]


def _names(details: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(detail["name"]) for detail in details)


def _spec(details: Mapping[str, Any]) -> TensorSpec:
    signature = details.get("shape_signature")
    sides = details["shape"] if signature is None or len(signature) == 0 else signature
    shape: list[int | None] = [int(side) if side >= 0 else None for side in sides]
    if shape and shape[0] is None:
        shape[0] = 1
    scale, zero_point = details["quantization"]
    return TensorSpec(tuple(shape), np.dtype(details["dtype"]).name, float(scale), int(zero_point))
