"""Premodel against the thirty lines that people write themselves, on the same networks and images.

Two contests. One network: decode, crop, resize, values, run and softmax on bare onnxruntime, against a premodel of that
one candidate. Two networks: a cascade that asks the second one where the first is not confident, its threshold chosen
on a profile of other images, against a premodel of policy `cascade` that was trained on the same profile. All runners
take turns on every image, in random order, on one thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.training.options import TrainOptions
from premodel.training.package import package
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo, read_zoo

RESAMPLES = 2000
HOW = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST}
Answer = Callable[[bytes], int]


class ByHand:
    """One network as people write it down: an image's bytes to probabilities."""

    def __init__(self, candidate: Candidate) -> None:
        spec = candidate.input
        if spec.layout != "NCHW" or spec.dtype != "float32" or spec.resize not in ("center-crop", "squash"):
            raise SystemExit(f"{candidate.name}: only float32 NCHW inputs of a centre crop or the whole image")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(candidate.model.file), options, ["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.size, self.how = (spec.size[1], spec.size[0]), HOW[spec.interpolation]
        self.squash, self.fraction, self.channels = spec.resize == "squash", spec.crop_fraction, spec.channels
        self.mean = 255 * np.array(spec.mean or (0.0,), np.float32)
        self.factor = 1 / (255 * np.array(spec.std or (1.0,), np.float32))
        self.offset, self.logits = candidate.model.label_offset, candidate.model.activation == "none"

    def __call__(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of the labels, of decoded RGB pixels."""
        height, width = image.shape[:2]
        if self.squash:
            tall, wide = round(self.fraction * height), round(self.fraction * width)
        else:
            tall = wide = round(self.fraction * min(height, width))
        top, left = (height - tall) // 2, (width - wide) // 2
        pixels = cv2.resize(image[top : top + tall, left : left + wide], self.size, interpolation=self.how)
        if self.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        elif self.channels == "GRAY":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
        values = (pixels.astype(np.float32) - self.mean) * self.factor
        tensor = np.ascontiguousarray(values.transpose(2, 0, 1))[None]
        found = self.session.run(None, {self.input: tensor})[0].reshape(-1)[self.offset :]
        if self.logits:
            found = np.exp(found - found.max())
            found /= found.sum()
        return found


def decoded(data: bytes) -> NDArray[Any]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit("by_hand: every image must be one that OpenCV decodes")
    return image


def loop_of(candidate: Candidate) -> Answer:
    network = ByHand(candidate)
    return lambda data: int(network(decoded(data)).argmax())


def cascade_of(small: Candidate, large: Candidate, threshold: float) -> Answer:
    first, second = ByHand(small), ByHand(large)

    def answer(data: bytes) -> int:
        image = decoded(data)
        found = first(image)
        label = int(found.argmax())
        return label if found[label] >= threshold else int(second(image).argmax())

    return answer


def best_threshold(tables: Tables) -> float:
    """The quickest threshold whose accuracy on the profile is that of the more accurate network, or above."""
    right = tables.correct("top1")
    confidence = tables.top_probabilities[:, 0, 0].astype(np.float64)
    floor, best = right.mean(axis=0).max(), (np.inf, 1.1)
    for threshold in np.unique(np.append(confidence, 1.1)):
        asks = confidence < threshold
        accuracy = np.where(asks, right[:, 1], right[:, 0]).mean()
        spent = tables.latency_ms[0] + asks.mean() * tables.latency_ms[1]
        if accuracy >= floor:
            best = min(best, (float(spent), float(threshold)))
    return best[1]


def single_bundle(folder: Path, zoo: Zoo, candidate: Candidate) -> Path:
    policy = Single((candidate.name,), (0.5,), Costs((1.0,), 1.0))
    path = folder / f"{candidate.name}.premodel"
    write_bundle(path, Bundle(policy, (candidate,), tuple(zoo.labels), "top1", None), embed=True)
    return path


def cascade_bundle(folder: Path, zoo: Zoo, dataset: Dataset, limit: int, policy: str) -> tuple[Path, Tables]:
    """Profile some images and train on them."""
    path = folder / "pair.premodel"
    with Store(folder / "profile.db", create=True) as store:
        profile(zoo, dataset, store, ProfileOptions(("predictions", "timings", "features"), limit, energy="off"))
        tables, candidates = load_tables(store), load_candidates(store)
    options = TrainOptions(policy=policy)
    trained = train(tables, options)
    package(trained, tables, candidates, options, path, embed=True)
    print("\n".join(f"  {line}" for line in trained.summary))
    return path, tables


def contest(runners: Mapping[str, Answer], images: Sequence[bytes], rounds: int) -> tuple[Any, dict[str, list[int]]]:
    """Milliseconds (runners, images, rounds) in random turns, and every runner's answers."""
    rng = np.random.default_rng(0)
    spent = np.empty((len(runners), len(images), rounds))
    said = {name: [runner(data) for data in images] for name, runner in runners.items()}
    calls = list(runners.values())
    for round_ in range(rounds):
        for index, data in enumerate(images):
            for which in rng.permutation(len(calls)):
                start = now_ms()
                calls[which](data)
                spent[which, index, round_] = now_ms() - start
    return spent, said


def show(
    title: str, runners: Mapping[str, Answer], images: Sequence[bytes], labels: Sequence[int], rounds: int
) -> None:
    """One row a runner; ratios are to the first."""
    spent, said = contest(runners, images, rounds)
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, len(images), (RESAMPLES, len(images)))
    first = next(iter(runners))
    print(f"\n{title}: {len(images)} images, {rounds} rounds\n")
    print("| runner | mean of medians, ms | fastest, ms | ratio of medians | ratio of fastest | accuracy | as first |")
    print("|---|---|---|---|---|---|---|")
    for index, name in enumerate(runners):
        cells = []
        for reduced in (np.median(spent, axis=2), spent.min(axis=2)):
            ratio = reduced[index].mean() / reduced[0].mean()
            resampled = reduced[index][drawn].mean(axis=1) / reduced[0][drawn].mean(axis=1)
            low, high = np.quantile(resampled, [0.025, 0.975])
            cells.append((reduced[index].mean(), f"{ratio:.3f} [{low:.3f}, {high:.3f}]"))
        right = np.mean([one == label for one, label in zip(said[name], labels, strict=True)])
        same = np.mean([one == other for one, other in zip(said[name], said[first], strict=True)])
        print(
            f"| {name} | {cells[0][0]:.3f} | {cells[1][0]:.3f} | {cells[0][1]} | {cells[1][1]} | "
            f"{100 * right:.1f} % | {100 * same:.1f} % |",
            flush=True,
        )


def main() -> None:
    """Both contests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", help="manifest of ONNX candidates")
    parser.add_argument("data", help="labelled images")
    parser.add_argument("--labels")
    parser.add_argument("--one", required=True, help="candidate of the loop of one network")
    parser.add_argument("--two", nargs=2, metavar=("SMALL", "LARGE"), help="candidates of the cascade (default: none)")
    parser.add_argument("--policy", default="cascade", help="of the premodel of two (default: cascade)")
    parser.add_argument("--profile", type=int, default=500, help="images that are profiled, for --two (default: 500)")
    parser.add_argument("--images", type=int, default=100, help="others that are timed (default: 100)")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    zoo = read_zoo(options.zoo, require_files=True)
    dataset = read_dataset(options.data, options.labels, label_names=zoo.labels)
    profiled = set(dataset.draw(options.profile)) if options.two else set()
    others = [row for row in dataset.draw(len(profiled) + options.images) if row not in profiled]
    payloads = [payload for payload in dataset.read(others) if payload.data is not None]
    images, labels = [p.data for p in payloads if p.data], [int(dataset.labels[p.row]) for p in payloads]
    candidates = {candidate.name: candidate for candidate in zoo.candidates}
    print(f"1-minute load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder, one = Path(name), candidates[options.one]
        with Premodel(single_bundle(folder, zoo, one), threads=1) as clf:
            runners: dict[str, Answer] = {
                "loop by hand": loop_of(one), "premodel, single": lambda data: clf.predict(data).label or 0,
            }  # fmt: skip
            show(f"one network, {one.name}", runners, images, labels, options.rounds)
        if options.two:
            pair = replace(zoo, candidates=tuple(candidates[name] for name in options.two))
            path, tables = cascade_bundle(folder, pair, dataset, options.profile, options.policy)
            threshold = best_threshold(tables)
            with Premodel(path, threads=1) as clf:
                small, large = (candidates[name] for name in options.two)
                runners = {
                    f"cascade by hand, threshold {threshold:.3f}": cascade_of(small, large, threshold),
                    f"premodel, {options.policy}": lambda data: clf.predict(data).label or 0,
                    f"{large.name} by hand": loop_of(large),
                }
                show(f"two networks, {small.name} and {large.name}", runners, images, labels, options.rounds)


if __name__ == "__main__":
    main()
