"""A request of the Open Inference Protocol: from its bytes to images and options.

Both forms of the protocol's HTTP binding are read: JSON tensors, and the binary tensor extension with its raw form
(header length 0: the whole body is one encoded image). So are an encoded image as the body without that header, and a
multipart form. Options may stand in the query string as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import InputError
from premodel.fields import shown
from premodel.protocol.oip import (
    JSON_TYPE,
    REQUEST_FIELDS,
    SIZE,
    TENSOR_FIELDS,
    check_names,
    flag,
    number,
    read_body,
    refuse_shared_memory,
    table,
    tensor_chunks,
)
from premodel.runtime.policies.base import CallOptions
from premodel.serving.encoded import (
    CODED_FORM,
    decode_element,
    decode_whole,
    is_encoded,
    query_options,
    read_form_data,
    refuse_coded_form,
)
from premodel.serving.images import check_all_encoded, check_batch, check_encoded, read_images
from premodel.serving.limits import Limits
from premodel.serving.signature import EXPLANATION, PROBABILITIES, default_outputs, outputs_of

PARAMETERS = {
    "max_latency_ms": "number", "cost_weight": "number", "explain": "flag", "binary_data_output": "flag",
    "timeout": "number",
}  # fmt: skip
"""Name -> kind, of the parameters that a request may have, in its body or its query string."""
MULTIPART = "multipart/form-data"


@dataclass(frozen=True, eq=False)
class InferRequest:
    """What is asked.

    Attributes
    ----------
    id:
        To be echoed; None if there was none.
    images:
        Encoded bytes, or uint8 RGB arrays (height, width, 3).
    options:
        Budget and cost weight of this call.
    outputs:
        Names of the outputs to give, each with True if as binary data.
    timeout_ms:
        How long the request may wait before its work starts (the protocol's `timeout`, in microseconds there).
    classes:
        Give the probabilities as so many texts "PROBABILITY:LABEL:CLASS" each (Triton's classification extension).
    """

    id: str | None
    images: Sequence[bytes | NDArray[np.uint8]]
    options: CallOptions
    outputs: Mapping[str, bool]
    timeout_ms: float | None = None
    classes: int | None = None


@dataclass(frozen=True, eq=False)
class Form:
    """A request of one input tensor, before the tensor is read.

    Attributes
    ----------
    id:
        To be echoed; None if there was none.
    parameters:
        Of the request.
    tensor:
        The input's table.
    binary:
        The input's binary data; None if it comes as JSON.
    outputs:
        What the request states of its outputs; None if nothing.
    """

    id: str | None
    parameters: Mapping[str, Any]
    tensor: Mapping[str, Any]
    binary: memoryview | None
    outputs: Any


def read_form(body: bytes, header_length: int | None, limits: Limits, names: Sequence[str]) -> Form:
    """Take a request of one input apart; `names` are those the input may have.

    Raises
    ------
    InputError
        It breaks the protocol.
    """
    data, binary = read_body(body, header_length, limits.max_json_depth)
    check_names(data, "request", REQUEST_FIELDS)
    request_id = data.get("id")
    if request_id is not None and not isinstance(request_id, str):
        _refuse("id must be text", given=request_id)
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        allowed = " or ".join(repr(name) for name in names)
        given = inputs
        if inputs is None and "instances" in data:
            given = "instances: the first version of the protocol"
        _refuse("inputs must be a list of one tensor", given=given, allowed=f"one tensor named {allowed}")
    ((tensor, chunk),) = tensor_chunks(inputs, binary, "input")
    check_names(tensor, "input", TENSOR_FIELDS)
    if tensor.get("name") not in names:
        _refuse("unknown input", given=tensor.get("name"), allowed=", ".join(names))
    check_names(table(tensor, "parameters", "input"), "parameters of the input", (SIZE,))
    return Form(request_id, table(data, "parameters", "request"), tensor, chunk, data.get("outputs"))


@dataclass(frozen=True)
class Asked:
    """How a request was sent, beside its body.

    Attributes
    ----------
    header_length:
        Value of Inference-Header-Content-Length: bytes of JSON before the binary data; None if it was not there.
    content_type:
        Its Content-Type; empty for none.
    query:
        Its query string.
    """

    header_length: int | None = None
    content_type: str = ""
    query: bytes = b""


def read_request(body: bytes, asked: Asked, limits: Limits, task: str = IMAGE_TASK) -> InferRequest:
    """Read the body of an infer request.

    Parameters
    ----------
    body:
        As received.
    asked:
        What its head states.
    limits:
        What is accepted.
    task:
        What the inputs are; the input of the request has the noun of its domain as its name.

    Raises
    ------
    InputError
        The request breaks the protocol or a limit.
    """
    domain = domain_of(task)
    noun = domain.noun
    options = query_options(asked.query, PARAMETERS) if asked.query else {}
    if asked.header_length == 0:
        return _whole(_Raw([body]), options, limits, task)
    if asked.header_length is None:
        raw = _raw(body, asked.content_type, limits, domain)
        if raw is not None:
            return _whole(raw, options, limits, task)
    form = read_form(body, asked.header_length, limits, (noun,))
    check_names(form.parameters, "parameters", tuple(PARAMETERS))
    parameters = _joined(form.parameters, options)
    timeout_us = number(parameters, "timeout")
    outputs, classes = _outputs(form.outputs, parameters, domain_of(task).answers_labels)
    return InferRequest(
        id=form.id,
        images=read_images(form.tensor, form.binary, limits, task),
        options=CallOptions(number(parameters, "max_latency_ms"), number(parameters, "cost_weight")),
        outputs=outputs,
        timeout_ms=None if not timeout_us else timeout_us / 1e3,
        classes=classes,
    )


@dataclass(frozen=True, eq=False)
class _Raw:
    """Encoded inputs that came in no tensor, and the options beside them."""

    images: Sequence[bytes]
    options: Mapping[str, Any] = field(default_factory=dict)


def _raw(body: bytes, content_type: str, limits: Limits, domain: Domain) -> _Raw | None:
    """Encoded inputs of a body that is no JSON, or the table {"b64": ...}; None where it is a request in JSON.

    Of a domain whose inputs are texts, a body is one if its type is text, or if it does not begin as a table of JSON
    and its type is not JSON.
    """
    noun = domain.noun
    kind = content_type.partition(";")[0].strip().lower()
    if kind == MULTIPART:
        field_name = noun if domain.inline else ""
        return _Raw(*read_form_data(body, content_type, PARAMETERS, limits.max_batch + len(PARAMETERS), field_name))
    if kind == CODED_FORM:
        refuse_coded_form(body, noun, is_text=bool(domain.inline))
    if domain.inline and (kind.startswith("text/") or (kind != JSON_TYPE and not body.lstrip().startswith(b"{"))):
        return _Raw([body])
    if kind.startswith("image/") or is_encoded(body):
        return _Raw([decode_whole(body, noun)])
    if body[:40].lstrip()[:20].replace(b" ", b"").startswith(b'{"b64"'):
        data, _ = read_body(body, None, limits.max_json_depth)
        return _Raw([decode_element(data, noun)])
    return None


def _whole(raw: _Raw, options: Mapping[str, Any], limits: Limits, task: str) -> InferRequest:
    """The request of encoded inputs that came in no tensor."""
    parameters = _joined(raw.options, options)
    check_batch(len(raw.images), limits, domain_of(task).plural)
    if len(raw.images) == 1:
        check_encoded(raw.images[0], limits, domain_of(task).noun, task)
    else:
        check_all_encoded(raw.images, limits, task)
    timeout_us = number(parameters, "timeout")
    return InferRequest(
        id=None,
        images=raw.images,
        options=CallOptions(number(parameters, "max_latency_ms"), number(parameters, "cost_weight")),
        outputs=_outputs(None, parameters, domain_of(task).answers_labels)[0],
        timeout_ms=None if not timeout_us else timeout_us / 1e3,
    )


def _joined(parameters: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of the body and the options of the query string; one that is in both is refused."""
    for name in options:
        if parameters.get(name) is not None:
            _refuse("option is in the query string and in the request", given=name, do="give it once")
    return {**parameters, **options} if options else parameters


def _outputs(asked: Any, parameters: Mapping[str, Any], answers_labels: bool) -> tuple[dict[str, bool], int | None]:
    """Name -> as binary data, all but the explanation for a request that names none; and the classes asked for."""
    known = outputs_of(answers_labels)
    everywhere = flag(parameters, "binary_data_output", False)
    outputs: dict[str, bool] = {}
    classes = None
    if asked is not None and not isinstance(asked, list):
        _refuse("outputs must be a list", given=asked)
    for entry in asked or ():
        if not isinstance(entry, dict):
            _refuse("an output must be a table", given=entry)
        check_names(entry, "output", ("name", "parameters"))
        name = entry.get("name")
        if not isinstance(name, str) or name not in known or name in outputs:
            _refuse("unknown or repeated output", given=name, allowed=", ".join(known))
        own = table(entry, "parameters", "output")
        refuse_shared_memory(own, "parameters of the output")
        check_names(own, "parameters of the output", ("binary_data",))
        outputs[name] = flag(own, "binary_data", everywhere)
        wanted = number(own, "classification")
        if wanted:
            if name != PROBABILITIES:
                _refuse("only probabilities can be classified", given=name, do="ask for classification of them")
            classes = int(wanted)
    if not outputs:
        outputs = dict.fromkeys(default_outputs(answers_labels), everywhere)
    if flag(parameters, "explain", False):
        outputs.setdefault(EXPLANATION, everywhere)
    return outputs, classes


def _refuse(what: str, *, given: object = None, **more: Any) -> NoReturn:
    raise InputError(what, given=None if given is None else shown(given), **more)
