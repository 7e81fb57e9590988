"""A zoo of one network whose weights are in a file of their own, and images that it answers.

`from several_files import write_external_zoo` in any test.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from premodel.files import file_sha256
from tiny_models import write_onnx

WEIGHTS = "parts/net.onnx.data"
NAMES = ("red", "green", "blue")
COLOURS = np.array([[220, 20, 20], [20, 200, 30], [30, 40, 220]])


def write_external_zoo(folder: Path, runtime: str = "onnx", *, stated: bool = True, digest: bool = True) -> Path:
    """Write zoo.toml, models/net.onnx, its weights and images/*.png with labels.csv; gives the folder.

    The network names the strongest colour. `stated`: the manifest states which further files it reads; `digest`: it
    states the digest of the model's own file.
    """
    models = folder / "models"
    models.mkdir(parents=True)
    write_onnx(
        models / "net.onnx", 8 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32), ["N", 3, 8, 8],
        pooled=True, external=WEIGHTS,
    )  # fmt: skip
    lines = [f"sha256 = {json.dumps(file_sha256(models / 'net.onnx'))}\n"] if digest else []
    if stated:
        lines.append(f"files = {{ {json.dumps(WEIGHTS)} = {json.dumps(file_sha256(models / WEIGHTS))} }}\n")
    (folder / "zoo.toml").write_text(
        f'name = "colours"\ntask = "image-classification"\nlabels = {json.dumps(NAMES)}\n'
        f'[[models]]\nname = "net"\nfile = "models/net.onnx"\nruntime = "{runtime}"\n{"".join(lines)}'
        'input = { size = [8, 8], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, '
        'interpolation = "bilinear" }\noutput = { activation = "softmax" }\n'
    )
    write_images(folder)
    return folder


def write_images(folder: Path, n: int = 12) -> list[Path]:
    """Noisy pictures of one colour each, and labels.csv."""
    rng = np.random.default_rng(3)
    (folder / "images").mkdir()
    files, rows = [], ["path,label"]
    for index in range(n):
        label = index % len(NAMES)
        picture = np.clip(COLOURS[label] + rng.normal(0, 8, (12, 16, 3)), 0, 255).astype(np.uint8)
        files.append(folder / "images" / f"{index:02d}.png")
        cv2.imwrite(str(files[-1]), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        rows.append(f"images/{index:02d}.png,{NAMES[label]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return files


def change_weights(folder: Path) -> None:
    """Other weights of the same size: the network now names the next colour."""
    file = folder / "models" / WEIGHTS
    weights = np.frombuffer(file.read_bytes(), np.float32)
    file.write_bytes(np.concatenate([np.roll(weights[:9].reshape(3, 3), 1, axis=1).reshape(-1), weights[9:]]).tobytes())
