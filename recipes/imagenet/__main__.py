"""`python -m recipes.imagenet DATA --out FOLDER`: build EfficientNet-Lite0, 1 and 2 and a manifest for them.

DATA are labelled photographs of ImageNet's classes, in any form that `premodel profile` reads; crops are found on
them. What is there already is built again: it takes a minute.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from recipes.imagenet.crops import Crop, find_crop, spec_of
from recipes.imagenet.networks import PLANS, Plan, build

from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import preprocess
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.label_files import read_label_file
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.check import draw_samples
from premodel.zoo_tools.known import SHIPPED

LABELS = SHIPPED / "imagenet-labels.txt"
COMPARED = 20
"""Images on which the files are compared with the packages' own inference."""

HEADER = """\
# EfficientNet-Lite0, 1 and 2 for ImageNet, float32, made from their PyPI packages by recipes/imagenet.
# The outputs are logits. int8 siblings: premodel zoo expand zoo.toml DATA --out expanded.toml
name = "efficientnet-lite"
task = "image-classification"
labels = "labels.txt"   # line i (from 0) names class i
"""

ENTRY = """
# {said}
[[models]]
name = "{name}"
file = "models/{name}.onnx"
sha256 = "{sha256}"
license = "Apache-2.0"
runtime = "onnx"
label_offset = 0
input = {{ size = [{size}, {size}], layout = "NCHW", dtype = "float32", channels = "RGB", resize = "center-crop", \
crop_fraction = {crop}, interpolation = "bicubic", mean = {mean}, std = {std} }}
output = {{ activation = "none" }}   # logits
"""


def entry(plan: Plan, digest: str, crop: float, said: str) -> str:
    """A manifest entry."""
    spec = spec_of(plan, crop)
    return ENTRY.format(
        said=said, name=plan.name, sha256=digest, size=plan.size, crop=crop, mean=list(spec.mean or ()),
        std=list(spec.std or ()),
    )  # fmt: skip


def tensors(plan: Plan, images: list[Image]) -> torch.Tensor:
    """Some images as the network is fed them."""
    spec = spec_of(plan, round(plan.published_crop, 3))
    return torch.from_numpy(np.concatenate([preprocess(image, spec) for image in images[:COMPARED]]))


def main() -> None:
    """Build, compare, find the crops, write."""
    parser = argparse.ArgumentParser(prog="python -m recipes.imagenet", description=__doc__)
    parser.add_argument("data", help="labelled photographs")
    parser.add_argument("--labels", help="labels of the photographs, where the data set needs them")
    parser.add_argument("--label-names", type=Path, default=LABELS, help="names of the 1000 classes, in order")
    parser.add_argument("--out", type=Path, required=True, help="folder of zoo.toml, labels.txt and models/")
    parser.add_argument("--limit", type=int, default=300, help="photographs that the crops are found on")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    names = read_label_file(options.label_names)
    samples = draw_samples(read_dataset(options.data, options.labels, label_names=names), options.limit)
    models = options.out / "models"
    models.mkdir(parents=True, exist_ok=True)
    (options.out / "labels.txt").write_bytes(options.label_names.read_bytes())
    entries = []
    for plan in PLANS:
        file, digest, difference = build(plan, models, tensors(plan, samples.inputs))
        crop: Crop = find_crop(plan, file, samples.inputs, samples.labels, options.threads)
        entries.append(entry(plan, digest, crop.fraction, crop.said))
        print(f"{plan.name}: crop {crop.fraction:g}, {crop.said}; logits within {difference:.1g} of the package's")
    manifest = options.out / "zoo.toml"
    manifest.write_text(HEADER + "".join(entries))
    read_zoo(manifest, require_files=True)
    print(f"written: {manifest}; next: premodel zoo expand {manifest} {options.data} --out expanded.toml")


if __name__ == "__main__":
    main()
