"""What a model file states of itself: runtime, input, outputs, and how far that settles the manifest entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Backend, SeveralOutputsError, Tensor, TensorSpec, fixed_batch
from premodel.backends.registry import backend_class, runtimes_by_suffix
from premodel.domains.image.spec import DTYPES, GREY_LAYOUT, MAX_SIDE
from premodel.errors import ModelError, RunError
from premodel.files import file_sha256
from premodel.runtime.prediction import BINARY_LABELS
from premodel.zoo.candidate import digests_of_further_files
from premodel.zoo_tools.init.notes import OTHER_TASKS, FileNotes, read_notes

DEPTHS = (3, 1)
"""Colour or grey; also the order of trust where a shape could mean either."""
TYPICAL_LAYOUT = {"litert": "NHWC"}
"""Where the shape leaves it open; NCHW for the others."""


@dataclass(frozen=True)
class Shape:
    """What the shape of an input may mean.

    Attributes
    ----------
    layout:
        "NHWC" or "NCHW"; "NHW" where there is no axis of channels.
    size:
        (height, width) in pixels.
    depth:
        Channels, 3 or 1.
    """

    layout: str
    size: tuple[int, int]
    depth: int


@dataclass(frozen=True, eq=False)
class Inspected:
    """One opened model file.

    Attributes
    ----------
    file, runtime, sha256:
        What it is.
    backend:
        Opened; to be closed by whoever inspected it.
    shapes:
        What the shape of its input may mean, the likeliest first; mostly one.
    outputs:
        Numbers that it gives.
    guessed:
        Fields that the file leaves open.
    settings:
        What the runtime has to be given to open it.
    files:
        SHA-256 of every further file that it reads, by name, where the settings do not hold it.
    notes:
        What its exporter wrote into it.
    """

    file: Path
    runtime: str
    sha256: str
    backend: Backend
    shapes: tuple[Shape, ...]
    outputs: int
    guessed: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: FileNotes = field(default_factory=FileNotes)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input in pixels, in its likeliest meaning."""
        return self.shapes[0].size

    @property
    def layout(self) -> str:
        """Of the input, in its likeliest meaning."""
        return self.shapes[0].layout

    @property
    def depth(self) -> int:
        """Channels, 3 or 1, in its likeliest meaning."""
        return self.shapes[0].depth

    @property
    def dtype(self) -> str:
        """Of the input."""
        return self.backend.input.dtype

    @property
    def is_integer(self) -> bool:
        """The input holds whole numbers: pixels, or quantised values."""
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
    known = runtimes_by_suffix()
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
    """Open a model file and read what it states.

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
        notes = read_notes(file)
        if notes.task in OTHER_TASKS:
            raise ModelError(
                "the model is for another task", where=file, given=f"task {notes.task} in its metadata",
                allowed="image classification",
            )  # fmt: skip
        layouts = _layouts(file, backend.input, runtime)
        sized = [_size(file, backend.input, layout, size or notes.size) for layout, _ in layouts]
        shapes = [Shape(layout, sides, depth) for (layout, depth), (sides, _) in zip(layouts, sized, strict=True)]
        guessed = ("layout",) if len(shapes) > 1 else ()
        if sized[0][1] and (size is not None or notes.size is None):
            guessed = (*guessed, "size")
        outputs = _outputs(file, backend, shapes[0])
        return Inspected(
            file, runtime, file_sha256(file), backend, tuple(shapes), outputs, guessed, settings, files, notes
        )
    except ModelError:
        backend.close()
        raise


def _chosen_output(error: SeveralOutputsError, output: str | None, n_labels: int | None) -> str:
    """The output that was named, or the only one that goes with the labels; raises the error if neither is clear."""
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


def numbers_given(inspected: Inspected, n_labels: int) -> int:
    """Outputs, where one output for two labels counts as two."""
    return BINARY_LABELS if inspected.outputs == 1 and n_labels == BINARY_LABELS else inspected.outputs


def label_offset(inspected: Inspected, n_labels: int, given: int | None = None) -> int:
    """Outputs before the first label: the given number, else outputs - labels if that is 0 or 1.

    With a given number, outputs beyond the labels stand after the last.

    Raises
    ------
    ModelError
        Outputs and labels do not go together.
    """
    offset = numbers_given(inspected, n_labels) - n_labels
    if given is None and offset in (0, 1):
        return offset
    if given is not None and 0 <= given <= offset:
        return given
    if inspected.outputs == 1 and "int" in inspected.backend.output.dtype:
        raise ModelError(
            "the output must be a number for every label, got the number of one", where=inspected.file,
            given="one whole number", do="export the model without its last ArgMax",
        )  # fmt: skip
    raise ModelError(
        "outputs and labels do not go together",
        where=inspected.file,
        given=f"{inspected.outputs} outputs, {n_labels} labels" + (f", offset {given}" if given is not None else ""),
        allowed="as many outputs as labels, or one more for a background class"
        if given is None
        else "an offset from 0 to outputs - labels",
        do="check the label file, or say with --offset N how many outputs stand before the first label"
        if given is None and offset > 1
        else "check the label file",
    )


def activation_of(output: TensorSpec, raw: list[Tensor]) -> tuple[str, str]:
    """What the outputs are, seen from some of them: (a value of `output.activation`, why).

    Quantised outputs are looked at as the numbers that they stand for. Quantised probabilities need not sum to 1, as a
    thousand small ones are rounded away: what rounding may take is allowed for. Without outputs to look at, the range
    that a file states for quantised ones shows.
    """
    rows = [_real(row, output) for row in raw]
    finite = [row for row in rows if np.isfinite(row).all()]
    stated = ""
    if output.scale:
        limits = np.iinfo(output.dtype)
        low, high = (output.scale * (int(limit) - output.zero_point) for limit in (limits.min, limits.max))
        stated = f"the file states outputs from {low:.3g} to {high:.3g}"
        if not finite or not low > -1e-3:
            return ("softmax" if low > -1e-3 and high < 1.01 else "none"), stated
        stated += "; "
    if not finite:
        return "none", "no output was finite"
    lowest, highest = min(row.min() for row in finite), max(row.max() for row in finite)
    sums = np.array([row.sum() for row in finite])
    rounding = output.scale * max(row.size for row in finite) / 2
    seen = f"{stated}outputs from {lowest:.3g} to {highest:.3g}, sums from {sums.min():.4g} to {sums.max():.4g}"
    if lowest >= -1e-3 and highest <= 1 + 1e-2:
        if (finite[0].size > 1 and (np.abs(sums - 1) < max(0.02, rounding)).all()) or (lowest == highest == 0):
            return "softmax", seen
        return "sigmoid", f"{seen}: each output is a probability by itself"
    if lowest >= -0.1 and (np.abs(sums - 100) < max(2.0, rounding)).all():
        return "percent", seen
    if highest <= 1e-3 and all(abs(np.exp(row).sum() - 1) < 0.02 for row in finite):
        return "none", f"{seen}: logarithms of probabilities"
    return "none", seen


def _real(row: Tensor, output: TensorSpec) -> NDArray[np.float64]:
    """The numbers that a raw output stands for."""
    values: NDArray[np.float64] = row.reshape(-1).astype(np.float64)
    return (values - output.zero_point) * output.scale if output.scale else values


def _layouts(file: Path, spec: TensorSpec, runtime: str) -> list[tuple[str, int]]:
    """Layout and channels, the likeliest first where a shape could mean several."""
    if spec.dtype not in DTYPES:
        raise ModelError("input type is not supported", where=file, given=spec.dtype, allowed=", ".join(DTYPES))
    if (wrong := fixed_batch(spec)) is not None:
        raise ModelError("input is not one image", where=file, given=_shown(spec), do=wrong)
    if len(spec.shape) == 3 and spec.shape[0] == 1:
        return [(GREY_LAYOUT, 1)]
    if len(spec.shape) != 4 or spec.shape[0] != 1:
        raise ModelError(
            "input is not one image", where=file, given=_shown(spec),
            allowed="(1, height, width, channels) or (1, channels, height, width)",
        )  # fmt: skip
    typical = TYPICAL_LAYOUT.get(runtime, "NCHW")
    axes = {"NHWC": 3, "NCHW": 1}
    for depth in DEPTHS:
        found = [
            layout for layout in sorted(axes, key=lambda name: name != typical) if spec.shape[axes[layout]] == depth
        ]
        if found:
            return [(layout, depth) for layout in found]
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


def _outputs(file: Path, backend: Backend, shape: Shape) -> int:
    """Numbers that the network gives; one run shows them where the file does not."""
    if None not in backend.output.shape:
        return prod(side or 1 for side in backend.output.shape)
    size, depth = shape.size, shape.depth
    sides = {"NHWC": (1, *size, depth), "NCHW": (1, depth, *size)}.get(shape.layout, (1, *size))
    try:
        return int(backend.predict(np.zeros(sides, backend.input.dtype)).size)
    except RunError as error:
        raise ModelError(f"model cannot be run ({error})", where=file) from error


def _shown(spec: TensorSpec) -> str:
    return "(" + ", ".join("free" if side is None else str(side) for side in spec.shape) + ")"
