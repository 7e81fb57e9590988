"""The conventions in use for turning an image into a network's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from premodel.domains.image.spec import InputSpec
from premodel.zoo_tools.init.inspect import Inspected

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Numbers = tuple[float, ...]

VALUES: dict[str, tuple[Numbers | None, Numbers | None]] = {
    "ImageNet mean and std": (IMAGENET_MEAN, IMAGENET_STD),
    "-1..1": ((0.5,), (0.5,)),
    "0..1": (None, None),
    "0..255": ((0.0,), (1 / 255,)),
    "0..255 less the ImageNet mean": (IMAGENET_MEAN, (1 / 255,)),
}
"""Name -> mean and std as the manifest writes them, for RGB; one number stands for every channel."""

AS_PIXELS = "pixels as they are"
GREY_VALUES = ("-1..1", "0..1", "0..255")
CROPS = (0.875, 1.0, 0.95, 0.9, 0.85, 0.8)
"""Central crops, the most usual first: among equals the first is taken."""
INTERPOLATIONS = ("bilinear", "area")


@dataclass(frozen=True)
class Convention:
    """One way to make the input.

    Attributes
    ----------
    values:
        A name of VALUES, or AS_PIXELS for integer inputs.
    channels:
        "RGB", "BGR" or "GRAY".
    resize, crop_fraction, interpolation:
        As the manifest's fields.
    """

    values: str
    channels: str
    resize: str = "center-crop"
    crop_fraction: float = CROPS[0]
    interpolation: str = INTERPOLATIONS[0]

    @property
    def colour(self) -> tuple[str, str]:
        """What decides the values of a pixel."""
        return self.values, self.channels

    @property
    def crop(self) -> tuple[str, float]:
        """What decides the part of the image."""
        return self.resize, self.crop_fraction

    def describe(self, aspect: str) -> str:
        """One aspect of it, in words: "colour", "crop" or "interpolation"."""
        if aspect == "colour":
            return f"{self.channels}, {self.values}"
        if aspect == "crop":
            return "squash" if self.resize == "squash" else f"center-crop {self.crop_fraction:g}"
        return self.interpolation

    def spec(self, inspected: Inspected) -> InputSpec:
        """The manifest's `input` table."""
        mean, std = VALUES.get(self.values, (None, None))
        return InputSpec(
            size=inspected.size,
            layout=inspected.layout,
            dtype=inspected.dtype,
            channels=self.channels,
            resize=self.resize,
            crop_fraction=self.crop_fraction,
            interpolation=self.interpolation,
            mean=_per_channel(mean, self.channels),
            std=_per_channel(std, self.channels),
        )


def usual(inspected: Inspected) -> Convention:
    """What is most usual for such a file; a guess."""
    channels = "RGB" if inspected.depth == 3 else "GRAY"
    if inspected.is_integer:
        return Convention(AS_PIXELS, channels)
    if channels == "GRAY":
        return Convention("0..1", channels)
    return Convention("-1..1" if inspected.runtime == "litert" else "ImageNet mean and std", channels)


def colours(inspected: Inspected) -> Iterator[Convention]:
    """Every way to make a pixel's values, with the usual crop; the most usual first."""
    first = usual(inspected)
    values = [AS_PIXELS] if inspected.is_integer else list(VALUES if inspected.depth == 3 else GREY_VALUES)
    yield first
    for channels in ("RGB", "BGR") if inspected.depth == 3 else ("GRAY",):
        for name in values:
            convention = Convention(name, channels)
            if convention != first:
                yield convention


def crops(colour: Convention) -> Iterator[Convention]:
    """Every part of the image, for the colour of one convention."""
    for fraction in CROPS:
        yield Convention(colour.values, colour.channels, "center-crop", fraction, colour.interpolation)
    yield Convention(colour.values, colour.channels, "squash", 1.0, colour.interpolation)


def interpolations(convention: Convention) -> Iterator[Convention]:
    """Every interpolation, for one convention."""
    for name in INTERPOLATIONS:
        yield Convention(convention.values, convention.channels, convention.resize, convention.crop_fraction, name)


def _per_channel(numbers: Numbers | None, channels: str) -> Numbers | None:
    """One number per channel, in the order of the channels."""
    if numbers is None:
        return None
    if channels == "GRAY":
        return numbers[:1]
    return (numbers if len(numbers) == 3 else numbers * 3)[:: -1 if channels == "BGR" else 1]
