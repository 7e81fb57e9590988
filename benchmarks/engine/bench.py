"""What the engine costs beyond the work it arranges, and what importing and loading cost.

Two measurements. Overhead: one whole call of `predict` against the same steps written out by hand (decode, features,
selection, preprocess, run) on the same image, in random order, so that both meet the same machine. Import and load: a
fresh process each time, from before `import premodel` to after `premodel.load`, with its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from premodel.backends.replay import record
from premodel.clock import now_ms
from premodel.domains.image.decode import decode
from premodel.domains.image.features.extractor import EXTRACTOR_VERSION, Extractor
from premodel.domains.image.preprocess import Pyramid, preprocess
from premodel.domains.image.spec import InputSpec
from premodel.domains.image.views import View
from premodel.files import file_sha256
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Select
from premodel.runtime.selectors.knn import KnnSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.zoo.candidate import Candidate, Model

BUDGET_MS = 0.05
BUDGET_LOAD_SECONDS = 0.4
BUDGET_MB = 90.0
FEATURES = (
    "n_keypoints",
    "avg_perceived_brightness",
    "contrast",
    "area_by_perim",
    "aspect_ratio",
    "edge_length1",
    "hue1",
)
LABELS = 1000
CANDIDATES = 3
SIDE = 224
LOADING = """
import time
start = time.perf_counter()
import premodel
clf = premodel.load({path!r}, threads=1)
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(seconds, time.process_time(), peak / 1024)
"""


def generated_images(count: int) -> list[bytes]:
    """JPEGs of smooth noise."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        small = rng.integers(0, 256, (28, 28, 3), np.uint8)
        images.append(cv2.imencode(".jpg", cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC))[1].tobytes())
    return images


def make_bundle(folder: Path, images: list[bytes], rows: int) -> Path:
    """A select premodel with a KNN of `rows` x 7 over candidates that answer at once."""
    rng = np.random.default_rng(1)
    spec = InputSpec((SIDE, SIDE), "NHWC", "uint8", "RGB", "center-crop", 0.875, "bilinear")
    tensors = [preprocess(decode(image), spec) for image in images]
    candidates = []
    for index in range(CANDIDATES):
        file = folder / f"m{index}.npz"
        record(file, tensors, rng.dirichlet(np.full(LABELS, 0.1), len(images)).astype(np.float32))
        model = Model(f"m{index}", file, "replay", spec, "softmax", sha256=file_sha256(file))
        candidates.append(Candidate(model, View(), LABELS))
    extractor = Extractor(FEATURES)
    seen = np.stack([extractor.extract(decode(image).rgb) for image in images])
    drawn = seen[rng.integers(0, len(seen), rows)] + rng.normal(0, 0.1, (rows, len(FEATURES))) * seen.std(axis=0)
    features = drawn.astype(np.float32)
    scaler = MinMaxScaler.of(features)
    selector = KnnSelector(FEATURES, scaler, scaler(features), rng.random((rows, CANDIDATES)) < 0.5)
    names = tuple(candidate.name for candidate in candidates)
    policy = Select(names, selector, rule="first-yes", costs=Costs((1.0, 2.0, 4.0), 0.3), fallback=names[-1])
    labels = tuple(f"class {index}" for index in range(LABELS))
    bundle = Bundle(policy, tuple(candidates), labels, "top1", EXTRACTOR_VERSION)
    path = folder / f"knn{rows}.premodel"
    write_bundle(path, bundle, folder=folder)
    return path


def by_hand(clf: Premodel) -> Callable[[bytes], None]:
    """The steps of one answer without the engine."""
    extractor, policy = Extractor(clf.policy.features) if clf.policy.features else None, clf.policy
    opened = [clf.open_candidate(name) for name in clf.candidates]

    def answer(data: bytes) -> None:
        image = decode(data)
        chosen = 0
        if extractor is not None and isinstance(policy, Select):
            scores = policy.selector.score(extractor.extract(image.rgb))
            yes = scores > policy.threshold
            chosen = int(yes.argmax()) if yes.any() else len(opened) - 1
        opened[chosen].predict(image, Pyramid(image))

    return answer


