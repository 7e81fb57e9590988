"""The conventions in use for turning an image into a network's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from premodel.domains.image.preprocess import value_table
from premodel.domains.image.spec import InputSpec
from premodel.zoo_tools.init.inspect import Inspected

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Numbers = tuple[float, ...]
MeanAndStd = tuple[Numbers | None, Numbers | None]

VALUES: dict[str, MeanAndStd] = {
    "ImageNet mean and std": (IMAGENET_MEAN, IMAGENET_STD),
    "-1..1": ((0.5,), (0.5,)),
    "0..1": (None, None),
    "0..255": ((0.0,), (1 / 255,)),
    "0..255 less the ImageNet mean": (IMAGENET_MEAN, (1 / 255,)),
    "-0.5..0.5": ((0.5,), (1.0,)),
    "0..255 less 127.5": ((0.5,), (1 / 255,)),
}
"""Name -> mean and std as the manifest writes them, for RGB; one number stands for every channel."""
GREY_VALUES: dict[str, MeanAndStd] = {
    "0..1": (None, None),
    "-1..1": ((0.5,), (0.5,)),
    "0..255": ((0.0,), (1 / 255,)),
    "MNIST mean and std": ((0.1307,), (0.3081,)),
    "Fashion-MNIST mean and std": ((0.2860,), (0.3530,)),
    "-0.5..0.5": ((0.5,), (1.0,)),
    "0..255 less 127.5": ((0.5,), (1 / 255,)),
    "ImageNet mean and std": ((0.449,), (0.226,)),
}
FURTHER_VALUES: dict[str, MeanAndStd] = {
    "CLIP mean and std": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "CIFAR-10 mean and std": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "0..255 less 128": ((128 / 255,), (1 / 255,)),
    "-2..2": ((0.5,), (0.25,)),
}
"""Tried where the usual ones leave a doubt; all of them inverted as well."""
GREY_PICTURE_VALUES: dict[str, MeanAndStd] = {
    "MNIST mean and std": ((0.1307,), (0.3081,)),
    "Fashion-MNIST mean and std": ((0.2860,), (0.3530,)),
    "ImageNet mean and std, averaged over channels": ((0.449,), (0.226,)),
}
"""For networks that take colour where all pictures are grey: what grey networks take, the same for every channel."""
INVERTED = ", inverted"

AS_PIXELS = "pixels as they are"
FITTED = "fitted scale and shift"
STATED = "as stated by {source}"
CROPS = (0.875, 1.0, 0.95, 0.9, 0.85, 0.8)
"""Central crops, the most usual first: among equals the first is taken."""
ASPECT_CROPS = (1.0, 0.875)
"""For inputs that are not square."""
PADDINGS = (114, 0)
INTERPOLATIONS = ("bilinear", "bilinear-antialias", "area", "bicubic", "bicubic-antialias")
MAX_CLIPPED = 0.1
"""Share of the pixel values that a quantised input may clip; beyond, the file was not made for such values."""
MIN_USED = 0.8
"""Share of the range that values use for which it was chosen."""
LEVELS = 3
"""Levels by which quantised values may miss the ends of their range and still be what the file was made for."""


@dataclass(frozen=True)
class Convention:
    """One way to make the input.

    Attributes
    ----------
    values:
        A name of VALUES and its like, AS_PIXELS for integer inputs; FITTED, or STATED by an exporter, with the numbers
        in `fitted`.
    channels:
        "RGB", "BGR" or "GRAY".
    resize, crop_fraction, interpolation, padding:
        As the manifest's fields.
    layout:
        Number of the file's possible layout.
    fitted:
        Mean and std, one number or one per channel.
    """

    values: str
    channels: str
    resize: str = "center-crop"
    crop_fraction: float = CROPS[0]
    interpolation: str = INTERPOLATIONS[0]
    padding: int | None = None
    layout: int = 0
    fitted: tuple[Numbers, Numbers] | None = None

    @property
    def colour(self) -> tuple[Any, ...]:
        """What decides the values of a pixel, and where they stand."""
        return self.values, self.channels, self.layout, self.fitted

    @property
    def crop(self) -> tuple[str, float, int | None]:
        """What decides the part of the image."""
        return self.resize, self.crop_fraction, self.padding

    def with_crop_of(self, other: Convention) -> Convention:
        """The colour and interpolation of this one, the other's part of the image."""
        return replace(self, resize=other.resize, crop_fraction=other.crop_fraction, padding=other.padding)

    def describe(self, aspect: str) -> str:
        """One aspect of it, in words: "colour", "crop" or "interpolation"."""
        if aspect == "colour":
            return f"{self.channels}, {self.values}" + (f", layout {self.layout + 1}" if self.layout else "")
        if aspect == "crop":
            if self.resize == "squash":
                return "squash"
            if self.resize == "letterbox":
                return f"letterbox, padding {self.padding}"
            return f"{self.resize} {self.crop_fraction:g}"
        return self.interpolation

    def spec(self, inspected: Inspected) -> InputSpec:
        """The manifest's `input` table."""
        mean, std = self.fitted or mean_and_std(self.values, self.channels)
        if inspected.is_integer and self.values != AS_PIXELS:
            mean, std = mean or (0.0,), std or (1.0,)
        shape = inspected.shapes[self.layout]
        return InputSpec(
            size=shape.size,
            layout=shape.layout,
            dtype=inspected.dtype,
            channels=self.channels,
            resize=self.resize,
            crop_fraction=self.crop_fraction,
            interpolation=self.interpolation,
            mean=_per_channel(mean, self.channels),
            std=_per_channel(std, self.channels),
            padding=self.padding,
        )


