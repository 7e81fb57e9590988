"""What a board offers: the candidates of its zoo as models of the protocol, with times measured on the board."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec, check_tensor
from premodel.backends.texts import pack_answer
from premodel.clock import now_ms
from premodel.domains.base import Domain
from premodel.errors import InputError, RunError
from premodel.protocol.agent import (
    AGENT,
    DECODE,
    DECODE_MODEL,
    FEATURES_MODEL,
    INFERENCE,
    OUTPUT,
    PREPROCESS,
    TENSOR_INPUT,
    AgentTable,
    Quantisation,
    write_times,
)
from premodel.protocol.oip import datatype_of, read_tensor, write_body
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.conditions import device_name, measure_conditions
from premodel.runtime.lazy_candidates import LazyCandidates
from premodel.serving.body import unpack
from premodel.serving.images import check_encoded, read_images
from premodel.serving.limits import Limits
from premodel.serving.received import Received
from premodel.serving.request import read_form
from premodel.serving.response import InferResponse
from premodel.serving.signature import PLATFORM, VERSION
from premodel.zoo.candidate import Candidate
from premodel.zoo.candidate_json import candidate_to_json
from premodel.zoo.manifest import Zoo

Stages = dict[str, float]


class Board:
    """The models of a board, run one at a time so that none is timed while another runs.

    Parameters
    ----------
    zoo:
        Its candidates, which must be on this machine.
    limits:
        Sizes of requests.
    threads:
        Threads of every runtime; None for what each entry states.
    memory_budget_mb:
        As of `LazyCandidates`.
    embedding:
        Offer the features with an embedding; raises as `Domain.with_embedding`.

    Attributes
    ----------
    names:
        Of the models: the candidates', then those beside them.
    hung:
        The board was closed, and a run did not end.
    """

    def __init__(
        self,
        zoo: Zoo,
        limits: Limits,
        threads: int | None = None,
        memory_budget_mb: float | None = None,
        embedding: bool = False,
    ) -> None:
        candidates = zoo.candidates if threads is None else tuple(one.with_threads(threads) for one in zoo.candidates)
        self._by_name = {one.name: index for index, one in enumerate(candidates)}
        self._all = candidates
        self._candidates = LazyCandidates(candidates, _own_file, None, memory_budget_mb)
        self._candidates.check_budget(range(len(candidates)))
        self._limits = limits
        self._lock = threading.Lock()
        self.hung = False
        self._domain = zoo.domain.with_embedding() if embedding else zoo.domain
        self._extractor = self._domain.extractor() if self._domain.feature_groups else None
        self._device = device_name()
        self._conditions = asdict(measure_conditions(self._device, threads or 1))
        self._beside: dict[str, Callable[[bytes | NDArray[np.uint8]], tuple[Tensor, Stages]]] = {
            DECODE_MODEL: self._decode
        }
        if self._extractor is not None:
            self._beside[FEATURES_MODEL] = self._features
        self.names = (*self._by_name, *self._beside)

    def metadata(self, name: str) -> dict[str, Any]:
        """The protocol's metadata of a model, and the table AGENT.

        Raises
        ------
        RunError
            The candidate cannot be opened.
        """
        about = {"name": name, "versions": [VERSION], "platform": PLATFORM}
        table = AgentTable(
            self._device,
            self._conditions,
            self._domain.version,
            self._domain.features_version,
            self._domain.noun,
        )
        if name in self._beside:
            image = {"name": self._domain.noun, "datatype": "BYTES", "shape": [1]}
            return {**about, "inputs": [image], "outputs": [_entry(OUTPUT, "FP32", [-1])], AGENT: table.to_json()}
        with self._candidates.use(self._by_name[name]) as opened:
            given, taken = opened.network.backend.input, opened.network.backend.output
        candidate = self._all[self._by_name[name]]
        table = replace(
            table,
            sha256=candidate.model.digest,
            candidate=candidate_to_json(candidate),
            input=Quantisation(given.scale, given.zero_point),
            output=Quantisation(taken.scale, taken.zero_point),
        )
        return {
            **about,
            # A callable without an input table takes encoded inputs alone; what answers texts gives them packed.
            "inputs": [
                _entry(self._domain.noun, "BYTES", [1])
                if candidate.model.takes_whole
                else _entry(TENSOR_INPUT, _datatype(given), _sides(given))
            ],
            "outputs": [
                _entry(OUTPUT, "UINT8", [1, -1])
                if taken.dtype == "object"
                else _entry(OUTPUT, _datatype(taken), _sides(taken))
            ],
            AGENT: table.to_json(),
        }

    def answer(self, name: str, received: Received) -> InferResponse:
        """Run a model on the tensor or the image of a request.

        Raises
        ------
        InputError
            The request breaks the protocol, a limit, or is of another shape than the model takes.
        RunError
            The candidate failed.
        """
        body = unpack(received.body, received.encoding, self._limits.max_body_bytes)
        request_id = None
        given: bytes | NDArray[Any]
        if received.asked.header_length == 0:
            check_encoded(body, self._limits, self._domain.noun, self._domain.task)
            given, is_image = body, True
        else:
            noun = self._domain.noun
            names = (noun,) if name in self._beside else (TENSOR_INPUT, noun)
            form = read_form(body, received.asked.header_length, self._limits, names)
            request_id, is_image = form.id, form.tensor["name"] == noun
            given = self._image(form.tensor, form.binary) if is_image else read_tensor(form.tensor, form.binary)
        with self._lock:
            output, stages = self._run(name, given, is_image)
        head: dict[str, Any] = {"model_name": name, "model_version": VERSION}
        head["parameters"] = write_times(stages)
        if request_id is not None:
            head["id"] = request_id
        data, length = write_body(head, "outputs", {OUTPUT: output})
        return InferResponse(data, length)

    def close(self) -> None:
        """Close every network."""
        self._candidates.close()

    def _image(self, tensor: Mapping[str, Any], binary: memoryview | None) -> bytes | NDArray[np.uint8]:
        images = read_images(tensor, binary, self._limits, self._domain.task)
        if len(images) != 1:
            raise InputError("too many images in one request", given=len(images), allowed=1)
        return images[0]

    def _run(self, name: str, given: Any, is_image: bool) -> tuple[Tensor, Stages]:
        if name in self._beside:
            return self._beside[name](given)
        with self._candidates.use(self._by_name[name]) as opened:
            return _run_encoded(opened, given, self._domain) if is_image else _run_tensor(opened, given)

    def _decode(self, given: bytes | NDArray[np.uint8]) -> tuple[Tensor, Stages]:
        sample, spent_ms = _decoded(given, self._domain)
        size = self._domain.size(sample)
        return np.array([size[name] for name in sorted(size)], np.float32), {DECODE: spent_ms}

    def _features(self, given: bytes | NDArray[np.uint8]) -> tuple[Tensor, Stages]:
        """The features, and what each part of them took: `time_cost_items` computes them anew to time them."""
        if self._extractor is None:
            raise InputError(f"{self._domain.task} has no features")
        sample, _ = _decoded(given, self._domain)
        return self._extractor.extract(sample), self._extractor.time_cost_items(sample)


def _own_file(candidate: Candidate) -> Path:
    return candidate.model.file


def _decoded(given: bytes | NDArray[np.uint8], domain: Domain) -> tuple[Any, float]:
    start = now_ms()
    sample = domain.decode(given)
    return sample, now_ms() - start


def _run_encoded(opened: OpenedCandidate, given: bytes | NDArray[np.uint8], domain: Domain) -> tuple[Tensor, Stages]:
    """Preprocess and run as the timing pass does it on one's own machine, up to the prediction."""
    sample, decode_ms = _decoded(given, domain)
    start = now_ms()
    tensor = opened.prepare(sample)
    prepared = now_ms()
    raw = opened.network.backend.predict(tensor)
    opened.answer(raw)
    raw = pack_answer(*raw) if raw.dtype == object else raw
    return raw, {DECODE: decode_ms, PREPROCESS: prepared - start, INFERENCE: now_ms() - prepared}


def _run_tensor(opened: OpenedCandidate, tensor: Tensor) -> tuple[Tensor, Stages]:
    backend = opened.network.backend
    if opened.candidate.model.takes_whole:
        noun = opened.candidate.domain.noun
        raise InputError("a callable without an input table takes no tensor", given=TENSOR_INPUT, allowed=noun)
    try:
        check_tensor(tensor, backend.input)
    except RunError as error:
        raise InputError(str(error)) from error
    start = now_ms()
    raw = backend.predict(tensor)
    return raw, {INFERENCE: now_ms() - start}


def _entry(name: str, datatype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _datatype(spec: TensorSpec) -> str:
    return datatype_of(spec.dtype)


def _sides(spec: TensorSpec) -> list[int]:
    return [-1 if side is None else side for side in spec.shape]
