"""Names, types and shapes of a served model's input and outputs: the one place that metadata and answers share."""

from __future__ import annotations

from typing import Any

INPUT = "image"
EXPLANATION = "explanation"
PROBABILITIES = "probabilities"
OUTPUTS = {
    "label": "INT32",
    "class": "BYTES",
    PROBABILITIES: "FP32",
    "top_labels": "INT32",
    "candidate": "BYTES",
    "latency_ms": "FP32",
    EXPLANATION: "BYTES",
}
"""Output -> datatype. For n images and k = min(20, labels):

`label` [n], -1 for an abstention; `class` and `candidate` [n], empty for an abstention; `probabilities` and
`top_labels` [n, k] by falling probability, 0 and -1 for an abstention; `latency_ms` [n, 5], by STAGES; `explanation`
[n], JSON.
"""
OUTCOME_OUTPUTS = {
    "outcome": "BYTES",
    "probability": "FP32",
    "candidate": "BYTES",
    "latency_ms": "FP32",
    EXPLANATION: "BYTES",
}
"""The same where answers are no labels: `outcome` [n] and its `probability` [n]; of an abstention empty, and 0."""
DEFAULT_OUTPUTS = tuple(name for name in OUTPUTS if name != EXPLANATION)
STAGES = ("decode", "features", "select", "predict", "total")
VERSION = "1"
PLATFORM = "premodel"


def outputs_of(answers_labels: bool) -> dict[str, str]:
    """Output -> datatype."""
    return OUTPUTS if answers_labels else OUTCOME_OUTPUTS


def default_outputs(answers_labels: bool) -> tuple[str, ...]:
    """What a request gets that names none: all but the explanation."""
    return tuple(name for name in outputs_of(answers_labels) if name != EXPLANATION)


def metadata(name: str, top_k: int, noun: str = INPUT, *, answers_labels: bool = True) -> dict[str, Any]:
    """The protocol's model metadata; `noun` is the input's name."""
    columns = {"probabilities": [top_k], "top_labels": [top_k], "latency_ms": [len(STAGES)]}
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": noun, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": [-1, *columns.get(output, [])]}
            for output, datatype in outputs_of(answers_labels).items()
        ],
    }
