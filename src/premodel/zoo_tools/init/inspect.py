"""What a model file says of itself: runtime, input, outputs, and how far that settles the manifest entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from premodel.backends.base import Backend, SeveralOutputsError, Tensor, TensorSpec, fixed_batch
from premodel.backends.registry import BACKENDS, backend_class
from premodel.domains.image.spec import DTYPES, GREY_LAYOUT, MAX_SIDE
from premodel.errors import ModelError, RunError
from premodel.files import file_sha256
from premodel.zoo.manifest import digests_of_further_files

SUFFIXES = {".onnx": "onnx", ".tflite": "litert", ".xml": "openvino", ".npz": "replay"}
DEPTHS = (3, 1)
"""Colour or grey; also the order of trust where a shape could mean either."""
TYPICAL_LAYOUT = {"litert": "NHWC"}
"""Where the shape leaves it open; NCHW for the others."""


@dataclass(frozen=True, eq=False)
class Inspected:
    """One opened model file.

    Attributes
    ----------
    file, runtime, sha256:
        What it is.
    backend:
        Opened; to be closed by whoever inspected it.
    size:
        (height, width) of the input in pixels.
    layout:
        "NHWC" or "NCHW"; "NHW" where there is no axis of channels.
    depth:
        Channels, 3 or 1.
    outputs:
        Numbers that it gives.
    guessed:
        Fields that the file leaves open.
    settings:
        What the runtime has to be told to open it.
    files:
        SHA-256 of every further file that it reads, by name, where the settings do not hold it.
    """

    file: Path
    runtime: str
    sha256: str
    backend: Backend
    size: tuple[int, int]
    layout: str
    depth: int
    outputs: int
    guessed: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def dtype(self) -> str:
        """Of the input."""
        return self.backend.input.dtype

    @property
    def is_integer(self) -> bool:
        """Pixels are fed as they are."""
        return self.dtype in ("uint8", "int8")

    def describe(self) -> str:
        """In a few words."""
        height, width = self.size
        text = f"{self.runtime}, {self.dtype} {height}x{width}x{self.depth} {self.layout}, {self.outputs} outputs"
        quantised = self.backend.input
        if quantised.scale:
            text += f", quantised (scale {quantised.scale:.6g}, zero point {quantised.zero_point})"
        return text


def runtime_of(file: Path) -> str:
    """The runtime that a file's suffix names.

    Raises
    ------
    ModelError
        No runtime opens such files.
    """
    known = {suffix: runtime for suffix, runtime in SUFFIXES.items() if runtime in BACKENDS}
    runtime = known.get(file.suffix.lower())
    if runtime is None:
        raise ModelError("not a model file by its name", where=file, allowed=", ".join(known))
    return runtime


def inspect_model(
    file: Path,
    size: tuple[int, int] | None = None,
    threads: int = 1,
    *,
    output: str | None = None,
    n_labels: int | None = None,
) -> Inspected:
    """Open a model file and read what it says.

    Parameters
    ----------
    file:
        The model file; its suffix names the runtime.
    size:
        (height, width) for files that leave it open.
    threads:
        Threads of the runtime.
    output:
        The output to read of a file that has several; where it has none of that name or only one, the file's own.
    n_labels:
        Labels of the zoo: of several outputs the one with as many numbers is read, else the one with one more.

    Raises
    ------
    ModelError
        The file is missing, damaged, no model, has several inputs or outputs, its input is no image, or leaves its
        size open and none is given.
    MissingExtraError
        The runtime is not installed.
    """
    runtime = runtime_of(file)
    if not file.is_file():
        raise ModelError("model file is missing", where=file)
    settings = backend_class(runtime).file_settings(file)
    files = {} if settings else digests_of_further_files(runtime, file)
    try:
        backend = backend_class(runtime).open(file, threads=threads, settings=settings)
    except SeveralOutputsError as error:
        settings = {**settings, "output": _chosen_output(error, output, n_labels)}
        backend = backend_class(runtime).open(file, threads=threads, settings=settings)
    try:
        layout, depth, free_layout = _layout(file, backend.input, runtime)
        sides, free_size = _size(file, backend.input, layout, size)
        guessed = (*(("layout",) if free_layout else ()), *(("size",) if free_size else ()))
        outputs = _outputs(file, backend, layout, depth, sides)
        return Inspected(
            file, runtime, file_sha256(file), backend, sides, layout, depth, outputs, guessed, settings, files
        )
    except ModelError:
        backend.close()
        raise


def _chosen_output(error: SeveralOutputsError, output: str | None, n_labels: int | None) -> str:
    """The output that was named, or the only one that goes with the labels; raises the error if neither tells."""
    if output is not None:
        if output in error.outputs:
            return output
        raise SeveralOutputsError(error.file, error.outputs, output)
    for wanted in () if n_labels is None else (n_labels, n_labels + 1):
        fits = [name for name, shape in error.outputs.items() if None not in shape and prod(_known(shape)) == wanted]
        if len(fits) == 1:
            return fits[0]
    raise error


def _known(shape: tuple[int | None, ...]) -> list[int]:
    return [side or 0 for side in shape]


def label_offset(inspected: Inspected, n_labels: int, given: int | None = None) -> int:
    """Outputs before the first label: the given number, else outputs - labels if that is 0 or 1.

    Raises
    ------
    ModelError
        Outputs and labels do not go together.
    """
    offset = inspected.outputs - n_labels
    if given is None and offset in (0, 1):
        return offset
    if given is not None and given == offset:
        return given
    raise ModelError(
        "outputs and labels do not go together",
        where=inspected.file,
        given=f"{inspected.outputs} outputs, {n_labels} labels" + (f", offset {given}" if given is not None else ""),
        allowed="as many outputs as labels, or one more for a background class"
        if given is None
        else "outputs = labels + offset",
        do="check the label file, or say --offset N" if given is None and offset > 1 else "check the label file",
    )


def activation_of(output: TensorSpec, raw: list[Tensor]) -> tuple[str, str]:
    """What the outputs are, seen from some of them: ("softmax" or "none", why).

    Quantised probabilities need not sum to 1, as a thousand small ones are rounded away; there the range that the file
    states for its output tells.
    """
    if output.scale:
        limits = np.iinfo(output.dtype)
        low, high = (output.scale * (int(limit) - output.zero_point) for limit in (limits.min, limits.max))
        stated = f"the file states outputs from {low:.3g} to {high:.3g}"
        return ("softmax" if low > -1e-3 and high < 1.01 else "none"), stated
    rows = [row.reshape(-1).astype(np.float64) for row in raw]
    finite = [row for row in rows if np.isfinite(row).all()]
    if not finite:
        return "none", "no output was finite"
    lowest, highest = min(row.min() for row in finite), max(row.max() for row in finite)
    sums = [row.sum() for row in finite]
    seen = f"outputs from {lowest:.3g} to {highest:.3g}, sums from {min(sums):.4g} to {max(sums):.4g}"
    if lowest >= -1e-3 and all(abs(total - 1) < 0.02 for total in sums):
        return "softmax", seen
    return "none", seen


def _layout(file: Path, spec: TensorSpec, runtime: str) -> tuple[str, int, bool]:
    """Layout, channels, and whether that is a guess."""
    if spec.dtype not in DTYPES:
        raise ModelError("input type is not supported", where=file, given=spec.dtype, allowed=", ".join(DTYPES))
    if (wrong := fixed_batch(spec)) is not None:
        raise ModelError("input is not one image", where=file, given=_shown(spec), do=wrong)
    if len(spec.shape) == 3 and spec.shape[0] == 1:
        return GREY_LAYOUT, 1, False
    if len(spec.shape) != 4 or spec.shape[0] != 1:
        raise ModelError(
            "input is not one image", where=file, given=_shown(spec),
            allowed="(1, height, width, channels) or (1, channels, height, width)",
        )  # fmt: skip
    for depth in DEPTHS:
        fits = {"NHWC": spec.shape[3] == depth, "NCHW": spec.shape[1] == depth}
        found = [layout for layout, fit in fits.items() if fit]
        if len(found) == 1:
            return found[0], depth, False
        if found:
            return TYPICAL_LAYOUT.get(runtime, "NCHW"), depth, True
    raise ModelError(
        "input has no axis of 3 or 1 channels", where=file, given=_shown(spec),
        allowed="(1, height, width, channels) or (1, channels, height, width)",
    )  # fmt: skip


def _size(file: Path, spec: TensorSpec, layout: str, given: tuple[int, int] | None) -> tuple[tuple[int, int], bool]:
    stated = spec.shape[2:4] if layout == "NCHW" else spec.shape[1:3]
    free = None in stated
    if free and given is None:
        raise ModelError(
            "the file leaves the size of its input open", where=file, given=_shown(spec), do="say it with --size HxW"
        )
    height, width = (side or (given or (0, 0))[axis] for axis, side in enumerate(stated))
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ModelError(
            "size of the input is not supported", where=file, given=_shown(spec), allowed=f"sides from 1 to {MAX_SIDE}"
        )
    return (height, width), free


def _outputs(file: Path, backend: Backend, layout: str, depth: int, size: tuple[int, int]) -> int:
    """Numbers that the network gives; one run tells where the file does not."""
    if None not in backend.output.shape:
        return prod(side or 1 for side in backend.output.shape)
    shape = {"NHWC": (1, *size, depth), "NCHW": (1, depth, *size)}.get(layout, (1, *size))
    try:
        return int(backend.predict(np.zeros(shape, backend.input.dtype)).size)
    except RunError as error:
        raise ModelError(f"model cannot be run ({error})", where=file) from error


def _shown(spec: TensorSpec) -> str:
    return "(" + ", ".join("free" if side is None else str(side) for side in spec.shape) + ")"
