"""Tiny convolutional networks and images that they are right about: brightness in the left or the right half."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from premodel.files import file_sha256
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.manifest import Zoo, read_zoo

SIDE = 64
CHANNELS = 24


@dataclass(frozen=True)
class Made:
    """A zoo with its images."""

    manifest: Path
    data: Path
    labels: Path

    @property
    def zoo(self) -> Zoo:
        return read_zoo(self.manifest)

    @property
    def dataset(self) -> Dataset:
        return read_dataset(self.data, self.labels, label_names=self.zoo.labels)


def write_network(file: Path, *, side: int | str = SIDE, layers: int = 3, opset: int = 17) -> None:
    """Two logits: how bright the left and the right half are, behind convolutions that change little but take time.

    With a name for its side it takes any size.
    """
    rng = np.random.default_rng(3)
    first = np.zeros((CHANNELS, 3, 3, 3), np.float32)
    first[:, :, 1, 1] = 1 / 3
    nodes = [helper.make_node("Conv", ["x", "w0"], ["y0"], pads=[1, 1, 1, 1])]
    weights = [numpy_helper.from_array(first, "w0")]
    for layer in range(1, layers):
        mix = np.zeros((CHANNELS, CHANNELS, 3, 3), np.float32)
        mix[:, :, 1, 1] = np.eye(CHANNELS) * 0.9 + np.abs(rng.normal(0, 0.1 / CHANNELS, (CHANNELS, CHANNELS)))
        weights.append(numpy_helper.from_array(mix, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [f"y{layer - 1}", f"w{layer}"], [f"z{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"z{layer}"], [f"y{layer}"]))
    last = f"y{layers - 1}"
    width = side if isinstance(side, int) else SIDE
    left = np.zeros((1, 1, 1, width), np.float32)
    left[..., : width // 2] = 1
    both = np.stack([np.full(CHANNELS, 0.3), np.full(CHANNELS, -0.3)], 1).astype(np.float32)
    weights += [numpy_helper.from_array(both, "head"), numpy_helper.from_array(np.zeros(2, np.float32), "bias")]
    if isinstance(side, int):
        # Left half minus right half: a network of one size only.
        weights.append(numpy_helper.from_array(2 * left - 1, "side"))
        nodes.append(helper.make_node("Mul", [last, "side"], ["halves"]))
        last = "halves"
    else:
        # The same for any width: positions from -1 to 1 along the last axis, from the shape.
        nodes += [
            helper.make_node("Shape", [last], ["shape"]),
            helper.make_node("Gather", ["shape", "three"], ["width"]),
            helper.make_node("Range", ["zero", "width", "one"], ["places"]),
            helper.make_node("Cast", ["places"], ["at"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["width"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["at", "wide"], ["share"]),
            helper.make_node("Sub", ["half", "share"], ["from_middle"]),
            helper.make_node("Sign", ["from_middle"], ["side_of"]),
            helper.make_node("Mul", [last, "side_of"], ["halves"]),
        ]
        weights += [
            numpy_helper.from_array(np.array(3, np.int64), "three"),
            numpy_helper.from_array(np.array(0, np.int64), "zero"),
            numpy_helper.from_array(np.array(1, np.int64), "one"),
            numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        ]
        last = "halves"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "head", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(file))


def write_images(folder: Path, count: int, seed: int = 0) -> tuple[Path, Path]:
    """Images with a bright half, and the table of their labels."""
    rng = np.random.default_rng(seed)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    lines = ["path,label\n"]
    for number in range(count):
        label = number % 2
        pixels = rng.integers(0, 90, (SIDE, SIDE, 3)).astype(np.int32)
        half = slice(0, SIDE // 2) if label == 0 else slice(SIDE // 2, SIDE)
        pixels[:, half] += 120
        cv2.imwrite(str(images / f"{number:04d}.png"), pixels.clip(0, 255).astype(np.uint8))
        lines.append(f"images/{number:04d}.png,{label}\n")
    (folder / "truth.csv").write_text("".join(lines))
    return folder, folder / "truth.csv"


ENTRY = """
# about {name}
[[models]]
name = "{name}"   # its name
file = "models/{name}{suffix}"
sha256 = "{sha256}"
license = "Apache-2.0"
runtime = "{runtime}"
input = {{ size = [{side}, {side}], layout = "{layout}", dtype = "float32", channels = "RGB", resize = "squash", \
crop_fraction = 1.0, interpolation = "bilinear" }}
output = {{ activation = "none" }}
"""


def write_expandable(folder: Path, names: tuple[str, ...] = ("net",), count: int = 80, **network: Any) -> Made:
    """A zoo of such networks, images and labels."""
    (folder / "models").mkdir(parents=True)
    (folder / "labels.txt").write_text("left\nright\n")
    text = '# a zoo of halves\nname = "halves"\ntask = "image-classification"\nlabels = "labels.txt" # two\n'
    for number, name in enumerate(names):
        file = folder / "models" / f"{name}.onnx"
        write_network(file, layers=3 + number, **network)
        text += ENTRY.format(
            name=name, suffix=".onnx", sha256=file_sha256(file), runtime="onnx", side=SIDE, layout="NCHW"
        )
    (folder / "zoo.toml").write_text(text + "# the end\n")
    data, labels = write_images(folder, count)
    return Made(folder / "zoo.toml", data, labels)
