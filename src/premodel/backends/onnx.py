"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
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
from premodel.backends.external_data import onnx_files, own_copy
from premodel.backends.onnx_notes import quantised
from premodel.errors import ModelError, OptionError, RunError, install_hint

SETTINGS = ("output", "spinning", "input", "mask", "types", "padding")
DEFAULT_PROVIDERS = ("CPUExecutionProvider",)
GPU_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
GPU_EXTRA = "onnx-gpu"

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_LIBRARIES = {
    "CUDAExecutionProvider": "it needs a driver, CUDA and cuDNN of the versions this onnxruntime-gpu was made for",
    "TensorrtExecutionProvider": "it needs a driver, CUDA, cuDNN and TensorRT of the versions this onnxruntime-gpu was "
    "made for",
}
"""What a provider that is there and does not start most likely lacks."""


class OnnxBackend(Backend):
    """An `.onnx` file under an onnxruntime session.

    Providers: any that this onnxruntime offers, in order; CPUExecutionProvider if none is given. What the first cannot
    do falls to the next and at last to the CPU, on `threads` threads; a provider that does not start is an error, so
    that no latency of the CPU is taken for one of the GPU.
    Settings: `output` names the output of a file that has several. Of a file with several inputs, as networks of tokens
    have them, `input` names that of the tokens, `mask` the one that is 1 where there is a token (other than `padding`,
    0 if it is not stated), `types` the one that is 0 everywhere. `spinning = true` lets waiting threads spin, which
    costs power and other processes' time (off by default; meaningless on one thread).
    A session runs on several threads at once without a lock. Scale and zero point of integer inputs and outputs are
    those of the DequantizeLinear and QuantizeLinear beside them.

    Attributes
    ----------
    input_name, output_name:
        Of the tensors in the file.
    free_batch:
        Does the file leave the batch open, at its input and its output.
    """

    name: ClassVar[str] = "onnx"
    extra: ClassVar[str] = "onnx"
    package: ClassVar[str] = "onnxruntime"
    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)

    def __init__(self, session: Any, output: Any, failures: tuple[type[Exception], ...]) -> None:
        feed = session.get_inputs()[0]
        self.input = _spec(feed)
        self.output = _spec(output)
        self.input_name: str = feed.name
        self.output_name: str = output.name
        self.free_batch = all(node.shape and _side(node.shape[0]) is None for node in (feed, output))
        self._session: Any | None = session
        self._failures = failures
        self._quietly = _quiet()
        self._beside: dict[str, tuple[str, bool]] = {}
        self._padding = 0

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> OnnxBackend:
        """Open an `.onnx` file."""
        settings = settings or {}
        onnxruntime = load_runtime(cls, "onnxruntime")
        _check_options(file, providers, settings, onnxruntime.get_available_providers())
        require_model_file(file)
        refuse_foreign(file)
        failures = runtime_failures()
        try:
            with own_copy(file, onnx_files(file)) as place:
                session = onnxruntime.InferenceSession(
                    str(place),
                    sess_options=_options(onnxruntime, threads, bool(settings.get("spinning", False))),
                    providers=list(providers or DEFAULT_PROVIDERS),
                    enable_fallback=0,  # else a failure prints to stdout and another provider is measured unasked
                )
        except failures as error:
            raise ModelError(f"model file cannot be opened ({error})", where=file, given="runtime onnx") from error
        refused = [provider for provider in providers if provider not in session.get_providers()]
        if refused:
            raise OptionError(
                "provider did not start",
                where=file,
                given=refused[0],
                allowed=", ".join(session.get_providers()),
                do=_LIBRARIES.get(refused[0]),
            )
        inputs, outputs = session.get_inputs(), session.get_outputs()
        beside = _inputs_beside(file, inputs, settings)
        chosen = choose_output(file, {output.name: _spec(output).shape for output in outputs}, settings.get("output"))
        opened = cls(session, outputs[chosen], failures)
        if beside:
            feed = next(node for node in inputs if node.name == settings["input"])
            opened.input, opened.input_name, opened._beside = _spec(feed), feed.name, beside
            opened._padding = int(settings.get("padding", 0))
        opened.input = quantised(file, opened.input, opened.input_name, is_input=True)
        opened.output = quantised(file, opened.output, opened.output_name, is_input=False)
        return opened

    @classmethod
    def further_files(cls, file: Path) -> tuple[str, ...]:
        """External data, and compiled nodes kept in files of their own."""
        return onnx_files(file)

    def predict(self, tensor: Tensor) -> Tensor:
        """Run the session."""
        check_tensor(tensor, self.input)
        return self._run(tensor, self._quietly)

    def takes_batches(self, shape: tuple[int, ...]) -> bool:
        """Does a batch of two give what two runs of one give: a file may leave the batch open and fix it inside.

        Parameters
        ----------
        shape:
            Of one input, the batch 1 included.
        """
        if not self.free_batch or self.input.dtype not in _DTYPES.values():
            return False
        rng = np.random.default_rng(0)
        integer = np.issubdtype(self.input.dtype, np.integer)
        drawn = [rng.integers(0, 128, shape) if integer else rng.random(shape) for _ in range(2)]
        pair = [one.astype(self.input.dtype) for one in drawn]
        try:
            alone = np.concatenate([self._run(one, _quiet()) for one in pair])
            together = self._run(np.concatenate(pair), _quiet())
        except RunError:
            return False
        return alone.shape == together.shape and np.allclose(alone, together, rtol=1e-2, atol=1e-4, equal_nan=True)

    def resize(self, shape: tuple[int, ...]) -> None:
        """Take another size where the file leaves the sides free; run once, as layers behind may not."""
        if not self.input.takes(shape) or self.input.dtype not in _DTYPES.values():
            super().resize(shape)  # refuses it; and a type that no manifest can describe is refused later
            return
        self._resized(shape, self._run(np.zeros(shape, self.input.dtype), _quiet()).shape)

    def _run(self, tensor: Tensor, options: Any = None) -> Tensor:
        session = self._session
        if session is None:
            raise RunError("the model is closed")
        try:
            feeds = {self.input_name: tensor}
            for name, (dtype, is_mask) in self._beside.items():
                feeds[name] = (tensor != self._padding).astype(dtype) if is_mask else np.zeros(tensor.shape, dtype)
            output: Tensor = session.run([self.output_name], feeds, options)[0]
        except self._failures as error:
            raise RunError(f"onnxruntime failed ({' '.join(str(error).split())})") from error
        return output

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def runtime_failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its own exceptions share no base class, so they are gathered from its module."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception)]
    return (*own, RuntimeError, ValueError)


