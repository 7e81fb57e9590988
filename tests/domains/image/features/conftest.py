"""Pictures for the tests of the features."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def flat(height: int, width: int, colour: tuple[int, int, int]) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int, width: int, seed: int = 0) -> Pixels:
    """Coloured discs of all sizes on a shaded ground: edges, corners, hues and an object."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.stack([x / width * 200, y / height * 150, (x + y) / (height + width) * 100], axis=2)
    for _ in range(25):
        radius = rng.uniform(0.02, 0.2) * max(height, width)
        inside = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width)) < radius
        image[inside] = rng.integers(0, 256, 3)
    return image.astype(np.uint8)


EDGE_IMAGES = {
    "one pixel": flat(1, 1, (7, 8, 9)),
    "one row": noise(1, 500),
    "one column": noise(500, 1),
    "one short row": noise(1, 3),
    "two rows": noise(2, 130),
    "two columns": noise(127, 2),
    "smaller than a corner's circle": noise(6, 6),
    "odd sides": noise(129, 257),
    "black": flat(40, 60, (0, 0, 0)),
    "white": flat(227, 227, (255, 255, 255)),
    "grey": flat(64, 64, (128, 128, 128)),
    "grey noise": np.repeat(noise(90, 70)[:, :, :1], 3, axis=2),
    "saturated": flat(224, 224, (0, 0, 255)),
    "noise": noise(224, 224),
    "scene": scene(224, 300),
    "chessboard": np.kron((np.indices((64, 64)).sum(axis=0) % 2)[:, :, None], flat(1, 1, (255, 255, 255))).astype(
        np.uint8
    ),
    "very wide": noise(9, 4000),
}


@pytest.fixture(params=EDGE_IMAGES.values(), ids=EDGE_IMAGES.keys())
def edge_image(request: pytest.FixtureRequest) -> Pixels:
    image: Pixels = request.param
    return image


@pytest.fixture
def picture() -> Pixels:
    """An image on which every feature finds something."""
    return scene(224, 300)
