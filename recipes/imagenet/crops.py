"""Which part of the image a network should look at, found on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recipes.imagenet.networks import Plan

from premodel.backends.onnx import OnnxBackend
from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import preprocess
from premodel.domains.image.spec import InputSpec
from premodel.stats import wilson

CROPS = (0.8, 0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Crop:
    """The crop that was right most often.

    Attributes
    ----------
    fraction:
        Of the shorter side.
    right, images:
        On how many of how many images; the same images chose it.
    """

    fraction: float
    right: int
    images: int

    @property
    def said(self) -> str:
        """For the manifest."""
        low, high = (100 * bound for bound in wilson(self.right, self.images))
        share = 100 * self.right / self.images
        return f"top-1 {share:.1f} % [{low:.1f}, {high:.1f}] on {self.images} images, which also chose the crop"


def spec_of(plan: Plan, crop_fraction: float) -> InputSpec:
    """The input of a network."""
    size, mean, std = (plan.size, plan.size), (plan.mean,) * 3, (plan.std,) * 3
    return InputSpec(size, "NCHW", "float32", "RGB", "center-crop", crop_fraction, "bicubic", mean, std)


def find_crop(plan: Plan, file: Path, images: list[Image], labels: list[int], threads: int) -> Crop:
    """Try the published crop and some others; of equals the one nearest to the published."""
    backend = OnnxBackend.open(file, threads=threads)
    try:
        found = []
        for fraction in sorted({*CROPS, round(plan.published_crop, 3)}):
            spec = spec_of(plan, fraction)
            answers = [int(backend.predict(preprocess(image, spec)).argmax()) for image in images]
            right = sum(answer == label for answer, label in zip(answers, labels, strict=True))
            found.append(Crop(fraction, right, len(images)))
    finally:
        backend.close()
    return max(found, key=lambda crop: (crop.right, -abs(crop.fraction - plan.published_crop)))
