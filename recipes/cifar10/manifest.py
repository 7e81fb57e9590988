"""What is known of each finished network: `cards.json` for tests and the README, `zoo.toml` for premodel."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.cifar10.data import MEAN, STD

HEADER = """\
# Six networks for CIFAR-10, trained by this recipe. Paths are relative to this file; see README.md for a card of each.
# The outputs are logits, so that premodel applies softmax itself.
name = "cifar10"
task = "image-classification"
labels = "labels.txt"   # line i (from 0) names class i
"""


@dataclass(frozen=True)
class Card:
    """One network: its file, its size and its accuracy on the test images."""

    name: str
    title: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    mflop: float
    epochs: int
    teacher: str | None
    mirror_view: bool
    test_images: int
    test_right: int
    held_out_accuracy: float

    @property
    def accuracy(self) -> float:
        """Share of the test images that it gets right."""
        return self.test_right / self.test_images

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `accuracy`."""
        return wilson(self.test_right, self.test_images)


def wilson(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), 95 % by default."""
    share = right / total
    centre = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - half) / (1 + z * z / total), (centre + half) / (1 + z * z / total)


def write_cards(cards: Iterable[Card], path: Path) -> None:
    """Write the cards with accuracy and interval spelt out."""
    rows = [
        asdict(c) | {"accuracy": c.accuracy, "accuracy_ci": list(c.interval), "license": "Apache-2.0"} for c in cards
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n")


def write_manifest(cards: Iterable[Card], path: Path) -> None:
    """Write the zoo manifest, in the order of the cards."""
    shown = HEADER
    for card in cards:
        shown += f"""
[[models]]
name = "{card.name}"
file = "{card.file}"
sha256 = "{card.sha256}"
license = "Apache-2.0"
runtime = "onnx"
label_offset = 0
input = {{ size = [32, 32], layout = "NCHW", dtype = "float32", channels = "RGB", resize = "squash", \
crop_fraction = 1.0, interpolation = "bilinear", mean = {list(MEAN)}, std = {list(STD)} }}
output = {{ activation = "none" }}
"""
        if card.mirror_view:
            shown += 'views = [{ name = "mirror", mirror = true }]\n'
    path.write_text(shown)
