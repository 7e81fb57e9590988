"""What `zoo init` costs for real networks: processor time, runs of the networks, and what was found.

    python benchmarks/init/bench.py IMAGENET [--source OTHER/src ...] [--limit N] [--repeats N]

IMAGENET holds models/, synset_words.txt and labels.csv. Further sources are checkouts to be compared side by side: the
commands take turns, each in a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ("squeezenet1_1.onnx", "mobilenet_v2_1.0_224_quant.tflite", "tf2_mobilenet_v2_1.0_224_ptq.tflite")
OWN_SOURCE = Path(__file__).resolve().parents[2] / "src"


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imagenet", type=Path)
    parser.add_argument("--source", type=Path, action="append", default=[], help="src folder of another checkout")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f} before; {args.limit} images; one thread")
    print(f"{'source':40}  {'processor s':>11}  {'runs':>5}  top-1 on these images")
    for _ in range(args.repeats):
        for source in (OWN_SOURCE, *args.source):
            seconds, models = run(source, args.imagenet, args.limit)
            found = ", ".join(f"{100 * model['accuracy']:.1f}" for model in models)
            print(f"{str(source)[-40:]:40}  {seconds:11.1f}  {sum(model['runs'] for model in models):5d}  {found}")


def run(source: Path, imagenet: Path, limit: int) -> tuple[float, list[dict[str, float]]]:
    """Processor seconds of one command for all models, and its answer."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        words = ["zoo", "init", *(str(imagenet / "models" / name) for name in MODELS)]
        words += ["--labels", str(imagenet / "synset_words.txt"), "--data", str(imagenet)]
        words += ["--data-labels", str(imagenet / "labels.csv"), "--limit", str(limit), "--out", f"{folder}/zoo.toml"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "premodel.cli.main", *words, "--json"],
            capture_output=True, check=True, env=environment, cwd=folder,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, json.loads(done.stdout)["models"]


if __name__ == "__main__":
    main()
