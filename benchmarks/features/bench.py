"""What the image features cost: every part, all 29 features, and the 7 that the paper keeps, on one thread.

Every image is decoded anew right before it is measured, as it is in use: measuring one image many times in a row
would let the processor learn its branches, which no served image allows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.domains.image.decode import decode
from premodel.domains.image.features.costs import cost_ms
from premodel.domains.image.features.extractor import EXTRACTOR_VERSION, Extractor

KEPT = (
    "n_keypoints",
    "avg_perceived_brightness",
    "contrast",
    "area_by_perim",
    "aspect_ratio",
    "edge_length1",
    "hue1",
)
BUDGET_MS = {"all": 0.5, "kept": 0.25}
SUFFIXES = {".jpg", ".jpeg", ".png"}


def stored_images(folder: Path, limit: int) -> list[bytes]:
    """The bytes of up to `limit` images below a folder, spread evenly over their sorted paths."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        sys.exit(f"no {', '.join(sorted(SUFFIXES))} below {folder}")
    chosen = np.unique(np.linspace(0, len(files) - 1, min(limit, len(files))).round().astype(int))
    return [files[i].read_bytes() for i in chosen]


def generated_images(count: int, side: int) -> list[bytes]:
    """JPEGs with the spectrum of photographs (amplitude falls as 1/frequency) and a few hard-edged shapes."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    images = []
    for _ in range(count):
        layers = []
        for _ in range(3):
            phase = np.exp(2j * np.pi * rng.random(frequency.shape))
            layer = np.fft.irfft2(phase / frequency, s=(side, side))
            layers.append(128 + 45 * layer / layer.std())
        image = np.ascontiguousarray(np.clip(np.stack(layers, axis=2), 0, 255).astype(np.uint8))
        for _ in range(12):
            centre, axes = rng.integers(0, side, 2).tolist(), rng.integers(3, side // 5, 2).tolist()
            colour = rng.integers(0, 256, 3).tolist()
            cv2.ellipse(image, centre, axes, float(rng.integers(180)), 0.0, 360.0, colour, -1)
        images.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return images


def measured(images: Sequence[bytes], repeats: int, run: Callable[[NDArray[np.uint8]], Any]) -> list[Any]:
    """What `run` gives for every image in every round; the first round warms up and is left out."""
    given = []
    for round_ in range(repeats + 1):
        for data in images:
            rgb = decode(data).rgb
            value = run(rgb)
            if round_:
                given.append(value)
    return given


def timed(extractor: Extractor) -> Callable[[NDArray[np.uint8]], float]:
    """Milliseconds of one extraction."""

    def run(rgb: NDArray[np.uint8]) -> float:
        start = now_ms()
        extractor.extract(rgb)
        return now_ms() - start

    return run


def summary(samples_ms: Sequence[float]) -> dict[str, float]:
    median, p90 = np.quantile(samples_ms, [0.5, 0.9])
    return {"median_us": 1e3 * float(median), "mean_us": 1e3 * float(np.mean(samples_ms)), "p90_us": 1e3 * float(p90)}


def processor() -> str:
    """The processor's name, as far as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def conditions(images: Sequence[bytes], source: str, repeats: int) -> dict[str, Any]:
    sizes = [decode(data).rgb.shape for data in images]
    return {
        "images": len(images),
        "source": source,
        "sides_px": [min(min(size[:2]) for size in sizes), max(max(size[:2]) for size in sizes)],
        "repeats": repeats,
        "threads": cv2.getNumThreads(),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "extractor_version": EXTRACTOR_VERSION,
    }


def run_bench(images: Sequence[bytes], source: str, repeats: int) -> dict[str, Any]:
    report: dict[str, Any] = {"conditions": conditions(images, source, repeats)}
    everything = Extractor()
    rows = measured(images, repeats, everything.time_cost_items)
    parts = {part: [row[part] for row in rows] for part in everything.cost_items()}
    report["parts"] = {part: summary(samples) for part, samples in parts.items()}
    median_ms = {part: float(np.median(samples)) for part, samples in parts.items()}
    report["subsets"] = {}
    for name, extractor in (("all", everything), ("kept", Extractor(KEPT))):
        report["subsets"][name] = {
            "features": len(extractor.names),
            **summary(measured(images, repeats, timed(extractor))),
            "sum_of_parts_us": 1e3 * cost_ms(extractor.names, median_ms),
            "budget_us": 1e3 * BUDGET_MS[name],
        }
    report["conditions"]["load_1min_after"] = round(os.getloadavg()[0], 2)
    return report


def print_report(report: dict[str, Any]) -> None:
    for name, value in report["conditions"].items():
        print(f"{name}: {value}")
    print(f"\n| {'part':<24} | median us | mean us | p90 us |\n|{'-' * 26}|----------:|--------:|-------:|")
    for part, row in report["parts"].items():
        print(f"| {part:<24} | {row['median_us']:9.1f} | {row['mean_us']:7.1f} | {row['p90_us']:6.1f} |")
    print("\n| features | median us | mean us | p90 us | sum of the parts' medians us | budget us | met (median) |")
    print("|---------:|----------:|--------:|-------:|-----------------------------:|----------:|--------------|")
    for row in report["subsets"].values():
        met = "yes" if row["median_us"] <= row["budget_us"] else "NO"
        print(
            f"| {row['features']:8d} | {row['median_us']:9.1f} | {row['mean_us']:7.1f} | {row['p90_us']:6.1f} "
            f"| {row['sum_of_parts_us']:28.1f} | {row['budget_us']:9.0f} | {met:<12} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEG or PNG images; generated ones without it")
    parser.add_argument("--limit", type=int, default=300, help="images measured (default 300)")
    parser.add_argument("--side", type=int, default=224, help="side of generated images in pixels (default 224)")
    parser.add_argument(
        "--repeats", type=int, default=5, help="rounds over all images after one to warm up (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.images is None:
        images, source = generated_images(options.limit, options.side), "generated"
    else:
        images, source = stored_images(options.images, options.limit), options.images.name
    report = run_bench(images, source, options.repeats)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
