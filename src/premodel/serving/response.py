"""A response of the Open Inference Protocol: from answers to its bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.answer import Answer
from premodel.serving.signature import EXPLANATION, OUTCOME_OUTPUTS, OUTPUTS, STAGES, VERSION

JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, eq=False)
class InferResponse:
    """A body and what its headers say.

    Attributes
    ----------
    body:
        JSON, and the binary outputs after it.
    header_length:
        Bytes of the JSON; None if there is nothing after it.
    """

    body: bytes
    header_length: int | None

    @property
    def headers(self) -> dict[str, str]:
        """Content type, and where the binary data starts."""
        if self.header_length is None:
            return {"content-type": JSON_TYPE}
        return {"content-type": BINARY_TYPE, "inference-header-content-length": str(self.header_length)}


def write_response(
    model: str,
    request_id: str | None,
    answers: Sequence[Answer],
    outputs: Mapping[str, bool],
    top_k: int,
    candidates: Sequence[str],
) -> InferResponse:
    """Encode the asked outputs of some answers.

    Parameters
    ----------
    model:
        Name of the served model.
    request_id:
        To be echoed; None for none.
    answers:
        One per image.
    outputs:
        Name -> as binary data; a key of signature.OUTPUTS.
    top_k:
        Columns of `probabilities`.
    candidates:
        Those the premodel may run, for the explanation.
    """
    tensors: list[str] = []
    chunks: list[bytes] = []
    for name, as_binary in outputs.items():
        values = output_values(name, answers, top_k, candidates)
        shape = list(values.shape) if isinstance(values, np.ndarray) else [len(values)]
        if as_binary:
            chunk = values.tobytes() if isinstance(values, np.ndarray) else _joined(values)
            chunks.append(chunk)
            content = f'"parameters":{{"binary_data_size":{len(chunk)}}}'
        else:
            content = '"data":' + _ENCODER.encode(values.ravel().tolist() if isinstance(values, np.ndarray) else values)
        tensors.append(f'{{"name":"{name}","datatype":"{_DATATYPES[name]}","shape":{shape},{content}}}')
    told_id = "" if request_id is None else f',"id":{_ENCODER.encode(request_id)}'
    head = f'"model_name":{_ENCODER.encode(model)},"model_version":"{VERSION}"'
    text = f'{{{head},"outputs":[{",".join(tensors)}]{told_id}}}'.encode()
    return InferResponse(b"".join((text, *chunks)), len(text) if chunks else None)


def output_values(
    name: str, answers: Sequence[Answer], top_k: int, candidates: Sequence[str]
) -> NDArray[Any] | list[str]:
    """One output of some answers, a key of signature.OUTPUTS: an array, or texts where its datatype is BYTES."""
    return _explanations(answers, candidates) if name == EXPLANATION else _COLUMNS[name](answers, top_k)


def _joined(texts: Sequence[str]) -> bytes:
    """BYTES elements: four bytes of length, little endian, before each."""
    parts: list[bytes] = []
    for text in texts:
        data = text.encode()
        parts += (pack("<I", len(data)), data)
    return b"".join(parts)


def _labels(answers: Sequence[Answer], top_k: int) -> NDArray[Any]:
    del top_k
    return np.array([-1 if answer.label is None else answer.label for answer in answers], "<i4")


def _classes(answers: Sequence[Answer], top_k: int) -> list[str]:
    del top_k
    return [answer.class_name or "" for answer in answers]


def _candidates(answers: Sequence[Answer], top_k: int) -> list[str]:
    del top_k
    return [answer.candidate or "" for answer in answers]


def _probabilities(answers: Sequence[Answer], top_k: int) -> NDArray[Any]:
    values = np.zeros((len(answers), top_k), "<f4")
    for row, answer in zip(values, answers, strict=True):
        probabilities = answer.top_probabilities
        row[: len(probabilities)] = probabilities
    return values


def _top_labels(answers: Sequence[Answer], top_k: int) -> NDArray[Any]:
    values = np.full((len(answers), top_k), -1, "<i4")
    for row, answer in zip(values, answers, strict=True):
        labels = answer.top_labels
        row[: len(labels)] = labels
    return values


def _latencies(answers: Sequence[Answer], top_k: int) -> NDArray[Any]:
    del top_k
    return np.array([[answer.latency_ms[stage] for stage in STAGES] for answer in answers], "<f4")


def _outcomes(answers: Sequence[Answer], top_k: int) -> list[str]:
    del top_k
    return [answer.outcome or "" for answer in answers]


def _own_probabilities(answers: Sequence[Answer], top_k: int) -> NDArray[Any]:
    del top_k
    return np.array([answer.probability or 0.0 for answer in answers], "<f4")


def _explanations(answers: Sequence[Answer], candidates: Sequence[str]) -> list[str]:
    """The object of `predict --json --explain` without its path, and every candidate there is."""
    texts = []
    for answer in answers:
        data = answer.to_json("", explain=True)
        del data["path"]
        texts.append(json.dumps({"candidates": list(candidates), **data}, allow_nan=False))
    return texts


_COLUMNS: dict[str, Callable[[Sequence[Answer], int], NDArray[Any] | list[str]]] = {
    "label": _labels,
    "class": _classes,
    "probabilities": _probabilities,
    "top_labels": _top_labels,
    "candidate": _candidates,
    "latency_ms": _latencies,
    "outcome": _outcomes,
    "probability": _own_probabilities,
}
_DATATYPES = {**OUTPUTS, **OUTCOME_OUTPUTS}
