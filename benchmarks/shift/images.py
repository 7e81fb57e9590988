"""Copies of labelled images under a shift: blurred, or with noise, as PNG with a list of labels."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.domains.image.decode import decode
from premodel.profiling.datasets.registry import read_dataset

Pixels = NDArray[np.uint8]


def blur(rgb: Pixels, strength: float, seed: int) -> Pixels:
    """Gaussian blur of so many pixels."""
    del seed
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), strength), np.uint8)


def noise(rgb: Pixels, strength: float, seed: int) -> Pixels:
    """Gaussian noise of this standard deviation, in units of 1 / 255."""
    added = np.random.default_rng(seed).normal(0, strength, rgb.shape)
    return np.clip(np.rint(rgb + added), 0, 255).astype(np.uint8)


SHIFTS = {"blur": blur, "noise": noise}


def main() -> None:
    """Read a data set, write the shifted one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", help="as of premodel profile")
    parser.add_argument("--zoo", required=True, type=Path, help="names the labels")
    parser.add_argument("--shift", choices=tuple(SHIFTS), required=True)
    parser.add_argument("--strength", type=float, required=True)
    parser.add_argument("--limit", type=int, help="images, drawn as by premodel profile")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from premodel.zoo.manifest import read_zoo

    dataset = read_dataset(args.data, args.labels, label_names=read_zoo(args.zoo).labels)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        for payload in dataset.read(dataset.draw(args.limit)):
            shifted = SHIFTS[args.shift](decode(payload.data).rgb, args.strength, payload.row)
            name = f"{payload.row:06}.png"
            cv2.imwrite(str(args.out / name), shifted[:, :, ::-1])
            writer.writerow([name, int(dataset.labels[payload.row])])


if __name__ == "__main__":
    main()
