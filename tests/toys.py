"""One toy of everything that can be added, as another package would bring it; a plugin of pytest.

`pytest -p toys` registers them before anything else is imported, and the contract suites take them in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from premodel.backends import registry as backends
from premodel.backends.replay import ReplayBackend
from premodel.cli.main import COMMANDS
from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features import registry as features
from premodel.domains.image.features.intermediates import Intermediates
from premodel.profiling.datasets import registry as datasets
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.labels import LabelList
from premodel.runtime.policies import registry as policies
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Run, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.runtime.selectors import registry as selectors
from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.inputs import checked
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.options import TrainOptions
from premodel.training.policies import registry as trainers
from premodel.training.record import Trained, TrainingRecord
from premodel.training.selectors import registry as techniques
from premodel.training.selectors.base import check_training
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer


class ToyPolicy(Single):
    """The cheapest candidate that keeps the budget, then the next that has not failed."""

    kind = "toy"

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        for candidate, prediction in so_far.predictions.items():
            return Stop(prediction, candidate, reason="the cheapest answered")
        within = self.costs.within(self.candidates, options.max_latency_ms)
        for candidate in np.argsort(np.asarray(self.costs.latency_ms), kind="stable").tolist():
            if within[candidate] and candidate not in so_far.failed:
                return Run(candidate, reason="the cheapest")
        return Stop(None, None, reason="every candidate failed")


class ToyRecord(TrainingRecord):
    def lines(self) -> list[str]:
        return ["decides: the cheapest"]

    def to_json(self) -> dict[str, Any]:
        return {"toy": True}


def make_policy(tables: Tables) -> ToyPolicy:
    accuracy = tables.correct("top1").mean(axis=0).tolist()
    return ToyPolicy(tables.candidates, accuracy, Costs(tuple(tables.latency_ms.tolist()), tables.decode_ms))


def train_policy(tables: Tables, options: TrainOptions) -> Trained:
    options.refuse(technique="a toy needs none", labels="a toy needs none", fallback="a toy needs none")
    return Trained(make_policy(tables), ToyRecord())


class ToySelector(Selector):
    """Score: how near an input is to the mean of the rows with a yes, beside the mean of the others; or a constant."""

    kind = "toy"

    def __init__(
        self, names: tuple[str, ...], scaler: MinMaxScaler, means: NDArray[np.float64], always: NDArray[np.float64]
    ) -> None:
        self.features = names
        self.n_candidates = len(means)
        self._scaler, self._means, self._always = scaler, means, always

    def score(self, features: Features) -> Scores:
        near = np.abs(self._scaler(checked(features, self.features)) - self._means).sum(axis=2)
        return np.where(self._always < 0, near[:, 0] / np.maximum(near.sum(axis=1), 1e-9), self._always)

    def settings(self) -> dict[str, Any]:
        return {"features": list(self.features)}

    def arrays(self) -> Arrays:
        return {**self._scaler.arrays(), "means": self._means, "always": self._always}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        means = components.finite("means", np.float64, (None, 2, len(names)))
        always = components.within("always", np.float64, (len(means),), -1, 1)
        components.require(len(means) > 0, "there are no candidates")
        return cls(names, MinMaxScaler.from_components(components, len(names)), means, always)


def fit_selector(features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0) -> ToySelector:
    del seed
    check_training(features, labels, names)
    scaler = MinMaxScaler.of(features)
    scaled = scaler(features).astype(np.float64)
    means, always = np.zeros((labels.shape[1], 2, len(names))), np.full(labels.shape[1], -1.0)
    for index, column in enumerate(labels.T):
        if column.all() or not column.any():
            always[index] = float(column.all())
        else:
            means[index] = scaled[~column].mean(axis=0), scaled[column].mean(axis=0)
    return ToySelector(names, scaler, means, always)


class ToyBackend(ReplayBackend):
    """Recorded answers under another name."""

    name: ClassVar[str] = "toy"


class ToyFamily(FeatureFamily):
    """`toy_red`: mean of the red channel of the thumbnail."""

    name = "toy"
    features = (Feature("toy_red", "fraction of 255", 0.0, 1.0),)
    needs = ("thumbnail",)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        return [float(shared.thumbnail[..., 0].mean()) / 255]


def read_toy(path: Path, labels: LabelList, options: DatasetOptions) -> Dataset:
    """Lines of `path|label`."""
    del options
    lines = [line.split("|") for line in path.read_text().splitlines()]
    truth = labels.resolve([label for _, label in lines], lambda row: f"{path}, line {row + 1}")
    names = tuple(name for name, _ in lines)
    return Dataset(path, "toy", names, truth, FileSource([path.parent / name for name in names]))


def register_all() -> None:
    policies.register(ToyPolicy)
    trainers.register(Trainer("toy", "the cheapest", train_policy, has_operating_points=False))
    selectors.register("toy", lambda: ToySelector)
    techniques.register(techniques.Technique("toy", lambda: fit_selector, is_level=True))
    backends.register("toy", "toys:ToyBackend")
    features.register(ToyFamily)
    datasets.register(".toy", read_toy)
    COMMANDS["toy"] = "a command of another package"
    command = ModuleType("premodel.cli.toy")

    def register(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("word")

    def run(args: argparse.Namespace) -> int:
        print(f"toy: {args.word}")
        return 0

    vars(command).update(register=register, run=run)
    sys.modules[command.__name__] = command


def pytest_configure() -> None:
    """Register the toys, and put them into the contract suites."""
    register_all()
    import policy_makers
    import tiny_network

    policy_makers.MAKERS["toy"] = make_policy
    tiny_network.WRITERS["toy"] = tiny_network.WRITERS["replay"]