def _options(onnxruntime: Any, threads: int, spinning: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors are raised anyway; warnings would go to stderr behind our back
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    return options


def _quiet() -> Any:
    """For runs that may fail: what fails is raised, and not written to stderr too."""
    from onnxruntime import RunOptions

    quiet = RunOptions()
    quiet.log_severity_level = 4
    return quiet


def _gpu_package() -> str:
    """What brings the GPU's providers. Both packages hold the module onnxruntime, so one must go first."""
    return f"first: pip uninstall onnxruntime; then {install_hint(GPU_EXTRA)}"


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any], available: Sequence[str]) -> None:
    for provider in providers:
        if provider not in available:
            raise OptionError(
                "provider is not available in this onnxruntime",
                where=file,
                given=provider,
                allowed=", ".join(available),
                do=_gpu_package() if provider in GPU_PROVIDERS else None,
            )
    for name, value in settings.items():
        if name not in SETTINGS:
            raise OptionError("unknown setting for onnx", where=file, given=name, allowed=", ".join(SETTINGS))
        if name == "spinning" and not isinstance(value, bool):
            raise OptionError("wrong settings.spinning", where=file, given=value, allowed="true, false")
        if name in ("input", "mask", "types") and not isinstance(value, str):
            raise OptionError(f"settings.{name} must be the name of an input", where=file, given=value)
        if name == "padding" and (isinstance(value, bool) or not isinstance(value, int)):
            raise OptionError("settings.padding must be the number of a token", where=file, given=value)


def _inputs_beside(file: Path, inputs: Sequence[Any], settings: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """Type of every input beside that of the tokens, by name, and whether it is the mask; none of a file with one."""
    if len(inputs) == 1:
        return {}
    beside = {settings[name]: name == "mask" for name in ("mask", "types") if name in settings}
    types = {node.name: _DTYPES.get(node.type, str(node.type)) for node in inputs}
    if set(types) != {settings.get("input"), *beside}:
        raise ModelError(
            "model has several inputs", where=file, given=_names(inputs), allowed="one input",
            do="of a network of tokens state settings.input, settings.mask and settings.types, by these names",
        )  # fmt: skip
    return {name: (types[name], is_mask) for name, is_mask in beside.items()}


def _names(nodes: Sequence[Any]) -> str:
    return ", ".join(node.name for node in nodes)


def _spec(node: Any) -> TensorSpec:
    """Free dimensions have a name or nothing in place of a number; a free batch is 1."""
    shape = [_side(side) for side in node.shape]
    if shape and shape[0] is None:
        shape[0] = 1
    return TensorSpec(tuple(shape), _DTYPES.get(node.type, str(node.type)))


def _side(side: Any) -> int | None:
    """The length of a dimension; None for a free one."""
    return side if isinstance(side, int) and side > 0 else None
