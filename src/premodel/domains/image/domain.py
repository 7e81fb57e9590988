"""Images as a domain: decoded pixels, their crops, and the features of the paper."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.domains.base import IMAGE_TASK, Domain, FeatureExtractor, FeatureGroup
from premodel.domains.image.decode import PREPROCESSING_VERSION, Image, check_pixels, decode, read_file, set_threads
from premodel.domains.image.header import read_header
from premodel.domains.image.preprocess import Preprocessor, Pyramid, preprocess
from premodel.domains.image.spec import InputSpec, read_input_spec
from premodel.domains.image.views import View, read_view
from premodel.errors import ImageError
from premodel.fields import Fields

SYNTHETIC_SIDE = 64
PREVIEW_SIDE = 96
"""Longest side of a small copy, pixels."""
PREVIEW_QUALITY = 80
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".jp2", ".png", ".bmp", ".dib", ".webp", ".gif"}
    | {".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".hdr", ".exr", ".sr", ".ras"}
)


class ImageFeatures:
    """The extractor of features, on decoded images."""

    def __init__(self, names: Sequence[str] | None) -> None:
        from premodel.domains.image.features.extractor import Extractor

        self._extractor = Extractor(names)

    def extract(self, sample: Image) -> NDArray[np.float32]:
        """See `Extractor.extract`."""
        return self._extractor.extract(sample.rgb)

    def cost_items(self) -> tuple[str, ...]:
        """See `Extractor.cost_items`."""
        return self._extractor.cost_items()

    def time_cost_items(self, sample: Image) -> dict[str, float]:
        """See `Extractor.time_cost_items`."""
        return self._extractor.time_cost_items(sample.rgb)


MARGIN = 1.4
"""A large JPEG is decoded at a fraction of its size as long as crops stay so much larger than a model's input.
docs/numbers.md has what it costs in accuracy, and benchmarks/photographs the command."""
DETAIL_STEP = 8
"""The shorter side that is kept is a multiple of this, so that one more model seldom changes it."""


@lru_cache(maxsize=64)
def _at(short_side: int) -> ImageDomain:
    return ImageDomain(short_side)


class ImageDomain(Domain):
    """Images, as OpenCV decodes them.

    Parameters
    ----------
    short_side:
        Pixels of the shorter side that decoding keeps at least; 0 for all pixels.
    """

    task = IMAGE_TASK
    version = PREPROCESSING_VERSION
    noun = "image"
    plural = "images"
    suffixes = SUFFIXES
    takes_pixels = True

    def read_file(self, path: Path) -> bytes:
        """See `decode.read_file`."""
        return read_file(path)

    def __init__(self, short_side: int = 0) -> None:
        self.short_side = short_side

    def decode(self, source: Any) -> Image:
        """See `decode.decode`."""
        return decode(source, self.short_side)

    def detail(self, specs: Iterable[InputSpec]) -> int:
        """The shorter side with which the crop of every spec is MARGIN times its input, or more."""
        needed = max((MARGIN * max(spec.size) / spec.crop_fraction for spec in specs), default=0)
        return DETAIL_STEP * math.ceil(needed / DETAIL_STEP)

    def at(self, detail: int) -> ImageDomain:
        """The same that keeps so many pixels of the shorter side."""
        return self if detail == self.short_side else _at(detail)

    def size(self, sample: Image) -> Mapping[str, int]:
        """Width and height in pixels, of the whole image."""
        width, height = sample.full_size or (sample.width, sample.height)
        return {"width": width, "height": height}

    def check_encoded(self, data: bytes, max_size: int, where: str) -> None:
        """By its pixels; an image without a header that is known is left to the decoder."""
        header = read_header(data)
        if header is not None:
            check_pixels(header.width, header.height, max_size, where)

    def encode(self, source: Any) -> bytes:
        """A PNG of the pixels."""
        rgb = decode(source).rgb
        _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        return encoded.tobytes()

    def preview(self, data: bytes) -> str | None:
        """A JPEG of at most 96 pixels a side; None if the image cannot be decoded."""
        try:
            rgb: NDArray[Any] = decode(data).rgb
        except ImageError:
            return None
        height, width = rgb.shape[:2]
        scale = PREVIEW_SIDE / max(height, width)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY]
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)
        return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")

    def shared(self, sample: Image) -> Pyramid:
        """The resized crops."""
        return Pyramid(sample)

    def plain(self, sample: Image) -> NDArray[np.uint8]:
        """uint8 RGB (height, width, 3)."""
        return sample.rgb

    def prepare(
        self,
        sample: Image,
        spec: InputSpec,
        view: View,
        shared: Pyramid | None = None,
        quantisation: TensorSpec | None = None,
    ) -> Tensor:
        """See `preprocess.preprocess`."""
        return preprocess(sample, spec, mirror=view.mirror, pyramid=shared, quantisation=quantisation)

    def preparer(self, spec: InputSpec, view: View, quantisation: TensorSpec | None = None) -> Preprocessor:
        """With all tables made."""
        return Preprocessor(spec, view.mirror, quantisation)

    def read_spec(self, fields: Fields) -> InputSpec:
        """Size, layout, type, channels, crop and values."""
        return read_input_spec(fields)

    def plain_view(self, name: str = "") -> View:
        """The model's own crop and size."""
        return View(name)

    def read_view(self, fields: Fields, name: str) -> View:
        """A crop, a size, the mirror image."""
        return read_view(fields, name)

    def normal_view(self, view: View, spec: InputSpec) -> View:
        """Without the model's own size: its opened network will do."""
        return replace(view, size=None) if view.size == spec.size else view

    def view_spec(self, spec: InputSpec, view: View) -> InputSpec:
        """The model's input with the view's crop and size."""
        crop_fraction = spec.crop_fraction if view.crop_fraction is None else view.crop_fraction
        return replace(spec, crop_fraction=crop_fraction, size=view.size or spec.size)

    def input_key(self, spec: InputSpec) -> Mapping[str, Any]:
        """All of it; padding only where there is one, so that specs of older versions keep their keys."""
        return {name: value for name, value in asdict(spec).items() if name != "padding" or value is not None}

    def answer_key(self, view: View) -> Mapping[str, Any]:
        """The mirror, which no spec states, and the version of the preprocessing."""
        decoded = {"short_side": self.short_side} if self.short_side else {}
        return {"mirror": view.mirror, "preprocessing": PREPROCESSING_VERSION, **decoded}

    def network_key(self, view: View) -> Mapping[str, Any]:
        """Another size."""
        return {} if view.size is None else {"size": view.size}

    def describe(self, spec: InputSpec) -> str:
        """Layout and shape."""
        return f"{spec.layout} {spec.shape}"

    def summary(self, spec: InputSpec) -> str:
        """Type, size, channels and layout."""
        height, width = spec.size
        return f"{spec.dtype} {height}x{width} {spec.channels} {spec.layout}"

    def quantises(self, spec: InputSpec) -> bool:
        """An integer input with mean or std."""
        return spec.dtype in ("uint8", "int8") and bool(spec.mean or spec.std)

    @property
    def feature_groups(self) -> tuple[FeatureGroup, ...]:
        """The families of the paper's features."""
        from premodel.domains.image.features.costs import cost_items_of
        from premodel.domains.image.features.registry import FAMILIES

        named = [(family.key() + self._mark, tuple(feature.name for feature in family.features)) for family in FAMILIES]
        return tuple(FeatureGroup(key, names, {name: cost_items_of([name]) for name in names}) for key, names in named)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Those of all families."""
        from premodel.domains.image.features.registry import FEATURE_NAMES

        return FEATURE_NAMES

    @property
    def features_version(self) -> str:
        """That of the extractor."""
        from premodel.domains.image.features.extractor import EXTRACTOR_VERSION

        return EXTRACTOR_VERSION + self._mark

    @property
    def _mark(self) -> str:
        """What distinguishes features of reduced images from those of whole ones."""
        return f"@{self.short_side}" if self.short_side else ""

    def extractor(self, names: Sequence[str] | None = None) -> FeatureExtractor:
        """Computes the features named."""
        return ImageFeatures(names)

    def synthetic(self, seed: int = 0) -> NDArray[np.uint8]:
        """Noise."""
        return np.random.default_rng(seed).integers(0, 256, (SYNTHETIC_SIDE, SYNTHETIC_SIDE, 3), dtype=np.uint8)

    def set_threads(self, threads: int) -> None:
        """Of OpenCV."""
        set_threads(threads)

    def threads(self) -> int:
        """Of OpenCV."""
        return cv2.getNumThreads()
