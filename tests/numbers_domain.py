"""A tiny domain for tests: a row of numbers, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.domains.base import Domain
from premodel.errors import SampleError
from premodel.fields import Fields

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
            data = source.read_bytes() if isinstance(source, Path) else bytes(source)
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
