"""Bundles over small zoos of recorded answers, and the profile that goes with them.

`from bundles import make_bundle` in any test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from premodel.domains.image.decode import decode
from premodel.domains.image.features.extractor import Extractor
from premodel.errors import RunError
from premodel.records import TOP_K, Timing
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.candidate import open_candidates
from premodel.runtime.policies.base import Policy
from premodel.training.tables import FeatureCosts, Tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

FEATURES = ("avg_brightness", "contrast", "n_keypoints")


@dataclass(frozen=True, eq=False)
class Made:
    """A bundle and all it was made of."""

    path: Path
    small: SmallZoo
    tables: Tables
    policy: Policy


def small_zoo(folder: Path, n: int = 24, m: int = 3, seed: int = 0, **more: Any) -> SmallZoo:
    """A zoo in which dearer candidates are right more often, independent of the images."""
    rng = np.random.default_rng(seed)
    correct = rng.random((n, m)) < np.linspace(0.5, 0.9, m)
    return write_zoo(folder, correct=correct, seed=seed, **more)


def profile_of(small: SmallZoo) -> Tables:
    """The profile of a small zoo: its images through the opened candidates, latencies made up."""
    zoo = read_zoo(small.zoo)
    opened = open_candidates(zoo.candidates)
    extractor = Extractor(FEATURES)
    n, m, k = len(small.images), len(opened), min(TOP_K, len(zoo.labels))
    labels, probabilities = np.full((n, m, k), -1, np.int32), np.zeros((n, m, k), np.float32)
    entropy, rank = np.zeros((n, m), np.float32), np.full((n, m), len(zoo.labels), np.int32)
    features = np.zeros((n, len(FEATURES)), np.float32)
    for row, file in enumerate(small.images):
        image = decode(file)
        features[row] = extractor.extract(image.rgb)
        for column, candidate in enumerate(opened):
            try:
                prediction = candidate.predict(image)
            except RunError:
                continue
            labels[row, column], probabilities[row, column] = prediction.labels, prediction.probabilities
            entropy[row, column] = prediction.entropy
            rank[row, column] = prediction.labels.tolist().index(int(small.truth[row]))
    for candidate in opened:
        candidate.close()
    latency_ms = 2.0 ** np.arange(m)
    return Tables(
        samples=tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in small.images),
        truth=small.truth,
        label_names=zoo.labels,
        candidates=tuple(candidate.name for candidate in zoo.candidates),
        networks=tuple(candidate.model.digest for candidate in zoo.candidates),
        top_labels=labels,
        top_probabilities=probabilities,
        entropy=entropy,
        rank=rank,
        latency_ms=latency_ms,
        decode_ms=0.25,
        timings=tuple(Timing(100, ms, ms, ms, ms, ms, ms, True) for ms in latency_ms.tolist()),
        features=features,
        feature_names=FEATURES,
        feature_costs=FeatureCosts(dict.fromkeys(FEATURES, 0.1), {name: (name,) for name in FEATURES}),
        memory_mb=np.full(m, np.nan),
        energy_mj=np.full(m, np.nan),
        conditions={"device": "test", "extractor": zoo.domain.features_version, "zoo": {"file": str(small.zoo)}},
    )


def bundle_of(small: SmallZoo, tables: Tables, policy: Policy) -> Bundle:
    """The bundle of a policy, not yet written."""
    zoo = read_zoo(small.zoo)
    return Bundle(
        policy=policy,
        candidates=zoo.candidates,
        label_names=tables.label_names,
        criterion="top1",
        extractor_version=zoo.domain.features_version if policy.features else None,
        objective={"min_accuracy": "best"},
        training_record={"summary": ["made for a test"]},
        conditions={"device": "test"},
        sizes={},
    )


def make_bundle(folder: Path, maker: Callable[[Tables], Policy], *, embed: bool = False, **zoo: Any) -> Made:
    """A zoo beneath `folder`/zoo, its profile, a policy by `maker`, and its bundle `folder`/small.premodel."""
    small = small_zoo(folder / "zoo", **zoo)
    tables = profile_of(small)
    policy = maker(tables)
    path = folder / "small.premodel"
    write_bundle(path, bundle_of(small, tables, policy), folder=small.zoo.parent, embed=embed)
    return Made(path, small, tables, policy)
