"""`config.pbtxt` of a Triton model repository: what the server is given for each model in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from premodel.backends.base import TensorSpec
from premodel.backends.onnx import GPU_PROVIDERS, OnnxBackend
from premodel.errors import InputError, ModelError
from premodel.protocol.oip import datatype_of
from premodel.serving.limits import Limits
from premodel.serving.signature import INPUT, metadata
from premodel.zoo.candidate import Model

PIXELS = "pixels"
"""The input for decoded images, beside signature.INPUT: an input of Triton has one datatype."""
MAX_BATCH = Limits.max_batch
"""Inputs of one request to a network whose file leaves the batch open; the file names no number."""
TENSORRT = "TensorrtExecutionProvider"


def tensor_entry(name: str, spec: TensorSpec, model: Model) -> dict[str, Any]:
    """A tensor of a network as the protocol's metadata has it, -1 for a free side; ModelError if it cannot."""
    try:
        datatype = datatype_of(spec.dtype)
    except (InputError, TypeError) as error:
        raise ModelError(
            f"tensor {name} of {model.name} has a type that the protocol does not know", where=model.file,
            given=spec.dtype,
        ) from error  # fmt: skip
    return {"name": name, "datatype": datatype, "shape": [-1 if side is None else side for side in spec.shape]}


def network_config(name: str, model: Model, backend: OnnxBackend) -> str:
    """The configuration of an ONNX network.

    Parameters
    ----------
    name:
        Of the model in the repository.
    model:
        Its manifest entry: threads and providers.
    backend:
        The opened file.

    Notes
    -----
    Triton's first dimension is the batch where `max_batch_size` is above 0, and `dims` are without it. That is so
    only for files that leave the batch open and are seen to take one of two; of others `dims` are the whole shape.
    No dynamic batching is asked for: a premodel asks for one input at a time, and what was profiled is a batch of one.
    """
    inputs = [tensor_entry(backend.input_name, backend.input, model)]
    outputs = [tensor_entry(backend.output_name, backend.output, model)]
    batched = all(len(entry["shape"]) > 1 for entry in (*inputs, *outputs)) and backend.takes_batches(model.input.shape)
    if batched:
        for entry in (*inputs, *outputs):
            entry["shape"] = entry["shape"][1:]
    gpu = any(provider in GPU_PROVIDERS for provider in model.providers)
    lines = [
        *_head(name, "onnxruntime", MAX_BATCH if batched else 0),
        *_tensors("input", inputs),
        *_tensors("output", outputs),
        *_instances("KIND_GPU" if gpu else "KIND_CPU"),
        *_parameter("intra_op_thread_count", str(model.threads)),
        *_parameter("inter_op_thread_count", "1"),
    ]
    if TENSORRT in model.providers:
        lines.append('optimization { execution_accelerators { gpu_execution_accelerator: [ { name: "tensorrt" } ] } }')
    return "\n".join(lines) + "\n"


def premodel_config(name: str, top_k: int) -> str:
    """The configuration of the premodel itself: the outputs of `premodel serve`, and one of two inputs."""
    inputs = [
        {"name": INPUT, "datatype": "BYTES", "shape": [-1], "optional": True},
        {"name": PIXELS, "datatype": "UINT8", "shape": [-1, -1, -1, 3], "optional": True},
    ]
    lines = [
        *_head(name, "python", 0),
        *_tensors("input", inputs),
        *_tensors("output", metadata(name, top_k)["outputs"]),
        *_instances("KIND_CPU"),
    ]
    return "\n".join(lines) + "\n"


def _head(name: str, backend: str, max_batch_size: int) -> list[str]:
    return [f"name: {_text(name)}", f"backend: {_text(backend)}", f"max_batch_size: {max_batch_size}"]


def _tensors(field: str, entries: Iterable[dict[str, Any]]) -> list[str]:
    lines = []
    for entry in entries:
        lines += [f"{field} {{", f"  name: {_text(entry['name'])}", f"  data_type: {_datatype(entry['datatype'])}"]
        lines += [f"  dims: {_numbers(entry['shape'])}", *(["  optional: true"] if entry.get("optional") else []), "}"]
    return lines


def _instances(kind: str) -> list[str]:
    return [f"instance_group {{ count: 1 kind: {kind} }}"]


def _parameter(key: str, value: str) -> list[str]:
    return [f"parameters {{ key: {_text(key)} value {{ string_value: {_text(value)} }} }}"]


def _datatype(datatype: str) -> str:
    """Triton's name of one of the protocol's types."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _numbers(values: Sequence[int]) -> str:
    return "[ " + ", ".join(map(str, values)) + " ]"


def _text(value: str) -> str:
    """Quoted; protobuf's text format escapes as JSON does."""
    return json.dumps(value, ensure_ascii=False)
