"""Triton's Python backend for tests: its module, and a server that runs a repository's networks with onnxruntime.

It holds a repository to its `config.pbtxt`, read with NVIDIA's own protobuf messages: a tensor of another name,
datatype or shape than configured is an error, as it is in Triton. It is no Triton: what it allows Triton may refuse.
`from fake_triton import FakeTriton` in any test.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bundles import Made, bundle_of, profile_of
from policy_makers import MAKERS
from premodel.domains.image.decode import decode
from premodel.files import file_sha256
from premodel.runtime.bundle import write_bundle
from premodel.runtime.candidate import open_candidates
from premodel.zoo.manifest import read_zoo
from tiny_models import write_onnx
from zoos import SmallZoo, write_zoo

DTYPES = {"TYPE_FP32": np.float32, "TYPE_UINT8": np.uint8, "TYPE_INT32": np.int32, "TYPE_STRING": np.object_}


@functools.cache
def config_messages() -> Any:
    """NVIDIA's messages of `config.pbtxt`, out of tritonclient without its gRPC."""
    found = importlib.util.find_spec("tritonclient")
    if found is None or importlib.util.find_spec("google.protobuf") is None:
        pytest.skip("tritonclient or protobuf is not installed")
    (folder,) = found.submodule_search_locations or ()
    spec = importlib.util.spec_from_file_location("model_config_pb2", Path(folder) / "grpc" / "model_config_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_config(file: Path) -> Any:
    """A `config.pbtxt` as a message; whatever is no such message fails the test."""
    messages = config_messages()
    from google.protobuf import text_format

    return text_format.Parse(file.read_text(), messages.ModelConfig())


class Tensor:
    """`pb_utils.Tensor`."""

    def __init__(self, name: str, values: NDArray[Any]) -> None:
        assert isinstance(values, np.ndarray)
        self._name, self._values = name, values

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        """Not to be written to: it is the server's memory."""
        values = self._values.view()
        values.flags.writeable = False
        return values


class TritonError:
    """`pb_utils.TritonError`."""

    INTERNAL, INVALID_ARG = 1, 3

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class TritonModelException(Exception):
    """`pb_utils.TritonModelException`."""


class InferenceResponse:
    """`pb_utils.InferenceResponse`."""

    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self.tensors = {tensor.name(): tensor for tensor in output_tensors}
        self._error = error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError:
        assert self._error is not None
        return self._error


class Asked:
    """A request that a client sent, as `execute` is handed it."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], outputs: Sequence[str], parameters: Mapping[str, Any]):
        self.tensors = {name: Tensor(name, values) for name, values in tensors.items()}
        self._outputs, self._parameters = list(outputs), dict(parameters)

    def requested_output_names(self) -> list[str]:
        return self._outputs

    def parameters(self) -> str:
        return json.dumps(self._parameters) if self._parameters else ""


class FakeTriton(types.ModuleType):
    """The module `triton_python_backend_utils`, and the server behind it.

    Attributes
    ----------
    ran:
        Models that were asked, in order.
    broken:
        Models that fail, with what they say.
    executing:
        Requests to other models are allowed only while `execute` runs.
    """

    Tensor, TritonError, TritonModelException = Tensor, TritonError, TritonModelException
    InferenceResponse = InferenceResponse
    TRITONSERVER_MEMORY_CPU = 0

    def __init__(self, repository: Path) -> None:
        super().__init__("triton_python_backend_utils")
        self.repository = repository
        self.ran: list[str] = []
        self.broken: dict[str, Exception | str] = {}
        self.executing = False
        self.warned: list[str] = []
        self.Logger = types.SimpleNamespace(log_warn=self.warned.append)
        self._sessions: dict[str, Any] = {}
        self._configs: dict[str, Any] = {}

    def PreferredMemory(self, kind: int, device: int) -> tuple[int, int]:
        return kind, device

    def InferenceRequest(
        self, *, model_name: str, requested_output_names: list[str], inputs: list[Tensor], preferred_memory: Any
    ) -> Any:
        assert preferred_memory == (self.TRITONSERVER_MEMORY_CPU, 0)
        return types.SimpleNamespace(exec=lambda: self._exec(model_name, requested_output_names, inputs))

    def get_input_tensor_by_name(self, request: Asked, name: str) -> Tensor | None:
        return request.tensors.get(name)

    def get_output_tensor_by_name(self, response: InferenceResponse, name: str) -> Tensor | None:
        return response.tensors.get(name)

    def load(self, name: str) -> LoadedModel:
        """A Python model of the repository, initialised as Triton does it."""
        return LoadedModel(self, name)

    def _exec(self, name: str, outputs: list[str], inputs: list[Tensor]) -> InferenceResponse:
        if not self.executing:
            raise TritonModelException("other models are asked only within execute")
        self.ran.append(name)
        broken = self.broken.get(name)
        if isinstance(broken, Exception):
            raise broken
        if broken is not None:
            return InferenceResponse(error=TritonError(broken))
        if name not in self._configs:
            self._configs[name] = read_config(self.repository / name / "config.pbtxt")
        config = self._configs[name]
        given = {tensor.name(): tensor.as_numpy() for tensor in inputs}
        message = wrong(config, given)
        if message is not None:
            return InferenceResponse(error=TritonError(message))
        found = self._session(name).run(outputs, given)
        return InferenceResponse([Tensor(*pair) for pair in zip(outputs, found, strict=True)])

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            file = self.repository / name / "1" / "model.onnx"
            self._sessions[name] = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return self._sessions[name]


def wrong(config: Any, given: Mapping[str, NDArray[Any]]) -> str | None:
    """What Triton would say of input tensors that are not as configured; None if they are."""
    entries = {entry.name: entry for entry in config.input}
    missing = {name for name, entry in entries.items() if not entry.optional} - set(given)
    if missing or set(given) - set(entries):
        return f"inputs {sorted(given)}, configured are {sorted(entries)}"
    for name, values in given.items():
        entry = entries[name]
        dims = [-1, *entry.dims] if config.max_batch_size > 0 else list(entry.dims)
        kind = DTYPES[config_messages().DataType.Name(entry.data_type)]
        fits = len(dims) == values.ndim and all(dim in (-1, side) for dim, side in zip(dims, values.shape, strict=True))
        if not fits or values.dtype != kind or (config.max_batch_size and len(values) > config.max_batch_size):
            return f"{name}: {values.dtype} {values.shape}, configured is {kind} {dims}"
    return None


class LoadedModel:
    """A `TritonPythonModel` that is called as the server calls it. Its module must be found as FakeTriton."""

    def __init__(self, triton: FakeTriton, name: str) -> None:
        self.triton = triton
        self.config = read_config(triton.repository / name / "config.pbtxt")
        file = triton.repository / name / "1" / "model.py"
        spec = importlib.util.spec_from_file_location("model", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.model = module.TritonPythonModel()
        self.model.initialize({"model_name": name, "model_version": "1"})

    def ask(
        self, outputs: Sequence[str] | None = None, parameters: Mapping[str, Any] | None = None, **tensors: Any
    ) -> InferenceResponse:
        """One request; without `outputs` all are asked for, as Triton does for a client that names none."""
        assert wrong(self.config, tensors) is None
        names = [entry.name for entry in self.config.output]
        request = Asked(tensors, names if outputs is None else outputs, parameters or {})
        self.triton.executing = True
        try:
            (response,) = self.model.execute([request])
        finally:
            self.triton.executing = False
        assert isinstance(response, InferenceResponse)
        self._check_outputs(response)
        return response

    def _check_outputs(self, response: InferenceResponse) -> None:
        """They are as configured."""
        entries = {entry.name: entry for entry in self.config.output}
        for name, tensor in response.tensors.items():
            values, entry = tensor.as_numpy(), entries[name]
            assert values.dtype == DTYPES[config_messages().DataType.Name(entry.data_type)]
            assert len(entry.dims) == values.ndim
            assert all(dim in (-1, side) for dim, side in zip(entry.dims, values.shape, strict=True))


ENTRY = """
[[models]]
name = "{name}"
file = "models/{name}.onnx"
sha256 = "{digest}"
runtime = "onnx"
threads = 1
{more}
input = {{ size = [{side}, {side}], layout = "NHWC", dtype = "{dtype}", resize = "center-crop", crop_fraction = 0.875, interpolation = "bilinear" }}
output = {{ activation = "{activation}" }}
"""  # noqa: E501
VIEW = '[[models.views]]\nname = "mirrored"\nmirror = true\n'


def write_mixed_zoo(folder: Path, n: int = 40) -> SmallZoo:
    """Candidates m0 (recorded answers, for no server), small (free batch), large (fixed batch), large@mirrored."""
    rng = np.random.default_rng(0)
    small = write_zoo(folder, correct=rng.random((n, 1)) < 0.5, n_labels=6)
    text = small.zoo.read_text()
    for name, side, batch, dtype in (("small", 6, "N", "float32"), ("large", 8, 1, "uint8")):
        file, step = folder / "models" / f"{name}.onnx", 0.01 if dtype == "uint8" else 1.0
        weights = rng.normal(0, 0.3 * step, (side * side * 3, 6)).astype(np.float32)
        write_onnx(
            file, weights, np.zeros(6, np.float32), (batch, side, side, 3), dtype=dtype, softmax=name == "small",
            outputs=("prob", "spare") if name == "large" else ("prob",),
        )  # fmt: skip
        text += ENTRY.format(
            name=name, digest=file_sha256(file), side=side, dtype=dtype,
            activation="softmax" if name == "small" else "none",
            more='settings = { output = "spare" }' if name == "large" else "",
        )  # fmt: skip
    small.zoo.write_text(text + VIEW)
    zoo = read_zoo(small.zoo)
    opened = open_candidates(zoo.candidates)
    said = [[candidate.predict(decode(image)) for candidate in opened[1:]] for image in small.images]
    sure = np.median([predictions[0].probabilities[0] for predictions in said])
    truth = rng.integers(0, 6, n).astype(np.int32)
    for row, predictions in enumerate(said):
        if rng.random() < 0.95:  # the first is right where it is sure, and only there
            teacher = predictions[0 if predictions[0].probabilities[0] > sure else 1]
            truth[row] = teacher.labels[0]
    for candidate in opened:
        candidate.close()
    names = tuple(candidate.name for candidate in zoo.candidates)
    return SmallZoo(small.zoo, small.data, small.labels, small.images, truth, small.probabilities, names)


def make_mixed(folder: Path, policy: str, *, embed: bool = False) -> Made:
    """A bundle `folder`/edge.premodel of one of policy_makers.MAKERS over `write_mixed_zoo`."""
    small = write_mixed_zoo(folder / "zoo")
    tables = profile_of(small)
    made = MAKERS[policy](tables)
    path = folder / "edge.premodel"
    write_bundle(path, bundle_of(small, tables, made), folder=small.zoo.parent, embed=embed)
    return Made(path, small, tables, made)
