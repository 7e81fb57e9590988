"""The contract of a backend: open a model file, predict, close."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from premodel.errors import MissingExtraError, ModelError, RunError
from premodel.signatures import kind_of_file

Tensor = NDArray[Any]
FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True)
class TensorSpec:
    """What a model file states of its input or output tensor.

    Attributes
    ----------
    shape:
        Dimensions with the batch dimension, 1; a free dimension other than the batch is None.
    dtype:
        numpy name, such as "uint8" or "float32".
    scale, zero_point:
        Quantisation, real = scale * (stored - zero_point); scale is 0.0 when the tensor is not quantised.
    """

    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Does a tensor of that shape go with this one: as many dimensions, equal where they are not free."""
        return len(shape) == len(self.shape) and all(
            theirs in (None, ours) for theirs, ours in zip(self.shape, shape, strict=True)
        )


class Backend(ABC):
    """One opened model file under one inference runtime.

    A backend turns an input tensor into the raw output tensor and has no notion of images, labels or
    probabilities: `domains/image/decode.py` and `runtime/candidate.py` do that, the same for every backend.
    `predict` may be called from several threads; a runtime that cannot do so locks inside.
    """

    name: ClassVar[str]
    extra: ClassVar[str]
    """The extra of this project that brings the runtime."""
    package: ClassVar[str] = ""
    """The runtime's name as pip has it; its version is part of a profile's conditions."""
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of model files, with the dot, in lower case, by which `zoo init` finds this runtime; each has one."""
    recorded: ClassVar[bool] = False
    """True if it answers only inputs it has seen: a made-up input shows nothing about it."""

    input: TensorSpec
    output: TensorSpec

    @classmethod
    @abstractmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Backend:
        """Open a model file.

        Raises
        ------
        MissingExtraError
            The runtime is not installed.
        ModelError
            The file is missing, damaged, or has not exactly one input and one output.
        OptionError
            A provider or setting is unknown to the runtime or to the backend.
        """

    @classmethod
    def file_settings(cls, file: Path) -> dict[str, Any]:
        """Settings without which this file cannot be opened; what `zoo init` writes into its manifest entry."""
        del file
        return {}

    @classmethod
    def further_files(cls, file: Path) -> tuple[str, ...]:
        """Names, beneath the file's folder, of the files that opening it reads besides it.

        Raises
        ------
        ModelError
            One leads out of the folder.
        """
        del file
        return ()

    @abstractmethod
    def predict(self, tensor: Tensor) -> Tensor:
        """Run the network on one input of exactly `input.shape` and `input.dtype`; returns the raw output.

        Raises
        ------
        RunError
            The runtime failed.
        """

    def resize(self, shape: tuple[int, ...]) -> None:
        """Take inputs of this shape from now on; called before anything is predicted.

        This one is for files that leave the sides free; a runtime that can change fixed ones has its own.

        Raises
        ------
        RunError
            The file does not take that shape, or its output is seen to have another one.
        """
        if not self.input.takes(shape):
            raise RunError("sizes are fixed in the file", given=shape, allowed=self.input.shape)
        self.input = replace(self.input, shape=shape)

    def _resized(self, shape: tuple[int, ...], output: tuple[int, ...]) -> None:
        """Note the new shape of the input; RunError if the output that came of it has not the shape it had before."""
        if not self.output.takes(output):
            raise RunError("the output's shape changes with the input's", given=output, allowed=self.output.shape)
        self.input = replace(self.input, shape=shape)

    def hurry(self) -> None:  # noqa: B027 - most have nothing to wait for
        """From now on fail rather than wait for something that is away: another candidate can answer."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know of the runs so far, one line each; `zoo check` shows it."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Give back the memory; closing twice is allowed, predicting afterwards raises RunError."""


def check_tensor(tensor: Tensor, spec: TensorSpec) -> None:
    """Raise RunError unless a tensor has the shape and dtype that the model takes."""
    if tensor.dtype == spec.dtype and tensor.shape == spec.shape:
        return
    if tensor.dtype != spec.dtype or not spec.takes(tensor.shape):
        raise RunError("wrong input", given=f"{tensor.dtype} {tensor.shape}", allowed=f"{spec.dtype} {spec.shape}")


class SeveralOutputsError(ModelError):
    """A model has several outputs and none was named; `outputs` holds the shape of each, by name."""

    def __init__(self, file: Path, outputs: Mapping[str, Sequence[int | None]], wanted: Any = None) -> None:
        super().__init__(
            "model has several outputs" if wanted is None else "model has no such output", where=file, given=wanted,
            allowed=", ".join(f"{name} {shown_shape(shape)}" for name, shape in outputs.items()),
            do="name one as settings.output in the manifest, or to zoo init with --output NAME",
        )  # fmt: skip
        self.file = file
        self.outputs = {name: tuple(shape) for name, shape in outputs.items()}


def narrowed_logits(values: Tensor) -> NDArray[np.float32]:
    """Logits as float32; where one is beyond its range all less the highest of them, which leaves their softmax alone.

    Examples
    --------
    >>> narrowed_logits(np.array([1e39, 0.0])).tolist()[0]
    0.0
    """
    highest = np.maximum.reduce(values, axis=None)
    if values.itemsize <= FLOAT32.dtype.itemsize or max(highest, -np.minimum.reduce(values, axis=None)) <= FLOAT32.max:
        return values.astype(np.float32)
    with np.errstate(over="ignore"):  # a difference beyond float64 is clipped as well
        below: NDArray[np.float64] = values.astype(np.float64) - highest
        return np.maximum(below, -float(FLOAT32.max)).astype(np.float32)


def choose_output(file: Path, outputs: Mapping[str, Sequence[int | None]], wanted: Any) -> int:
    """Which of a model's outputs to read: the only one, or the one that `settings.output` names.

    Raises
    ------
    SeveralOutputsError
        Neither is clear.
    """
    if wanted is None and len(outputs) == 1:
        return 0
    if wanted not in outputs:
        raise SeveralOutputsError(file, outputs, wanted)
    return list(outputs).index(wanted)


def shown_shape(shape: Sequence[int | None]) -> str:
    """A shape as people write it; a free side is "free"."""
    return "(" + ", ".join("free" if side is None else str(side) for side in shape) + ")"


def fixed_batch(spec: TensorSpec) -> str | None:
    """What is wrong with an input whose file fixes the batch at another number than 1, in words; None if nothing is."""
    batch = spec.shape[0] if len(spec.shape) > 1 else 1
    if batch in (None, 1) or (len(spec.shape) == 3 and batch == 3):  # an image without a batch
        return None
    return f"the batch is fixed at {batch} in the file: export it again with a batch of 1, or a free one"


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's bytes, 32 bytes."""
    return hashlib.sha256(np.ascontiguousarray(tensor).data).digest()


def load_runtime(backend: type[Backend], module: str) -> Any:
    """The module of a backend's runtime, imported; MissingExtraError naming the extra where it is not installed."""
    try:
        import_module(module.partition(".")[0])
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(backend.package, backend.extra) from error


def require_model_file(file: Path) -> None:
    """ModelError where there is no file."""
    if not file.is_file():
        raise ModelError("model file is missing", where=file)


def refuse_foreign(file: Path) -> None:
    """ModelError naming what the file is, where its first bytes are those of something that is no model."""
    try:
        with file.open("rb") as stream:
            kind = kind_of_file(stream.read(512))
    except OSError:  # opening it will tell
        return
    if kind is not None and not (kind == "an XML document" and file.suffix.lower() == ".xml"):
        raise ModelError(f"not a model: it is {kind}", where=file, do="get the model's own file")
