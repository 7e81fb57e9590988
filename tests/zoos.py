"""Small zoos for tests: recorded answers in place of networks, and the small images that go with them.

`from zoos import write_zoo` in any test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.backends.replay import record
from premodel.domains.image.decode import decode
from premodel.domains.image.preprocess import preprocess
from premodel.files import file_sha256
from premodel.zoo.manifest import read_zoo


@dataclass(frozen=True, eq=False)
class SmallZoo:
    """What `write_zoo` wrote.

    Attributes
    ----------
    zoo:
        The manifest.
    data:
        The folder of images; `labels` (a CSV with path,label) goes with it.
    images:
        n files, in the order of `truth` and `probabilities`.
    truth:
        int32 (n,).
    probabilities:
        float32 (n, m, k): what candidate j answers to image i.
    names:
        Candidate names, m.
    """

    zoo: Path
    data: Path
    labels: Path
    images: tuple[Path, ...]
    truth: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    names: tuple[str, ...]


def write_zoo(
    folder: Path,
    probabilities: NDArray[Any] | None = None,
    *,
    correct: NDArray[Any] | None = None,
    truth: Sequence[int] | NDArray[Any] | None = None,
    n_labels: int | None = None,
    latency_ms: Sequence[float] | float = 0.0,
    models: Sequence[str] | None = None,
    views: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    seed: int = 0,
) -> SmallZoo:
    """Write a zoo of recorded answers and its images beneath `folder`.

    Parameters
    ----------
    folder:
        Made if absent: zoo.toml, labels.txt, models/, images/, labels.csv.
    probabilities:
        (n, m, k), the answers of m candidates to n images; or give `correct`.
    correct:
        Bool (n, m): who is right; the probabilities are then drawn, the top one between 0.5 and 1.
    truth:
        (n,) true labels; drawn if absent.
    n_labels:
        With `correct`; 6 if absent.
    latency_ms:
        What each model really takes, one number or one per model.
    models:
        Model names; m0, m1, ... if absent. With `views` there are fewer models than candidates.
    views:
        Further views by model name, as in the manifest; the columns follow the zoo's order of candidates.
    seed:
        Of everything drawn.
    """
    rng = np.random.default_rng(seed)
    if probabilities is None:
        if correct is None:
            raise TypeError("give probabilities or correct")
        n_labels = n_labels or 6
        truth = rng.integers(0, n_labels, len(correct)) if truth is None else truth
        probabilities = draw_probabilities(np.asarray(correct, bool), np.asarray(truth), n_labels, rng)
    n, m, k = probabilities.shape
    truth = np.asarray(rng.integers(0, k, n) if truth is None else truth, np.int32)
    views = views or {}
    models = models or [f"m{j}" for j in range(m - sum(len(items) for items in views.values()))]
    latencies = np.broadcast_to(np.asarray(latency_ms, float), len(models))

    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "labels.txt").write_text("".join(f"label {i}\n" for i in range(k)))
    images = []
    for i in range(n):
        images.append(folder / "images" / f"{i:05d}.png")
        cv2.imwrite(str(images[-1]), rng.integers(0, 256, (14, 18, 3), np.uint8))
    lines = [f"{image.relative_to(folder).as_posix()},{label}\n" for image, label in zip(images, truth, strict=True)]
    (folder / "labels.csv").write_text("path,label\n" + "".join(lines))

    manifest = folder / "zoo.toml"
    manifest.write_text(_manifest(models, views, {}))
    candidates = read_zoo(manifest).candidates
    if len(candidates) != m:
        raise TypeError(f"{len(candidates)} candidates, {m} columns of probabilities")
    decoded = [decode(image) for image in images]
    digests = {}
    for model, latency in zip(models, latencies, strict=True):
        columns = [j for j, candidate in enumerate(candidates) if candidate.model.name == model]
        tensors = [
            preprocess(image, candidates[j].input, mirror=candidates[j].view.mirror)
            for j in columns
            for image in decoded
        ]
        outputs = np.concatenate([probabilities[:, j] for j in columns]).astype(np.float32)
        file = folder / "models" / f"{model}.npz"
        record(file, tensors, outputs, latency_ms=float(latency))
        digests[model] = file_sha256(file)
    manifest.write_text(_manifest(models, views, digests))
    names = tuple(candidate.name for candidate in candidates)
    return SmallZoo(
        manifest, folder, folder / "labels.csv", tuple(images), truth, probabilities.astype(np.float32), names
    )


def draw_probabilities(
    correct: NDArray[np.bool_], truth: NDArray[Any], n_labels: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """float32 (n, m, k): the top label is the truth exactly where `correct` states so."""
    n, m = correct.shape
    probabilities = rng.dirichlet(np.ones(n_labels), (n, m)) * 0.4
    wrong = (truth[:, None] + rng.integers(1, n_labels, (n, m))) % n_labels
    top = np.where(correct, truth[:, None], wrong)
    room = 1 - probabilities.sum(2)
    np.put_along_axis(
        probabilities, top[:, :, None], np.take_along_axis(probabilities, top[:, :, None], 2) + room[:, :, None], 2
    )
    return probabilities.astype(np.float32)


def _manifest(
    models: Sequence[str], views: Mapping[str, Sequence[Mapping[str, Any]]], digests: Mapping[str, str]
) -> str:
    text = 'name = "small"\ntask = "image-classification"\nlabels = "labels.txt"\n'
    for model in models:
        text += f"""
[[models]]
name = "{model}"
file = "models/{model}.npz"
runtime = "replay"
input = {{ size = [8, 8], layout = "NHWC", dtype = "uint8", resize = "center-crop", crop_fraction = 0.875, interpolation = "bilinear" }}
output = {{ activation = "softmax" }}
"""  # noqa: E501
        if model in digests:
            text += f'sha256 = "{digests[model]}"\n'
        for view in views.get(model, ()):
            text += "[[models.views]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in view.items())
    return text