def overhead(
    path: Path, images: list[bytes], rounds: int, by_hand: Callable[[Premodel], Callable[[bytes], None]] = by_hand
) -> dict[str, float]:
    """Milliseconds of a call of `predict`, of the same steps by hand, and the difference."""
    rng = np.random.default_rng(2)
    with Premodel(path, threads=1) as clf:
        runs: dict[str, Callable[[bytes], Any]] = {"engine": clf.predict, "by_hand": by_hand(clf)}
        spent: dict[str, list[float]] = {name: [] for name in runs}
        cpu: dict[str, list[float]] = {name: [] for name in runs}
        for round_ in range(rounds + 1):
            for image in images:
                for name in rng.permutation(list(runs)):
                    start, cpu_start = now_ms(), time.thread_time_ns()
                    runs[name](image)
                    if round_:
                        spent[name].append(now_ms() - start)
                        cpu[name].append((time.thread_time_ns() - cpu_start) / 1e6)
    difference = np.array(spent["engine"]) - np.array(spent["by_hand"])
    medians = {name: statistics.median(values) for name, values in spent.items()}
    return {
        "engine_ms": medians["engine"],
        "by_hand_ms": medians["by_hand"],
        "overhead_ms": float(np.median(difference)),
        "overhead_cpu_ms": float(np.median(np.array(cpu["engine"]) - np.array(cpu["by_hand"]))),
        "answers": len(difference),
    }


def loading(path: Path, times: int) -> dict[str, float]:
    """Seconds and MB of a fresh process; the first, which may read from disk, is left out."""
    found = []
    for _ in range(times + 1):
        code = LOADING.format(path=str(path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found.append(tuple(float(word) for word in done.stdout.split()))
    seconds, cpu_seconds, megabytes = zip(*found[1:], strict=True)
    return {
        "seconds": statistics.median(seconds),
        "worst_seconds": max(seconds),
        "process_cpu_seconds": statistics.median(cpu_seconds),
        "mb": max(megabytes),
        "times": times,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="measure loading of this bundle as well")
    parser.add_argument("--rounds", type=int, default=20, help="over 64 images (default: 20)")
    parser.add_argument("--times", type=int, default=10, help="fresh processes (default: 10)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    images = generated_images(64)
    report: dict[str, Any] = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "budget": {"overhead_ms": BUDGET_MS, "seconds": BUDGET_LOAD_SECONDS, "mb": BUDGET_MB},
        "loading": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        small, large = (make_bundle(Path(folder), images, rows) for rows in (1_500, 50_000))
        report["overhead"] = overhead(small, images, args.rounds)
        for path in (small, large, *([args.bundle] if args.bundle else [])):
            report["loading"][path.name] = loading(path, args.times)
    if args.json:
        print(json.dumps(report))
        return
    print(", ".join(f"{name} {report[name]}" for name in ("cpu", "cores", "load", "python", "numpy", "opencv")))
    cost = report["overhead"]
    print(
        f"one answer: engine {cost['engine_ms']:.3f} ms, by hand {cost['by_hand_ms']:.3f} ms; overhead "
        f"{cost['overhead_ms']:.3f} ms ({cost['overhead_cpu_ms']:.3f} of CPU time) over {cost['answers']} answers; "
        f"at most {BUDGET_MS}: {'met' if cost['overhead_ms'] <= BUDGET_MS else 'NOT met'}"
    )
    for name, figures in report["loading"].items():
        met = figures["seconds"] <= BUDGET_LOAD_SECONDS and figures["mb"] <= BUDGET_MB
        print(
            f"import and load of {name}: {figures['seconds']:.3f} s (worst {figures['worst_seconds']:.3f}; CPU time of "
            f"the whole process {figures['process_cpu_seconds']:.3f} s), {figures['mb']:.1f} MB; at most "
            f"{BUDGET_LOAD_SECONDS} s and {BUDGET_MB:g} MB: {'met' if met else 'NOT met'}"
        )


if __name__ == "__main__":
    main()