def mean_and_std(values: str, channels: str) -> MeanAndStd:
    """Those that a name stands for, for RGB or for grey."""
    name = values.removesuffix(INVERTED)
    table = GREY_VALUES if channels == "GRAY" else VALUES
    mean, std = table.get(name) or FURTHER_VALUES.get(name) or GREY_PICTURE_VALUES.get(name, (None, None))
    if name == values:
        return mean, std
    # 1 - x in place of x: (1 - x - mean) / std = (x - (1 - mean)) / -std.
    mean, std = mean or (0.0,), std or (1.0,)
    return tuple(1 - one for one in mean), tuple(-one for one in std)


def usual(inspected: Inspected) -> Convention:
    """What is most usual for such a file; a guess."""
    channels = "RGB" if inspected.depth == 3 else "GRAY"
    if (proposed := stated(inspected)) is not None:
        return proposed
    if inspected.is_integer:
        return next(iter(_quantised_to_the_full_range(inspected, channels)), Convention(AS_PIXELS, channels))
    if channels == "GRAY" or inspected.notes.task == "classify":
        return Convention("0..1", channels)
    return Convention("-1..1" if inspected.runtime == "litert" else "ImageNet mean and std", channels)


def stated(inspected: Inspected) -> Convention | None:
    """What the exporter of a file states, as far as it does; None if nothing, or it is meant for another input."""
    said = inspected.notes.stated
    if said is None or (inspected.is_integer and not inspected.backend.input.scale):
        return None
    mean, std = said.mean, said.std
    grey = inspected.depth == 1
    if (said.size is not None and said.size != inspected.size) or (grey and max(len(mean), len(std)) > 1):
        return None
    channels = "GRAY" if grey else said.channels
    if channels == "BGR":  # a convention's numbers are in the order of red, green, blue
        mean, std = mean[::-1], std[::-1]
    proposed = Convention(
        STATED.format(source=said.source), channels, said.resize or "center-crop",
        said.crop_fraction if said.resize else CROPS[0], said.interpolation or INTERPOLATIONS[0], fitted=(mean, std),
    )  # fmt: skip
    # Named as what it is, where it is one of those that have a name.
    for name, (other_mean, other_std) in (GREY_VALUES if grey else VALUES).items():
        if _alike(mean, other_mean or (0.0,)) and _alike(std, other_std or (1.0,)):
            proposed = replace(proposed, values=name, fitted=None)
            break
    if inspected.is_integer:
        pixels = replace(proposed, values=AS_PIXELS, fitted=None)
        if _same(_table(proposed, inspected), _table(pixels, inspected), inspected):
            return pixels
        return proposed if _clipped(proposed, inspected) <= MAX_CLIPPED else None
    return proposed


def _alike(one: Numbers, other: Numbers) -> bool:
    return np.allclose(np.broadcast_to(one, 3), np.broadcast_to(other, 3), rtol=0.005, atol=1e-6)


def colours(inspected: Inspected, *, grey: bool = False) -> Iterator[Convention]:
    """Every way to make a pixel's values, with the usual crop; the most usual first, each once.

    Parameters
    ----------
    grey:
        The pictures have no colour: values of grey networks and inverted ones are among them, and channels in another
        order only where their values differ.
    """
    seen: list[tuple[str, int, Any]] = []
    for convention in _colours(inspected, grey):
        table = _table(convention, inspected)
        for channels, layout, other in seen:
            alike = layout == convention.layout and (grey or channels == convention.channels)
            if alike and _same(table, other, inspected):
                break
        else:
            seen.append((convention.channels, convention.layout, table))
            yield convention


def further_colours(inspected: Inspected, taken: Convention) -> Iterator[Convention]:
    """Rarer values for the channels and crop of one convention: further ones, and all of them inverted."""
    table = GREY_VALUES if taken.channels == "GRAY" else VALUES
    if inspected.is_integer and not inspected.backend.input.scale:
        return
    for name in FURTHER_VALUES:
        if taken.channels != "GRAY":
            yield replace(taken, values=name, fitted=None)
    for name in (*table, *FURTHER_VALUES):
        if taken.channels != "GRAY" or name in table:
            yield replace(taken, values=name + INVERTED, fitted=None)


