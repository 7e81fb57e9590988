"""Preprocessing that an exporter wrote into a model file or beside it: a proposal, raced like all others."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from premodel.fields import is_number
from premodel.zoo_tools.init.tflite_notes import normalisation

MAX_TEXT_BYTES = 1 << 22
RESAMPLES = ("nearest", "lanczos-antialias", "bilinear-antialias", "bicubic-antialias", "area")
"""What `resample` counts in a `preprocessor_config.json`: Pillow's filters."""
TIMM_INTERPOLATIONS = {"bilinear": "bilinear-antialias", "bicubic": "bicubic-antialias", "nearest": "nearest"}
LARGE_SIDE = 384
"""From here on a ConvNeXT is fed the whole image, whatever `crop_pct` is."""
CROP_OF_CLASS = {"LevitImageProcessor": 224 / 256, "LevitFeatureExtractor": 224 / 256}
"""Processors that resize the shorter side to more than the size they state."""
ONNX_FOLDER = "onnx"
"""Of repositories that hold their configuration one folder above the network."""
MODEL_INFO = re.compile(r"<model_info>(.*?)</model_info>", re.DOTALL)
ENTRY = re.compile(r'<(\w+)\s+value="([^"]*)"')

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Stated:
    """The preprocessing that a file states, as far as it does.

    Attributes
    ----------
    source:
        Where it stands.
    mean, std:
        Of values x / 255, one number or one per channel.
    channels:
        "RGB" or "BGR".
    resize, crop_fraction, interpolation:
        As the manifest's fields; None where they are not stated.
    size:
        (height, width) of the input that it is meant for; None if not stated.
    """

    source: str
    mean: Numbers
    std: Numbers
    channels: str = "RGB"
    resize: str | None = None
    crop_fraction: float = 1.0
    interpolation: str | None = None
    size: tuple[int, int] | None = None


def read_stated(file: Path) -> Stated | None:
    """The preprocessing that a model file, or a configuration beside it, states; None if none does.

    Notes
    -----
    Read are `preprocessor_config.json` (Hugging Face) and the `pretrained_cfg` of a `config.json` (timm) beside the
    model or above its folder `onnx`, the normalisation in the metadata of a `.tflite`, and the `model_info` of an
    OpenVINO `.xml`.
    """
    suffix = file.suffix.lower()
    if suffix == ".tflite" and (found := normalisation(file)) is not None:
        mean, std = (tuple(number / 255 for number in numbers) for numbers in found)
        return _checked(Stated("the file's metadata", mean, std))
    if suffix == ".xml" and (info := model_info(file)):
        mean, std = _listed(info.get("mean_values", "")), _listed(info.get("scale_values", ""))
        if mean or std:
            scaled = [tuple(number / 255 for number in numbers) for numbers in (mean or (0.0,), std or (1.0,))]
            return _checked(Stated("the file's model_info", scaled[0], scaled[1]))
    for name, read in (("preprocessor_config.json", _of_processor), ("config.json", _of_timm)):
        for path in beside(file, name):
            found_here = read(_object(path))
            if found_here is not None and (checked := _checked(found_here)) is not None:
                return checked
    return None


def beside(file: Path, name: str) -> list[Path]:
    """Where a configuration of a model may lie: in its folder, and above it if that is called `onnx`."""
    folder = file.absolute().parent
    return [folder / name, *([folder.parent / name] if folder.name == ONNX_FOLDER else [])]


def model_info(file: Path) -> dict[str, str]:
    """The entries of the `model_info` of an OpenVINO `.xml`; empty if it has none or cannot be read."""
    try:
        text = file.read_bytes()[-MAX_TEXT_BYTES:].decode("utf-8", "replace")
    except OSError:
        return {}
    found = MODEL_INFO.search(text)
    return {} if found is None else {name: html.unescape(value) for name, value in ENTRY.findall(found[1])}


