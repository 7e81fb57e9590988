"""What decoding large photographs at a fraction of their size saves, and what it does to answers.

Photographs are made of the images at hand: tiled to 4000 x 3000 and 1920 x 1080 for the times, enlarged one by one, so
that their labels hold, for the answers.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.domains.image.decode import decode
from premodel.domains.image.domain import MARGIN, ImageDomain
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.candidate import OpenedCandidate, open_candidates
from premodel.stats import paired_bootstrap
from premodel.zoo.manifest import Zoo, read_zoo

QUALITY = 90
SIZES = ((4000, 3000), (1920, 1080))
MARGINS = (1.0, 1.25, 1.4, 2.0)
SCALE = 4


def jpeg(pixels: NDArray[Any], quality: int = QUALITY, progressive: bool = False) -> bytes:
    """RGB pixels as a JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes())


def tiled(images: Sequence[NDArray[Any]], width: int, height: int, rng: np.random.Generator) -> NDArray[Any]:
    """A scene of that size, of images side by side."""
    side = min(min(image.shape[:2]) for image in images)
    rows = [
        np.hstack([images[int(rng.integers(len(images)))][:side, :side] for _ in range(width // side + 1)])
        for _ in range(height // side + 1)
    ]
    return np.vstack(rows)[:height, :width]


def pictures(dataset: Dataset, limit: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Label and pixels of some images."""
    for payload in dataset.read(dataset.draw(limit)):
        if payload.data is not None:
            yield int(dataset.labels[payload.row]), decode(payload.data).rgb


def time_parts(images: Sequence[NDArray[Any]], rounds: int) -> None:
    """Decoding at each scale, what of it is reading the bits, and features: in turns."""
    rng = np.random.default_rng(0)
    features = ImageDomain().extractor()
    print(f"\nMedians of {rounds} rounds, ms of processor time; grey at 1/8 is reading the bits and little else\n")
    print("| size | file | MB | 1/1 | 1/2 | 1/4 | 1/8 | 1/8, grey | features of 1/1 | features of the smallest |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for width, height in SIZES:
        scene = tiled(images, width, height, rng)
        for quality, progressive in ((75, False), (90, False), (95, False), (90, True)):
            data = jpeg(scene, quality, progressive)
            values = np.frombuffer(data, np.uint8)
            steps: list[Callable[[], Any]] = [partial(decode, data, height // scale) for scale in (1, 2, 4, 8)]
            steps.append(partial(cv2.imdecode, values, cv2.IMREAD_REDUCED_GRAYSCALE_8))
            steps += [partial(features.extract, decode(data, height // scale)) for scale in (1, 8)]
            spent = np.zeros((rounds, len(steps)))
            for number in range(rounds):
                for place, step in enumerate(steps):
                    start = process_time()
                    step()
                    spent[number, place] = 1000 * (process_time() - start)
            kind = f"quality {quality}" + (", progressive" if progressive else "")
            cells = " | ".join(f"{value:.1f}" for value in np.median(spent, axis=0))
            print(f"| {width} x {height} | {kind} | {len(data) / 1e6:.2f} | {cells} |", flush=True)


def time_scenes(
    zoo: Zoo, opened: Sequence[OpenedCandidate], images: Sequence[NDArray[Any]], rounds: int, progressive: bool
) -> None:
    """Decode + features + preprocess + run, whole and reduced in turns."""
    rng = np.random.default_rng(0)
    whole, reduced = ImageDomain(), zoo.domain
    features = whole.extractor()
    print(f"shorter side kept: {zoo.detail} pixels (margin {MARGIN:g}); medians of {rounds} rounds in one run, ms\n")
    print("| size | candidate | decode, whole | decode, reduced | end to end, whole | reduced | faster | of means |")
    print("|---|---|---|---|---|---|---|---|")
    for width, height in SIZES:
        scenes = [jpeg(tiled(images, width, height, rng), QUALITY, progressive) for _ in range(6)]
        for one in opened:
            spent: dict[str, list[tuple[float, float]]] = {"whole": [], "reduced": []}
            for number in range(rounds + 2):
                data = scenes[number % len(scenes)]
                for name, domain in (("whole", whole), ("reduced", reduced)):
                    start = now_ms()
                    sample = domain.decode(data)
                    decoded = now_ms()
                    features.extract(sample)
                    one.run(one.prepare(sample))
                    if number >= 2:
                        spent[name].append((decoded - start, now_ms() - start))
            full, small = np.array(spent["whole"]), np.array(spent["reduced"])
            ratio, mean = float(np.median(full[:, 1] / small[:, 1])), full[:, 1].mean() / small[:, 1].mean()
            cells = (*np.median(full, axis=0), *np.median(small, axis=0))
            print(
                f"| {width} x {height} | {one.name} | {cells[0]:.1f} | {cells[2]:.1f} | {cells[1]:.1f} | "
                f"{cells[3]:.1f} | {ratio:.2f}x | {mean:.2f}x |",
                flush=True,
            )


def compare_answers(opened: Sequence[OpenedCandidate], found: Sequence[tuple[int, NDArray[Any]]]) -> None:
    """Accuracy whole and reduced, by how much larger the reduced crop is than the input."""
    print(f"\n{len(found)} images enlarged so that 1/{SCALE} of them has the margin\n")
    print("| margin | candidate | accuracy, whole | reduced | difference, points | same answer |")
    print("|---|---|---|---|---|---|")
    for margin in MARGINS:
        for one in opened:
            spec = one.candidate.input
            side = SCALE * -(-margin * max(spec.size) / spec.crop_fraction // 1)
            rows = []
            for label, pixels in found:
                factor = side / min(pixels.shape[:2])
                size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
                data = jpeg(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))
                answers = [
                    int(one.predict(decode(data, short_side)).labels[0]) for short_side in (0, int(side) // SCALE)
                ]
                rows.append((answers[0] == label, answers[1] == label, answers[0] == answers[1]))
            whole, reduced, same = np.array(rows, dtype=np.float64).T
            low, high = paired_bootstrap(reduced - whole)
            print(
                f"| {margin:g} | {one.name} | {100 * whole.mean():.1f} % | {100 * reduced.mean():.1f} % | "
                f"{100 * (reduced - whole).mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] | "
                f"{100 * same.mean():.1f} % |",
                flush=True,
            )


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", help="manifest of the candidates")
    parser.add_argument("data", help="labelled images")
    parser.add_argument("--labels")
    parser.add_argument("--candidates", nargs="+", help="some of them (default: all)")
    parser.add_argument("--images", type=int, default=300, help="for the answers; 0 for the times alone")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--progressive", action="store_true", help="scenes as progressive files")
    parser.add_argument("--parts", action="store_true", help="only where the time of decoding goes")
    options = parser.parse_args()
    zoo = read_zoo(options.zoo, require_files=True)
    dataset = read_dataset(options.data, options.labels, label_names=zoo.labels)
    chosen = [one for one in zoo.candidates if options.candidates is None or one.name in options.candidates]
    if not chosen:
        sys.exit("no such candidate")
    zoo.domain.set_threads(1)
    opened = open_candidates(chosen)
    print(f"1-minute load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    large = [pixels for _, pixels in pictures(dataset, 100)]
    if options.parts:
        time_parts(large, options.rounds)
        return
    time_scenes(zoo, opened, large, options.rounds, options.progressive)
    if options.images:
        compare_answers(opened, list(pictures(dataset, options.images)))


if __name__ == "__main__":
    main()
