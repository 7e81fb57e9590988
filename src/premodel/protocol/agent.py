"""What `premodel agent` states beyond the Open Inference Protocol: one contract, which both sides read and write.

The agent is on the board (`serving/board.py`); its client is the backend `oip` and the passes that profile a board. A
model's metadata hold the table AGENT, an answer's parameters the milliseconds of each stage, and two models are offered
beside the candidates. Whatever comes over the wire is checked here, once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from premodel.errors import ModelError, RunError
from premodel.fields import is_number, is_text, shown

AGENT = "premodel"
"""Table of a model's metadata in which an agent states more than the protocol asks for."""
AGENT_VERSION = 1
"""Raised whenever an older client would misread the agent, or the other way round."""
DECODE_MODEL, FEATURES_MODEL = "@decode", "@features"
"""Models beside the candidates, whose names begin otherwise: the times of decoding, and of the features' parts."""
TENSOR_INPUT, OUTPUT = "input", "output"
DECODE, PREPROCESS, INFERENCE = "decode", "preprocess", "inference"
"""Stages of one answer."""

MAX_STAGE_MS = 1e9
MAX_DEVICE = 128
MAX_ZERO_POINT = 2**31
UNCOMPARED = ("name", "file", "url", "license")
"""Fields of a candidate's entry that may differ between the board's manifest and the workstation's."""


@dataclass(frozen=True)
class Quantisation:
    """Of one tensor; scale 0 for none."""

    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class AgentTable:
    """The table AGENT of one model.

    Attributes
    ----------
    device, conditions:
        Of the board, as stored beside timings.
    preprocessing, extractor:
        Versions of the domain's preparation and of its features.
    image_input:
        Name of the input that takes an encoded sample.
    sha256:
        Digest of the model file; empty for the models beside the candidates.
    candidate:
        The board's manifest entry, without names and paths.
    input, output:
        Quantisation of the tensors.
    """

    device: str
    conditions: Mapping[str, Any]
    preprocessing: Any
    extractor: Any
    image_input: str
    sha256: str = ""
    candidate: Mapping[str, Any] = field(default_factory=dict)
    input: Quantisation = Quantisation()
    output: Quantisation = Quantisation()

    def to_json(self) -> dict[str, Any]:
        """As it travels."""
        table: dict[str, Any] = {
            "agent": AGENT_VERSION,
            "device": self.device,
            "conditions": dict(self.conditions),
            "preprocessing": self.preprocessing,
            "extractor": self.extractor,
            "image_input": self.image_input,
        }
        if self.sha256:
            compared = {name: value for name, value in self.candidate.items() if name not in UNCOMPARED}
            table |= {"sha256": self.sha256, "candidate": compared}
            table |= {
                side: {"scale": one.scale, "zero_point": one.zero_point}
                for side, one in (("input", self.input), ("output", self.output))
            }
        return table


def read_agent(metadata: Mapping[str, Any], where: str) -> AgentTable | None:
    """The table AGENT of a model's metadata, checked; None if the server is no agent.

    Raises
    ------
    ModelError
        The agent is of another version, or states what no agent can.
    """
    table = metadata.get(AGENT)
    if table is None:
        return None
    version = table.get("agent") if isinstance(table, dict) else None
    if not isinstance(table, dict) or type(version) is not int or version != AGENT_VERSION:
        raise ModelError(
            "agent is of another version", where=where, given=shown(version), allowed=AGENT_VERSION,
            do="install the same premodel here and on the board",
        )  # fmt: skip

    def wrong(name: str, value: object, allowed: str) -> ModelError:
        return ModelError(f"agent reports a wrong {name}", where=where, given=shown(value), allowed=allowed)

    def text(name: str, default: str, longest: int) -> str:
        value = table.get(name, default)
        usable = isinstance(value, str) and is_text(value) and value.isprintable() and len(value) <= longest
        if not usable or (not value and default):
            raise wrong(name, value, f"printable text of up to {longest} characters")
        return str(value)

    def mapping(name: str) -> dict[str, Any]:
        value = table.get(name, {})
        if not isinstance(value, dict):
            raise wrong(name, value, "a table")
        return value

    def quantisation(name: str) -> Quantisation:
        value = mapping(name)
        scale, zero_point = value.get("scale", 0.0), value.get("zero_point", 0)
        if not is_number(scale) or scale < 0:
            raise wrong(f"{name}.scale", scale, "a number from 0")
        if not is_number(zero_point) or zero_point != int(zero_point) or abs(zero_point) > MAX_ZERO_POINT:
            raise wrong(f"{name}.zero_point", zero_point, "a whole number")
        return Quantisation(float(scale), int(zero_point))

    conditions = mapping("conditions")
    if not _is_condition(conditions):
        raise wrong("conditions", conditions, "a table of numbers and texts")
    return AgentTable(
        text("device", "unknown", MAX_DEVICE),
        conditions,
        table.get("preprocessing"),
        table.get("extractor"),
        text("image_input", "image", MAX_DEVICE),
        text("sha256", "", MAX_DEVICE),
        mapping("candidate"),
        quantisation("input"),
        quantisation("output"),
    )


def write_times(times_ms: Mapping[str, float]) -> dict[str, float]:
    """Parameters of an answer that state how long its stages took."""
    return {f"{stage}_ms": spent for stage, spent in times_ms.items()}


def read_times(parameters: Any) -> dict[str, float]:
    """Milliseconds of each stage that the parameters of an answer state; what is no duration is left out."""
    stated = parameters if isinstance(parameters, Mapping) else {}
    times_ms = {name.removesuffix("_ms"): finite_ms(value) for name, value in stated.items() if name.endswith("_ms")}
    return {stage: spent for stage, spent in times_ms.items() if not math.isnan(spent)}


def stage_ms(times_ms: Mapping[str, float], stage: str) -> float:
    """The time of a stage; RunError if the board states none."""
    if stage not in times_ms:
        given = ", ".join(list(times_ms)[:8]) or "none"
        raise RunError(f"the board states no time of {stage}", given=shown(given), allowed=f"up to {MAX_STAGE_MS:g} ms")
    return times_ms[stage]


def finite_ms(value: object) -> float:
    """Milliseconds that a server states; NaN if it states none."""
    if not is_number(value) or not isinstance(value, int | float) or not 0 <= value <= MAX_STAGE_MS:
        return math.nan
    return float(value)


def _is_condition(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_condition(one) for name, one in value.items())
    return value is None or is_number(value) or isinstance(value, bool) or (isinstance(value, str) and is_text(value))
