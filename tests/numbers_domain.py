"""Two tiny domains for tests: a row of numbers, as text; its answer is a label, or a text that is scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.clock import now_ms
from premodel.domains.base import Domain, FeatureGroup
from premodel.errors import OptionError, RunError, SampleError
from premodel.fields import Fields
from premodel.records import Prediction

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class NumbersSpec:
    length: int
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.length)


@dataclass(frozen=True)
class NumbersView:
    name: str = ""


class NumbersDomain(Domain):
    task = "number-rows"
    suffixes = frozenset({".row"})

    def decode(self, source: Any) -> Numbers:
        try:
            data = Path(source).read_bytes() if isinstance(source, str | Path) else bytes(source)
            return np.array([float(word) for word in data.split()], np.float32)
        except (OSError, TypeError, ValueError) as error:
            raise SampleError("not a row of numbers", given=error) from error

    def size(self, sample: Numbers) -> Mapping[str, int]:
        return {"numbers": len(sample)}

    def prepare(
        self,
        sample: Numbers,
        spec: NumbersSpec,
        view: NumbersView,
        shared: Any = None,
        quantisation: TensorSpec | None = None,
    ) -> Tensor:
        return np.resize(sample, spec.shape)

    def read_spec(self, fields: Fields) -> NumbersSpec:
        spec = NumbersSpec(fields.integer("length", 1, 1000), fields.text("dtype", "float32"))
        fields.done()
        return spec

    def plain_view(self, name: str = "") -> NumbersView:
        return NumbersView(name)

    def read_view(self, fields: Fields, name: str) -> NumbersView:
        fields.done()
        return NumbersView(name)

    def answer_key(self, view: NumbersView) -> Mapping[str, Any]:
        return {"domain": "number-rows", "version": 1}

    def synthetic(self, seed: int = 0) -> bytes:
        return b"0.5 -0.25 1"


class NumberFeatures:
    """How many numbers there are, and their mean."""

    ALL = ("count", "mean")

    def __init__(self, names: Sequence[str] | None) -> None:
        self.names = self.ALL if names is None else tuple(names)
        if unknown := [name for name in self.names if name not in self.ALL]:
            raise OptionError("unknown feature", given=", ".join(unknown), allowed=", ".join(self.ALL))

    def cost_items(self) -> tuple[str, ...]:
        return self.names

    def extract(self, sample: Numbers) -> NDArray[np.float32]:
        values = {"count": float(len(sample)), "mean": float(sample.mean())}
        return np.array([values[name] for name in self.names], np.float32)

    def time_cost_items(self, sample: Numbers) -> dict[str, float]:
        spent = {}
        for name in self.names:
            start = now_ms()
            NumberFeatures([name]).extract(sample)
            spent[name] = now_ms() - start
        return spent


class TotalsDomain(NumbersDomain):
    """The same rows, with a text for an answer: their total. Its score is how near it is; long rows take longer."""

    task = "number-totals"
    noun = "row"
    plural = "rows"
    answers_labels = False
    graded = ("closeness",)
    latency_varies = True

    @property
    def feature_groups(self) -> tuple[FeatureGroup, ...]:
        return tuple(FeatureGroup(f"{name}:1", (name,), {name: (name,)}) for name in NumberFeatures.ALL)

    @property
    def features_version(self) -> str:
        return "1"

    def extractor(self, names: Sequence[str] | None = None) -> NumberFeatures:
        return NumberFeatures(names)

    def answer_key(self, view: NumbersView) -> Mapping[str, Any]:
        return {"domain": self.task, "version": self.version}

    def outcome(self, raw: Tensor, output: TensorSpec, spec: Any) -> Prediction:
        total, probability = (float(value) for value in raw.reshape(-1))
        if not np.isfinite(total):
            raise RunError("the total is not a finite number")
        said = np.array([probability], np.float32)
        return Prediction(np.zeros(1, np.int32), said, -math.log(probability), f"{total:g}")

    def score(self, prediction: Prediction, truth: int | str, criterion: str) -> float:
        return max(0.0, 1 - abs(float(prediction.outcome or "nan") - float(truth)) / 10)
