"""A response of the Open Inference Protocol: from answers to its bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.protocol.oip import BINARY_TYPE, HEADER_LENGTH, JSON_TYPE, Values, write_body
from premodel.runtime.answer import Answer
from premodel.serving.request import InferRequest
from premodel.serving.signature import EXPLANATION, PROBABILITIES, STAGES, VERSION


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
        return {"content-type": BINARY_TYPE, HEADER_LENGTH.lower(): str(self.header_length)}


def write_response(
    model: str,
    request: InferRequest,
    answers: Sequence[Answer],
    top_k: int,
    candidates: Sequence[str],
    names: Sequence[str],
) -> InferResponse:
    """Encode the asked outputs of some answers.

    Parameters
    ----------
    model:
        Name of the served model.
    request:
        What was asked: outputs, and the id to be echoed.
    answers:
        One per image.
    top_k:
        Columns of `probabilities`.
    candidates:
        Those the premodel may run, for the explanation.
    names:
        Of the labels.

    Notes
    -----
    The response's parameter `failed` names candidates that should have run and could not.
    """
    values: dict[str, Values] = {name: output_values(name, answers, top_k, candidates) for name in request.outputs}
    if request.classes is not None:
        values[PROBABILITIES] = classified(answers, min(top_k, request.classes), names)
    head: dict[str, Any] = {"model_name": model, "model_version": VERSION}
    failed = {name: None for answer in answers for name in answer.failed}
    if failed:
        head["parameters"] = {"failed": ", ".join(failed)}
    if request.id is not None:
        head["id"] = request.id
    body, length = write_body(head, "outputs", values, request.outputs)
    return InferResponse(body, length if any(request.outputs.values()) else None)


def classified(answers: Sequence[Answer], count: int, names: Sequence[str]) -> NDArray[Any]:
    """Texts (n, count), "PROBABILITY:LABEL:CLASS" by falling probability; empty where there is no answer.

    Notes
    -----
    As Triton's classification extension writes them.
    """
    texts = np.full((len(answers), count), "", object)
    for row, answer in zip(texts, answers, strict=True):
        pairs = list(zip(answer.top_probabilities, answer.top_labels, strict=True))[:count]
        row[: len(pairs)] = [f"{probability:f}:{label}:{names[label]}" for probability, label in pairs]
    return texts


def output_values(
    name: str, answers: Sequence[Answer], top_k: int, candidates: Sequence[str]
) -> NDArray[Any] | list[str]:
    """One output of some answers, a key of signature.OUTPUTS: an array, or texts where its datatype is BYTES."""
    return _explanations(answers, candidates) if name == EXPLANATION else _COLUMNS[name](answers, top_k)


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
