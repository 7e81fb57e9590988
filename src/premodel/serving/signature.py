"""Names, types and shapes of a served model's input and outputs: the one place that metadata and answers share."""

from __future__ import annotations

from typing import Any

INPUT = "image"
EXPLANATION = "explanation"
OUTPUTS = {
    "label": "INT32",
    "class": "BYTES",
    "probabilities": "FP32",
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
DEFAULT_OUTPUTS = tuple(name for name in OUTPUTS if name != EXPLANATION)
STAGES = ("decode", "features", "select", "predict", "total")
VERSION = "1"
PLATFORM = "premodel"


def metadata(name: str, top_k: int, noun: str = INPUT) -> dict[str, Any]:
    """The protocol's model metadata; `noun` is the input's name."""
    columns = {"probabilities": [top_k], "top_labels": [top_k], "latency_ms": [len(STAGES)]}
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": noun, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": [-1, *columns.get(output, [])]}
            for output, datatype in OUTPUTS.items()
        ],
    }