def crops(colour: Convention, inspected: Inspected | None = None, *, whole_first: bool = False) -> Iterator[Convention]:
    """Every part of the image, for the colour of one convention, each once; what the exporter states comes first.

    Parameters
    ----------
    whole_first:
        All of the image comes before the usual central crop: where images have the size of the input.
    """
    said = None if inspected is None else stated(inspected)
    parts: list[tuple[str, float, int | None]] = [] if said is None else [said.crop]
    parts += [("center-crop", 1.0, None)] if whole_first else []
    parts += [("center-crop", fraction, None) for fraction in CROPS]
    parts.append(("squash", 1.0, None))
    if inspected is not None and len(set(inspected.shapes[colour.layout].size)) > 1:
        parts += [("aspect-crop", fraction, None) for fraction in ASPECT_CROPS]
    parts += [("letterbox", 1.0, padding) for padding in PADDINGS]
    for resize, fraction, padding in dict.fromkeys(parts):
        yield replace(colour, resize=resize, crop_fraction=fraction, padding=padding)


def interpolations(convention: Convention) -> Iterator[Convention]:
    """Every interpolation, for one convention; its own too, if it is a rarer one."""
    for name in dict.fromkeys((*INTERPOLATIONS, convention.interpolation)):
        yield replace(convention, interpolation=name)


def scale_of(convention: Convention, inspected: Inspected) -> float:
    """The range of the input's values from black to white, the mean over channels; 0 for pixels as they are."""
    table = _table(convention, inspected)
    return 0.0 if table is None else float(np.mean(table.max(axis=1) - table.min(axis=1)))


def _colours(inspected: Inspected, grey: bool) -> Iterator[Convention]:
    first = usual(inspected)
    yield first
    if first.fitted is not None and first.channels != "GRAY":
        yield replace(first, channels="BGR" if first.channels == "RGB" else "RGB")
    for layout, shape in enumerate(inspected.shapes):
        table = VALUES if shape.depth == 3 else GREY_VALUES
        names = [*table, *(GREY_PICTURE_VALUES if grey and shape.depth == 3 else [])]
        names += [name + INVERTED for name in names] if shape.depth == 1 or grey else []
        if inspected.is_integer:
            names = [AS_PIXELS, *(names if inspected.backend.input.scale else [])]
        for channels in ("RGB", "BGR") if shape.depth == 3 else ("GRAY",):
            for name in names:
                convention = replace(first, values=name, channels=channels, layout=layout, fitted=None)
                if not inspected.is_integer or name == AS_PIXELS or _may_be_quantised(convention, inspected):
                    yield convention


def _table(convention: Convention, inspected: Inspected) -> Any:
    quantisation = inspected.backend.input
    return value_table(convention.spec(inspected), quantisation.scale, quantisation.zero_point)


def _same(one: Any, other: Any, inspected: Inspected) -> bool:
    """Are two tables of values the same, up to a level of a quantised input."""
    pixels = np.arange(256, dtype=np.float64)[None, :, None]
    one, other = (pixels if table is None else table.astype(np.float64) for table in (one, other))
    return bool(np.abs(one - other).max() <= (1 if inspected.is_integer else 1e-6))


def _may_be_quantised(convention: Convention, inspected: Inspected) -> bool:
    """Do the values fit in the range of a quantised input, and use what they need of it.

    Where pixels as they are stand for usual values, the file was made for these, and they fill the range: values that
    use half of it were not what it was made for.
    """
    table = _table(convention, inspected).astype(np.int64)
    if _clipped(convention, inspected) > MAX_CLIPPED:
        return False
    return not _like_pixels(inspected) or int(table.max() - table.min()) >= MIN_USED * 255


def _clipped(convention: Convention, inspected: Inspected) -> float:
    """Share of the pixel values that quantising clips."""
    table = _table(convention, inspected)
    limits = np.iinfo(inspected.dtype)
    return float(((table == limits.min) | (table == limits.max)).mean())


def _quantised_to_the_full_range(inspected: Inspected, channels: str) -> Iterator[Convention]:
    """Values that fill the whole range of a quantised input: what its scale and zero point were computed for."""
    if not inspected.backend.input.scale or _like_pixels(inspected):
        return
    limits = np.iinfo(inspected.dtype)
    for name in VALUES if channels == "RGB" else GREY_VALUES:
        convention = Convention(name, channels)
        table = _table(convention, inspected)
        fills = int(table.min()) - limits.min <= LEVELS and limits.max - int(table.max()) <= LEVELS
        if fills and _clipped(convention, inspected) <= 2 * LEVELS / 256:
            yield convention


def _like_pixels(inspected: Inspected) -> bool:
    """Are pixels as they are one of the usual values by the file's scale and zero point."""
    spec = inspected.backend.input
    low = spec.scale * ((0 if inspected.dtype == "uint8" else -128) - spec.zero_point)
    high = low + 255 * spec.scale
    return any(
        abs(low - a) <= LEVELS * spec.scale and abs(high - b) <= LEVELS * spec.scale
        for a, b in ((-1, 1), (0, 1), (0, 255), (-0.5, 0.5), (-127.5, 127.5))
    )


def _per_channel(numbers: Numbers | None, channels: str) -> Numbers | None:
    """One number per channel, in the order of the channels."""
    if numbers is None:
        return None
    if channels == "GRAY":
        return numbers[:1]
    return (numbers if len(numbers) == 3 else numbers * 3)[:: -1 if channels == "BGR" else 1]
