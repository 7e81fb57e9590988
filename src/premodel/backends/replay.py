"""Recorded answers in place of a network: for tests, and for models measured elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from premodel.arrays import pack_arrays, unpack_arrays
from premodel.backends.base import Backend, Tensor, TensorSpec, check_tensor, require_model_file, tensor_digest
from premodel.clock import now_ms
from premodel.errors import BundleError, ModelError, OptionError, RunError

SCHEMA = 1
_SPIN_MS = 0.2


class ReplayBackend(Backend):
    """A file of recorded answers: SHA-256 of the input tensor's bytes -> output row.

    `threads` is accepted and changes nothing. A recorded latency is really spent: slept, and the last 0.2 ms spun, so
    that timing paths can be tested.
    """

    name: ClassVar[str] = "replay"
    extra: ClassVar[str] = ""
    recorded: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.input = _spec(arrays, "input")
        self.output = _spec(arrays, "output")
        outputs = arrays["outputs"]
        rows = [row.reshape([side or 1 for side in self.output.shape]) for row in outputs]
        latencies = arrays["latency_ms"].tolist()
        self._answers: dict[bytes, tuple[Tensor, float]] | None = {
            digest.tobytes(): (row, latency)
            for digest, row, latency in zip(arrays["digests"], rows, latencies, strict=True)
        }

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,  # noqa: ARG003
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> ReplayBackend:
        """Open a file written by `record`."""
        if providers or settings:
            raise OptionError(
                "the replay backend takes no providers and no settings",
                where=file,
                given=", ".join([*providers, *(settings or {})]),
            )
        require_model_file(file)
        try:
            arrays = unpack_arrays(file.read_bytes(), file)
            if int(arrays["schema"]) != SCHEMA:
                raise ModelError("recording of another schema", where=file, given=int(arrays["schema"]), allowed=SCHEMA)
            return cls(arrays)
        except OSError as error:
            raise ModelError(f"recording cannot be read ({error.strerror or error})", where=file) from error
        except (BundleError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelError(f"recording is damaged ({error})", where=file) from error

    def predict(self, tensor: Tensor) -> Tensor:
        """The recorded output of this very input."""
        start = now_ms()
        answers = self._answers
        if answers is None:
            raise RunError("the recording is closed")
        check_tensor(tensor, self.input)
        found = answers.get(tensor_digest(tensor))
        if found is None:
            raise RunError("no answer is recorded for this input")
        output, latency_ms = found
        spend(start, latency_ms)
        return output.copy()

    def close(self) -> None:
        """Forget the answers."""
        self._answers = None


def record(
    file: Path,
    tensors: Iterable[Tensor],
    outputs: Tensor,
    *,
    latency_ms: float | Sequence[float] = 0.0,
    output_scale: float = 0.0,
    output_zero_point: int = 0,
    input_scale: float = 0.0,
    input_zero_point: int = 0,
) -> None:
    """Write a recording.

    Parameters
    ----------
    file:
        Where to; a `.npz` without pickle.
    tensors:
        n input tensors of one shape and dtype, batch 1.
    outputs:
        (n, outputs), what the network answers to each.
    latency_ms:
        What each answer takes, or one number for all.
    output_scale, output_zero_point, input_scale, input_zero_point:
        Quantisation of output and input; scale 0 for none.

    Raises
    ------
    OptionError
        No tensors, tensors of different shapes, another number of outputs, or two equal tensors with unequal outputs.
    """
    inputs = [np.ascontiguousarray(tensor) for tensor in tensors]
    if not inputs or len(outputs) != len(inputs):
        raise OptionError("inputs and outputs of a recording differ", given=f"{len(inputs)} and {len(outputs)}")
    if len({(tensor.shape, tensor.dtype) for tensor in inputs}) != 1:
        raise OptionError("inputs of a recording have different shapes or types")
    latencies = np.broadcast_to(np.asarray(latency_ms, np.float64), len(inputs))
    first: dict[bytes, int] = {}
    for row, tensor in enumerate(inputs):
        digest = tensor_digest(tensor)
        if outputs[first.setdefault(digest, row)].tobytes() != outputs[row].tobytes():
            raise OptionError("one input has two answers", given=f"rows {first[digest]} and {row}")
    kept = list(first.values())
    arrays: dict[str, NDArray[Any]] = {
        "schema": np.array(SCHEMA),
        "input_shape": np.array(inputs[0].shape),
        "input_dtype": np.array(inputs[0].dtype.name),
        "input_quantisation": np.array([input_scale, input_zero_point], np.float64),
        "output_shape": np.array([1, *outputs.shape[1:]]),
        "output_dtype": np.array(outputs.dtype.name),
        "output_quantisation": np.array([output_scale, output_zero_point], np.float64),
        "digests": np.frombuffer(b"".join(first), np.uint8).reshape(-1, 32),
        "outputs": outputs[kept].reshape(len(kept), -1),
        "latency_ms": latencies[kept],
    }
    file.write_bytes(pack_arrays(arrays))


def spend(start_ms: float, latency_ms: float) -> None:
    """Return `latency_ms` after `start_ms` of the clock."""
    left = start_ms + latency_ms - now_ms()
    if left > _SPIN_MS:
        time.sleep((left - _SPIN_MS) / 1e3)
    while now_ms() < start_ms + latency_ms:
        pass


def _spec(arrays: Mapping[str, NDArray[Any]], side: str) -> TensorSpec:
    scale, zero_point = arrays[f"{side}_quantisation"].tolist()
    shape = tuple(int(length) for length in arrays[f"{side}_shape"])
    return TensorSpec(shape, np.dtype(str(arrays[f"{side}_dtype"])).name, float(scale), int(zero_point))
