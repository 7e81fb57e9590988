"""Which siblings a model could have: what is made of its file, at which size, and under which runtime it then runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from premodel.errors import OptionError
from premodel.zoo.candidate import Candidate, Model
from premodel.zoo_tools.expand import onnx_files, tflite_files

KINDS = {
    "int8": "weights and activations in 8 bits, calibrated on some images",
    "half": "bf16 or f16 under OpenVINO, where the processor has them",
    "runtime": "the same file under another runtime that is installed",
    "size": "fewer pixels",
}
"""What --only and --without name."""

SIZES = (6 / 7, 5 / 7)
"""Of each side of the original's input: 192 and 160 pixels of 224."""
STEP, SMALL_STEP, SMALL = 32, 4, 96
"""Sides are rounded to multiples of STEP; below SMALL pixels to those of SMALL_STEP."""
HALF_PRECISIONS = {"BF16": "bf16", "FP16": "f16"}
"""What OpenVINO calls a capability of the processor, and what its backend here calls the precision."""


@dataclass(frozen=True)
class Recipe:
    """One sibling that could be made.

    Attributes
    ----------
    suffix:
        Of its name, behind the original's.
    kinds:
        Of KINDS; all must be wanted.
    int8:
        Quantise the file.
    size:
        (height, width) of its input where that is not the original's.
    runtime:
        That it runs under.
    settings:
        Of the runtime, besides the original's.
    """

    suffix: str
    kinds: frozenset[str]
    int8: bool = False
    size: tuple[int, int] | None = None
    runtime: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """For the manifest's `origin.kind`."""
        return self.suffix.lstrip("-")


def wanted_kinds(only: Sequence[str], without: Sequence[str]) -> frozenset[str]:
    """The kinds to make; OptionError if one is unknown or none is left."""
    for name in (*only, *without):
        if name not in KINDS:
            raise OptionError("unknown kind of sibling", given=name, allowed=", ".join(KINDS))
    kinds = frozenset(only or KINDS) - frozenset(without)
    if not kinds:
        raise OptionError("no kind of sibling is left", given="--only and --without", allowed=", ".join(KINDS))
    return kinds


def recipes(original: Candidate, kinds: frozenset[str]) -> list[Recipe]:
    """What could be made of one model, in the order in which it is tried.

    Raises
    ------
    ModelError
        Its file cannot be read.
    MissingExtraError
        What would look into its file is not installed.
    """
    model = original.model
    form = file_form(model)
    int8 = "int8" in kinds and form in ("onnx", "tflite") and model.input.dtype == "float32"
    int8 = int8 and not (onnx_files if form == "onnx" else tflite_files).is_quantised(model.file)
    others = [one for one in _runtimes(form) if one != model.runtime and not model.providers]
    found: list[Recipe] = []
    if int8:
        found.append(Recipe("-int8", frozenset({"int8"}), True, None, model.runtime))
        found += [Recipe(f"-int8-{one}", frozenset({"int8", "runtime"}), True, None, one) for one in others]
    if form in ("onnx", "ir") and not model.providers and "precision" not in model.settings:
        found += [
            Recipe(f"-{precision}", frozenset({"half"}), runtime="openvino", settings={"precision": precision})
            for precision in _half_precisions()
        ]
    found += [Recipe(f"-{one}", frozenset({"runtime"}), runtime=one) for one in others]
    for size in smaller_sizes(model.input.size):
        side = f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"
        low = "-int8" if int8 else ""
        sort = frozenset({"size", "int8"} if int8 else {"size"})
        if form != "onnx":
            found.append(Recipe(f"{low}@{side}", sort, int8, size, model.runtime))
            continue
        found.append(Recipe(f"-{side}{low}", sort, int8, size, model.runtime))
        found += [Recipe(f"-{side}{low}-{one}", sort | {"runtime"}, int8, size, one) for one in others]
    return [recipe for recipe in found if recipe.kinds <= kinds]


def file_form(model: Model) -> str:
    """What the file is: "onnx", "ir" (OpenVINO's own), "tflite", or "" for what nothing is made of."""
    if model.runtime == "litert":
        return "tflite"
    if model.runtime not in ("onnx", "openvino"):
        return ""
    return "ir" if model.file.suffix.lower() == ".xml" else "onnx"


def smaller_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes below the original's that are worth a try, the largest first.

    Examples
    --------
    >>> smaller_sizes((224, 224)), smaller_sizes((32, 32)), smaller_sizes((8, 8))
    ([(192, 192), (160, 160)], [(28, 28), (24, 24)], [])
    """
    found = []
    for share in SIZES:
        sides = []
        for side in size:
            step = STEP if side >= SMALL else SMALL_STEP
            sides.append(round(side * share / step) * step)
        smaller = all(0 < new < old for new, old in zip(sides, size, strict=True)) and min(sides) >= 2 * SMALL_STEP
        if smaller and (sides[0], sides[1]) not in found:
            found.append((sides[0], sides[1]))
    return found


def quantiser(model: Model) -> tuple[Any, str]:
    """What quantises the model's file, and its version; MissingExtraError if it is not installed."""
    tool = onnx_files if file_form(model) == "onnx" else tflite_files
    return tool, tool.quantiser_version()


def runtime_version(runtime: str) -> str:
    """A runtime with its version, for `origin.tool`."""
    from importlib.metadata import PackageNotFoundError, version

    for package in {"onnx": ("onnxruntime", "onnxruntime-gpu"), "litert": ("ai-edge-litert",)}.get(runtime, (runtime,)):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return runtime


def _runtimes(form: str) -> list[str]:
    """Installed runtimes that open such a file."""
    packages = {"onnx": {"onnx": "onnxruntime", "openvino": "openvino"}}.get(form, {})
    return [runtime for runtime, package in packages.items() if find_spec(package) is not None]


def _half_precisions() -> list[str]:
    """Precisions of 16 bits that this processor has, as OpenVINO states."""
    if find_spec("openvino") is None:
        return []
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [name for capability, name in HALF_PRECISIONS.items() if capability in capabilities]


def sibling_file(folder: Path, original: Candidate, recipe: Recipe) -> Path:
    """Where the sibling's own file lies; siblings that differ in their runtime alone share it."""
    side = "" if recipe.size is None else "-{}x{}".format(*recipe.size)
    return folder / f"{original.name}{side}{'-int8' if recipe.int8 else ''}{original.model.file.suffix}"
