"""Networks that name the nearest of some colours, pictures that go with them, and `zoo init` on both.

`from colour_networks import nearest` in any test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.cli.main import main
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.check import check_zoo, draw_samples

COLOURS = np.random.default_rng(11).permutation(
    np.array([[r, g, b] for r in (0.1, 0.5, 0.9) for g in (0.1, 0.5, 0.9) for b in (0.15, 0.8)])
)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SHARPNESS = 12.0


def nearest(
    colours: NDArray[np.float64], mean: Any = IMAGENET[0], std: Any = IMAGENET[1], sharpness: float = SHARPNESS
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias whose highest logit is that of the nearest colour, of inputs (x / 255 - mean) / std."""
    depth = colours.shape[1]
    mean, std = np.broadcast_to(mean, depth), np.broadcast_to(std, depth)
    weights = (2 * colours * std).T * sharpness
    bias = (2 * colours @ mean - (colours**2).sum(axis=1)) * sharpness
    return weights.astype(np.float32), bias.astype(np.float32)


def write_data(
    folder: Path, names: list[str], colours: NDArray[np.float64], per_class: int = 10, *, missing: tuple[str, ...] = ()
) -> Path:
    """A folder per class of noisy plain pictures."""
    rng = np.random.default_rng(4)
    for name, colour in zip(names, colours, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(per_class if name not in missing else 0):
            noise = rng.normal(0, 8, (20, 26, 3)) + rng.normal(0, 4, 3)
            rgb = np.clip(np.broadcast_to(colour, 3) * 255 + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return folder


def run_init(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any], str]:
    """Exit code, the answer, and the manifest."""
    out = Path(str(words[words.index("--out") + 1]))
    code = main(["zoo", "init", *map(str, words), "--json"])
    captured = capsys.readouterr()
    return (
        code,
        json.loads(captured.out) if code == 0 else {"error": captured.err},
        out.read_text() if code == 0 else "",
    )


def checked_accuracy(manifest: Path, data: Path) -> float:
    """Top-1 of the first model as `zoo check` finds it."""
    zoo = read_zoo(manifest)
    (found, *_) = check_zoo(zoo, draw_samples(read_dataset(data, label_names=zoo.labels)))
    assert found.errors == []
    return found.top1 / found.samples


def close_colours() -> NDArray[np.float64]:
    return np.array([0.5, 0.45, 0.4]) + np.random.default_rng(5).uniform(-0.12, 0.12, (10, 3))
