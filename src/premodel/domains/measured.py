"""Samples whose answers were measured elsewhere: a table of scores and costs, on which nothing can be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from premodel.backends.base import Tensor, TensorSpec
from premodel.domains.base import MEASURED_TASK, Domain
from premodel.errors import SampleError
from premodel.fields import Fields


@dataclass(frozen=True)
class NoSpec:
    """The input of a model that is not here."""

    dtype: str = "float32"
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class NoView:
    """The one view there is."""

    name: str = ""


class MeasuredDomain(Domain):
    """Scores that a table brings; whatever would run a model is refused."""

    task = MEASURED_TASK
    noun = "sample"
    plural = "samples"
    answers_labels = False
    graded = ("score",)
    latency_varies = True
    lengths = ("words", "characters")

    def decode(self, source: Any) -> Any:
        """Refused."""
        del source
        raise SampleError("these answers were measured elsewhere", do="profile models of your own to have them run")

    def size(self, sample: Any) -> Mapping[str, int]:
        """Unknown."""
        del sample
        return {}

    def prepare(
        self, sample: Any, spec: Any, view: Any, shared: Any = None, quantisation: TensorSpec | None = None
    ) -> Tensor:
        """Refused."""
        del spec, view, shared, quantisation
        raise SampleError("these answers were measured elsewhere", given=sample)

    def read_spec(self, fields: Fields) -> NoSpec:
        """Nothing."""
        spec = NoSpec(fields.text("dtype", "float32"))
        fields.value("shape", [])
        fields.done()
        return spec

    def plain_view(self, name: str = "") -> NoView:
        """The one."""
        return NoView(name)

    def read_view(self, fields: Fields, name: str) -> NoView:
        """The one."""
        fields.done()
        return NoView(name)

    def answer_key(self, view: Any) -> Mapping[str, Any]:
        """The task alone: the digest of the table is in the key."""
        del view
        return {"domain": self.task, "version": self.version}

    @property
    def features_version(self) -> str:
        """Features are columns of the table."""
        return "imported"

    def synthetic(self, seed: int = 0) -> bytes:
        """Nothing."""
        del seed
        return b""
