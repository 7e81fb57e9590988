"""The premodel in Triton's Python backend: one of the server's requests in, one of its responses out.

The `model.py` that `premodel export` writes only calls this. Triton's module is handed in: it exists nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import InputError, PremodelError, RunError, sentence
from premodel.protocol.oip import flag, number
from premodel.records import TOP_K
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.base import CallOptions
from premodel.serving.images import check_batch, check_encoded, read_images
from premodel.serving.limits import Limits
from premodel.serving.response import output_values
from premodel.serving.signature import EXPLANATION, INPUT, OUTPUTS
from premodel.serving.triton_config import PIXELS


class TritonServing:
    """A premodel that answers Triton's requests, one after the other.

    Parameters
    ----------
    bundle:
        What `premodel export` put beside `model.py`.
    triton:
        The module `triton_python_backend_utils`.

    Raises
    ------
    BundleError, ModelError
        As `Premodel`.
    RunError
        No candidate can be opened.
    """

    def __init__(self, bundle: Path, triton: Any) -> None:
        self._triton = triton
        self._limits = Limits()
        self.premodel = Premodel(bundle)
        self._top_k = min(TOP_K, len(self.premodel.bundle.label_names))
        self._open()

    def answer(self, request: Any) -> Any:
        """The response to a request; what is wrong with it is an error in the response, none is raised."""
        triton = self._triton
        try:
            tensors = self._answer(request)
        except InputError as error:
            return self._refused(error, triton.TritonError.INVALID_ARG)
        except PremodelError as error:
            return self._refused(error, triton.TritonError.INTERNAL)
        return triton.InferenceResponse(output_tensors=tensors)

    def close(self) -> None:
        """Close what was opened here."""
        self.premodel.close()

    def _open(self) -> None:
        """Open every candidate now; those of the server itself are only asked later, as Triton requires it."""
        for name in self.premodel.candidates:
            try:
                self.premodel.open_candidate(name)
            except RunError as error:
                self._triton.Logger.log_warn(f"{name} is left out: {error}")
        unavailable = self.premodel.unavailable
        if set(self.premodel.candidates) <= set(unavailable):
            self.close()
            raise RunError(
                "no candidate can be opened", where=self.premodel.path, given="; ".join(unavailable.values())
            )

    def _answer(self, request: Any) -> list[Any]:
        parameters = _parameters(request.parameters())
        options = CallOptions(number(parameters, "max_latency_ms"), number(parameters, "cost_weight"))
        explain = flag(parameters, "explain", False)
        images = self._images(request)
        answers = [self._predict(images, index, options) for index in range(len(images))]
        asked = request.requested_output_names()
        return [
            self._triton.Tensor(name, _array(output_values(name, answers, self._top_k, self.premodel.candidates)))
            for name in OUTPUTS
            if name in asked and (explain or name != EXPLANATION)
        ]

    def _images(self, request: Any) -> Sequence[bytes | NDArray[np.uint8]]:
        """Encoded images, or RGB arrays, out of the one input that is given."""
        find = self._triton.get_input_tensor_by_name
        encoded, pixels = find(request, INPUT), find(request, PIXELS)
        if (encoded is None) == (pixels is None):
            given = "none" if encoded is None else "both"
            raise InputError("a request has one input", given=given, allowed=f"{INPUT} or {PIXELS}")
        if encoded is None:
            values = pixels.as_numpy()
            tensor = {"datatype": "UINT8", "shape": list(values.shape)}
            return read_images(tensor, np.ascontiguousarray(values).reshape(-1).data, self._limits)
        images = [bytes(image) for image in encoded.as_numpy().reshape(-1)]
        if not images:
            raise InputError(f"{INPUT} is empty", allowed="one encoded image or more")
        check_batch(len(images), self._limits)
        for index, image in enumerate(images):
            check_encoded(image, self._limits, f"image {index}")
        return images

    def _predict(self, images: Sequence[Any], index: int, options: CallOptions) -> Answer:
        try:
            return self.premodel.predict(
                images[index], max_latency_ms=options.max_latency_ms, cost_weight=options.cost_weight
            )
        except (InputError, RunError) as error:
            if len(images) == 1:
                raise
            kind = InputError if isinstance(error, InputError) else RunError
            raise kind(sentence(str(error), where=f"image {index}")) from error

    def _refused(self, error: PremodelError, code: Any) -> Any:
        triton = self._triton
        return triton.InferenceResponse(output_tensors=[], error=triton.TritonError(str(error), code))


def _parameters(text: str) -> Mapping[str, Any]:
    """The request's parameters; those in text mean what they say, as not every client can send numbers."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return {name: _meant(value) for name, value in found.items()}


def _meant(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _array(values: NDArray[Any] | list[str]) -> NDArray[Any]:
    """Texts are objects of bytes in Triton."""
    if isinstance(values, np.ndarray):
        return values
    return np.array([text.encode() for text in values], np.object_)