def _of_processor(config: Mapping[str, Any]) -> Stated | None:
    """An image processor of the `transformers` library."""
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    scaled, normalised = config.get("do_rescale", True), config.get("do_normalize", True)
    factor = _number(config.get("rescale_factor", 1 / 255)) if scaled else 1.0
    if factor <= 0:
        return None
    shift = -1.0 if config.get("rescale_offset") else 0.0
    mean, std = (_numbers(config.get(name)) for name in ("image_mean", "image_std"))
    if not normalised or mean is None or std is None:
        if "image_mean" not in config and "rescale_factor" not in config and "do_rescale" not in config:
            return None
        mean, std = (0.0,), (1.0,)
    # value = (factor * pixel + shift - mean) / std, and the manifest's is (pixel / 255 - mean') / std'.
    whole = 255 * factor
    mean, std = tuple((one - shift) / whole for one in mean), tuple(one / whole for one in std)
    resample = config.get("resample")
    interpolation = dict(enumerate(RESAMPLES)).get(resample) if isinstance(resample, int) else None
    resize, fraction, size = _processor_crop(config, kind)
    return Stated(
        "preprocessor_config.json", mean, std, "BGR" if config.get("do_flip_channel_order") else "RGB",
        resize, fraction, interpolation, size,
    )  # fmt: skip


def _processor_crop(config: Mapping[str, Any], kind: str) -> tuple[str | None, float, tuple[int, int] | None]:
    """Resize, crop fraction, and the size of the input."""
    shorter, sides = _side(config.get("size")), _sides(config.get("size"))
    crop = _sides(config.get("crop_size"))
    if config.get("do_center_crop") and crop is not None:
        if sides is not None and isinstance(config.get("size"), Mapping):
            return "squash", min(1.0, crop[0] / sides[0]), crop
        edge = shorter or (sides and sides[0])
        return ("center-crop", min(1.0, crop[0] / edge), crop) if edge else (None, 1.0, crop)
    if shorter is not None:
        share = _number(config.get("crop_pct", CROP_OF_CLASS.get(kind)))
        if 0 < share <= 1:
            whole = "crop_pct" in config and shorter >= LARGE_SIDE
            return ("squash", 1.0, (shorter, shorter)) if whole else ("center-crop", share, (shorter, shorter))
        return None, 1.0, None
    return ("squash", 1.0, sides) if sides is not None else (None, 1.0, None)


def _of_timm(config: Mapping[str, Any]) -> Stated | None:
    """The configuration of a network of the `timm` library."""
    inner = config.get("pretrained_cfg")
    if not isinstance(inner, Mapping):
        return None
    mean, std = _numbers(inner.get("mean")), _numbers(inner.get("std"))
    if mean is None or std is None:
        return None
    share, size = _number(inner.get("crop_pct")), inner.get("input_size")
    resize = {"center": "center-crop", "squash": "squash"}.get(str(inner.get("crop_mode", "center")))
    if not 0 < share <= 1:
        resize, share = None, 1.0
    sides = _sides(size[1:]) if isinstance(size, list) and len(size) == 3 else None
    interpolation = TIMM_INTERPOLATIONS.get(str(inner.get("interpolation")))
    return Stated("the pretrained_cfg of config.json", mean, std, "RGB", resize, share, interpolation, sides)


def _checked(stated: Stated) -> Stated | None:
    """It, if its numbers can be a manifest's."""
    numbers = (*stated.mean, *stated.std)
    fits = {len(stated.mean), len(stated.std)} <= {1, 3} and 0.0 not in stated.std
    return stated if fits and all(abs(number) < 1e6 for number in numbers) else None


def _number(value: Any) -> float:
    """It as a number; 0 if it is none."""
    return float(value) if is_number(value) else 0.0


def _numbers(value: Any) -> Numbers | None:
    values = [value] if is_number(value) else value
    if not isinstance(values, list) or len(values) not in (1, 3) or not all(is_number(one) for one in values):
        return None
    return tuple(float(one) for one in values)


def _listed(text: str) -> Numbers:
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return ()


def _side(value: Any) -> int | None:
    """The shorter side, where that is what is stated."""
    found = value.get("shortest_edge") if isinstance(value, Mapping) else None
    return found if isinstance(found, int) and found > 0 else None


def _sides(value: Any) -> tuple[int, int] | None:
    if isinstance(value, Mapping):
        value = [value.get("height"), value.get("width")]
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return sides[0], sides[1]


def _object(file: Path) -> Mapping[str, Any]:
    try:
        if not file.is_file() or file.stat().st_size > MAX_TEXT_BYTES:
            return {}
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}
