"""OpenVINO: Intel processors, their graphics and NPUs, and ARM processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from premodel.backends.external_data import onnx_files, tflite_files
from premodel.backends.onnx_notes import quantised
from premodel.errors import ModelError, OptionError, RunError
from premodel.files import file_sha256

PRECISIONS = ("f32", "f16", "bf16")
SETTINGS = ("output", "precision", "weights_sha256")
DEFAULT_PROVIDER = "CPU"


class OpenvinoBackend(Backend):
    """An `.onnx` or `.tflite` file, or OpenVINO's own `.xml` with its `.bin` beside it, compiled for one device.

    Providers: one device that this OpenVINO sees, such as "CPU" (default), "GPU" or "NPU".
    Settings: `output` names the output of a file that has several; `precision` is what the network is computed in,
    "f32" (default), "f16" or "bf16"; `weights_sha256` is the digest of the `.bin` file, and wanted with an `.xml`.
    `threads` bounds the processor's threads; one request runs at a time, so `predict` locks.

    Notes
    -----
    Left to itself OpenVINO computes in half precision wherever the processor can, so that one manifest would give
    different answers on different machines; here that has to be asked for. A network whose activations are quantised
    to 16 bits is refused: OpenVINO 2026.4 runs it without an error and answers almost at random.
    An `.xml` holds no weights: without the digest of the `.bin`, changed weights would be taken for the model that was
    profiled. Files are read, not mapped: mapped weights change with the file, and end the process when it shrinks.
    """

    name: ClassVar[str] = "openvino"
    extra: ClassVar[str] = "openvino"
    package: ClassVar[str] = "openvino"
    suffixes: ClassVar[tuple[str, ...]] = (".xml",)

    def __init__(
        self, model: Any, compiler: Callable[[Any], Any], output: int, failures: tuple[type[Exception], ...]
    ) -> None:
        self.input = _spec(model.inputs[0])
        self.output = _spec(model.outputs[output])
        self._compiler = compiler
        self._output = output
        self._failures = failures
        self._shape: tuple[int, ...] = ()
        self._model: Any | None = model
        self._request: Any = None
        self._lock = Lock()
        if None not in self.input.shape:
            self._compile(model, tuple(side or 1 for side in self.input.shape))

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> OpenvinoBackend:
        """Open an `.onnx`, `.tflite` or `.xml` file."""
        settings = settings or {}
        openvino = load_runtime(cls, "openvino")
        failures = runtime_failures(openvino)
        core = openvino.Core()
        device = _check_options(file, providers, settings, core.available_devices)
        require_model_file(file)
        refuse_foreign(file)
        try:
            model = _read(file, settings)
            _refuse_16_bit(model, file)
            outputs = {_name(output, number): _spec(output).shape for number, output in enumerate(model.outputs)}
            if len(model.inputs) != 1:
                inputs = ", ".join(_name(item, number) for number, item in enumerate(model.inputs)) or "none"
                raise ModelError("model has not one input", where=file, given=inputs, allowed="one input")
            chosen = choose_output(file, outputs, settings.get("output"))
            _fix_batch(openvino, model)
            config = _config(device, threads, settings)
            opened = cls(model, lambda network: core.compile_model(network, device, config), chosen, failures)
            if file.suffix.lower() == ".onnx":
                opened.input = quantised(file, opened.input, _name(model.inputs[0], 0), is_input=True)
                opened.output = quantised(file, opened.output, _name(model.outputs[chosen], chosen), is_input=False)
            return opened
        except failures as error:
            raise ModelError(
                f"model file cannot be opened ({_told(error)})", where=file, given="runtime openvino"
            ) from error

    @classmethod
    def file_settings(cls, file: Path) -> dict[str, Any]:
        """The digest of the weights that an `.xml` needs; ModelError if they are not there."""
        return {"weights_sha256": file_sha256(file.with_suffix(".bin"))} if _is_ir(file) else {}

    @classmethod
    def further_files(cls, file: Path) -> tuple[str, ...]:
        """The weights of an `.xml`, the external data of an `.onnx`, the external buffers of a `.tflite`."""
        if _is_ir(file):
            return (file.with_suffix(".bin").name,)
        return tflite_files(file) if _is_tflite(file) else onnx_files(file)

    def predict(self, tensor: Tensor) -> Tensor:
        """Run the network; one call at a time."""
        check_tensor(tensor, self.input)
        with self._lock:
            model = self._model
            if model is None:
                raise RunError("the model is closed")
            try:
                if tensor.shape != self._shape:
                    self._compile(model, tensor.shape)
                self._request.infer({0: tensor}, share_inputs=False)
                output: Tensor = np.array(self._request.get_output_tensor(self._output).data)
            except self._failures as error:
                raise RunError(f"openvino failed ({_told(error)})") from error
        return output

    def resize(self, shape: tuple[int, ...]) -> None:
        """Change the sides, also where the file fixes them, and compile."""
        with self._lock:
            model = self._model
            if model is None:
                raise RunError("the model is closed")
            try:
                self._compile(model, shape)
                output = tuple(self._request.get_output_tensor(self._output).shape)
            except self._failures as error:
                raise RunError(f"openvino failed ({_told(error)})") from error
        self._resized(shape, output)

    def close(self) -> None:
        """Drop the compiled network."""
        with self._lock:
            self._model = self._request = None

    def _compile(self, model: Any, shape: tuple[int, ...]) -> None:
        """Compile for inputs of one shape: what OpenVINO compiles for free sides computes nonsense on a wrong one."""
        self._shape = ()  # should the next lines fail
        fixed = model.clone()
        fixed.reshape(list(shape))
        self._request = self._compiler(fixed).create_infer_request()
        self._shape = shape


def _refuse_16_bit(model: Any, file: Path) -> None:
    """ModelError if activations are quantised to 16-bit integers, which OpenVINO computes wrongly without an error."""
    for node in model.get_ops():
        if node.get_type_name() != "Convert" or node.get_output_element_type(0).get_type_name() not in ("u16", "i16"):
            continue
        source = node.input_value(0).get_node()
        if source.get_type_name() == "FakeQuantize":
            raise ModelError(
                "activations quantised to 16 bits must not be run by openvino, which computes them wrongly",
                where=file,
                given=f"{source.get_attributes()['levels']} levels",
                allowed="256 levels (8 bits)",
                do="use runtime onnx for this file, or quantise it to 8 bits",
            )


def runtime_failures(openvino: Any) -> tuple[type[Exception], ...]:
    """What OpenVINO raises: its own exceptions share no base class, so they are gathered from its module."""
    own = [item for item in vars(openvino._pyopenvino).values() if isinstance(item, type)]
    return (*(item for item in own if issubclass(item, Exception)), RuntimeError, ValueError, TypeError)


def _read(file: Path, settings: Mapping[str, Any]) -> Any:
    """The network, each form by its own reader: left to choose, OpenVINO tries them all, complaining on stderr."""
    if not _is_ir(file) and "weights_sha256" in settings:
        raise OptionError("settings.weights_sha256 goes with an .xml only", where=file, do="leave it out")
    if _is_ir(file):
        import openvino

        weights = file.with_suffix(".bin")
        _check_weights(file, weights, settings.get("weights_sha256"))
        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": False})
        return core.read_model(str(file), str(weights))
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework("tflite" if _is_tflite(file) else "onnx")
    return reader.convert(reader.load(str(file), enable_mmap=False))


def _is_ir(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<net"))
    except OSError:
        return False


def _is_tflite(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(8)[4:] == b"TFL3"
    except OSError:
        return False


def _check_weights(file: Path, weights: Path, expected: Any) -> None:
    found = file_sha256(weights)
    if expected != found:
        raise ModelError(
            "weights of the model are not the ones its manifest entry states", where=file,
            given="no settings.weights_sha256" if expected is None else expected,
            do=f"state settings.weights_sha256 = {found!r} if {weights.name} is right",
        )  # fmt: skip


def _fix_batch(openvino: Any, model: Any) -> None:
    """A free batch is 1: given before compiling, OpenVINO plans for it once."""
    shape = model.inputs[0].partial_shape
    if shape.rank.is_static and len(shape) and shape[0].is_dynamic:
        shape[0] = openvino.Dimension(1)
        model.reshape(shape)


def _config(device: str, threads: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": settings.get("precision", PRECISIONS[0])}
    if device == DEFAULT_PROVIDER:
        config |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    return config


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any], devices: Sequence[str]) -> str:
    if len(providers) > 1 or any(provider not in devices for provider in providers):
        raise OptionError(
            "provider is not a device that this OpenVINO sees",
            where=file,
            given=", ".join(providers),
            allowed="one of " + ", ".join(devices),
        )
    for name in settings:
        if name not in SETTINGS:
            raise OptionError("unknown setting for openvino", where=file, given=name, allowed=", ".join(SETTINGS))
    precision = settings.get("precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        raise OptionError("wrong settings.precision", where=file, given=precision, allowed=", ".join(PRECISIONS))
    return providers[0] if providers else DEFAULT_PROVIDER


def _name(port: Any, number: int) -> str:
    """The port's first name; some have none."""
    return min(port.get_names(), default=str(number))


def _told(error: Exception) -> str:
    """What an error states, without the source lines of OpenVINO it begins with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Exception from ", "Check '", "FrontEnd API failed"))]
    return "; ".join(kept or lines)[:500]


def _spec(port: Any) -> TensorSpec:
    shape = port.partial_shape
    sides: list[int | None] = []
    if shape.rank.is_static:
        sides = [side.get_length() if side.is_static else None for side in shape]
    if sides and sides[0] is None:
        sides[0] = 1
    return TensorSpec(tuple(sides), _dtype(port.element_type))


def _dtype(kind: Any) -> str:
    """numpy's name; OpenVINO's own where numpy has no such type."""
    try:
        return str(np.dtype(kind.to_dtype()).name)
    except (RuntimeError, TypeError, ValueError):
        return str(kind.get_type_name())
