"""How an image becomes a model's input: the `input` table of a manifest entry."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from premodel.fields import Fields, is_number

MAX_SIDE = 4096
LAYOUTS = ("NHWC", "NCHW")
GREY_LAYOUT = "NHW"
"""Of grey images only: without an axis of channels."""
DTYPES = ("uint8", "int8", "float16", "float32")
CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}
RESIZES = ("center-crop", "squash", "aspect-crop", "letterbox")
OPENCV_INTERPOLATIONS = {
    "bilinear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
}
ANTIALIASED = ("bilinear-antialias", "bicubic-antialias", "lanczos-antialias")
INTERPOLATIONS = (*OPENCV_INTERPOLATIONS, *ANTIALIASED)
"""As OpenCV computes them, and as Pillow does."""


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes a model's input, as the manifest states.

    Attributes
    ----------
    size:
        (height, width) of the tensor in pixels.
    layout:
        "NHWC" or "NCHW"; "NHW" for grey images without an axis of channels.
    dtype:
        "uint8", "int8", "float16" or "float32".
    channels:
        "RGB", "BGR" or "GRAY".
    resize:
        "center-crop": the central square of side round(crop_fraction * min(height, width)), resized to `size`;
        "squash": the central round(crop_fraction * side) of each side, resized to `size` whatever the aspect;
        "aspect-crop": the largest central part of the proportions of `size`, times crop_fraction;
        "letterbox": the central crop_fraction of each side, resized to fit in `size` with its proportions kept, and
        padded with `padding` on both sides equally.
    crop_fraction:
        In (0, 1].
    interpolation:
        "bilinear", "nearest", "area" or "bicubic", as OpenCV computes them; "bilinear-antialias",
        "bicubic-antialias" or "lanczos-antialias", as Pillow does, and torchvision by default.
    mean, std:
        One number per channel on the scale where pixel values x/255 lie in [0, 1]: value = (x/255 - mean) / std.
        Values 0..1 are mean 0 and std 1 (the default of float inputs), 0..255 are std 1/255, -1..1 are mean 0.5 and
        std 0.5. None for integer inputs: uint8 is the pixel itself, int8 the pixel - 128. Given for an integer
        input, the value is quantised by the scale and zero point that the model file states. A negative std inverts:
        mean 1 and std -1 are white 0 and black 1.
    padding:
        Pixel value of a letterbox's bars, 0 to 255; None for other resizes.

    Examples
    --------
    >>> spec = InputSpec((160, 192), "NCHW", "float32", "RGB", "center-crop", 0.875, "bilinear", (0.5,), (0.5,))
    >>> spec.shape
    (1, 3, 160, 192)
    """

    size: tuple[int, int]
    layout: str
    dtype: str
    channels: str
    resize: str
    crop_fraction: float
    interpolation: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    padding: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, batch 1."""
        if self.layout == GREY_LAYOUT:
            return (1, *self.size)
        depth = CHANNELS[self.channels]
        return (1, *self.size, depth) if self.layout == "NHWC" else (1, depth, *self.size)


def read_size(fields: Fields) -> tuple[int, int]:
    """The field `size`, height and width in pixels; ZooError, or the error class of `fields`, if it is wrong."""
    size = fields.value("size")
    sides_fit = isinstance(size, list) and len(size) == 2 and all(is_number(side) for side in size)
    if not sides_fit or not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in size):
        raise fields.fail("size", f"[height, width], whole numbers from 1 to {MAX_SIDE}")
    return size[0], size[1]


def read_input_spec(fields: Fields) -> InputSpec:
    """The `input` table of a manifest entry; ZooError, or the error class of `fields`, if a field is wrong."""
    size = read_size(fields)
    channels = fields.text("channels", "RGB", tuple(CHANNELS))
    layout = fields.text("layout", allowed=(*LAYOUTS, GREY_LAYOUT))
    if layout == GREY_LAYOUT and channels != "GRAY":
        raise fields.fail("layout", f"{', '.join(LAYOUTS)}; {GREY_LAYOUT} only with channels GRAY")
    resize = fields.text("resize", allowed=RESIZES)
    spec = InputSpec(
        size=size,
        layout=layout,
        dtype=fields.text("dtype", allowed=DTYPES),
        channels=channels,
        resize=resize,
        crop_fraction=fields.number("crop_fraction", 0, 1),
        interpolation=fields.text("interpolation", allowed=INTERPOLATIONS),
        mean=fields.numbers("mean", CHANNELS[channels]),
        std=fields.numbers("std", CHANNELS[channels]),
        padding=fields.integer("padding", 0, 255, 0) if resize == "letterbox" else None,
    )
    if spec.std is not None and 0 in spec.std:
        raise fields.fail("std", "numbers other than 0")
    fields.done()
    return spec
