"""A request of the Open Inference Protocol: from its bytes to images and options.

Both forms of the protocol's HTTP binding are read: JSON tensors, and the binary tensor extension with its raw form
(header length 0: the whole body is one encoded image).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import InputError
from premodel.fields import shown
from premodel.runtime.policies.base import CallOptions
from premodel.serving.images import check_encoded, read_images
from premodel.serving.limits import Limits
from premodel.serving.signature import EXPLANATION, default_outputs, outputs_of

PARAMETERS = ("max_latency_ms", "cost_weight", "explain", "binary_data_output", "timeout")
MAX_NUMBER = 1e15


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
    """

    id: str | None
    images: Sequence[bytes | NDArray[np.uint8]]
    options: CallOptions
    outputs: Mapping[str, bool]
    timeout_ms: float | None = None


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
        What the request says of its outputs; None if nothing.
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
    if header_length is not None and not 0 < header_length <= len(body):
        _refuse(
            "Inference-Header-Content-Length is not within the body", given=header_length, allowed=f"0 to {len(body)}"
        )
    text = body if header_length is None else body[:header_length]
    binary = memoryview(b"") if header_length is None else memoryview(body)[header_length:]
    data = parse_json(text, limits.max_json_depth)
    _known(data, "request", ("id", "parameters", "inputs", "outputs"))
    request_id = data.get("id")
    if request_id is not None and not isinstance(request_id, str):
        _refuse("id is no text", given=request_id)
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        allowed = " or ".join(repr(name) for name in names)
        _refuse("inputs must be a list of one tensor", given=inputs, allowed=f"one tensor named {allowed}")
    tensor = inputs[0]
    _known(tensor, "input", ("name", "shape", "datatype", "parameters", "data"))
    if tensor.get("name") not in names:
        _refuse("unknown input", given=tensor.get("name"), allowed=", ".join(names))
    parameters = _table(data, "parameters", "request")
    return Form(request_id, parameters, tensor, _binary_of(tensor, binary), data.get("outputs"))


def read_request(body: bytes, header_length: int | None, limits: Limits, task: str = IMAGE_TASK) -> InferRequest:
    """Read the body of an infer request.

    Parameters
    ----------
    body:
        As received.
    header_length:
        Value of Inference-Header-Content-Length: bytes of JSON before the binary data; None if the body is JSON.
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
    if header_length == 0:
        outputs = dict.fromkeys(default_outputs(domain.answers_labels), False)
        check_encoded(body, limits, noun, task)
        return InferRequest(None, [body], CallOptions(), outputs)
    form = read_form(body, header_length, limits, (noun,))
    parameters = form.parameters
    _known(parameters, "parameters", PARAMETERS)
    timeout_us = number(parameters, "timeout")
    return InferRequest(
        id=form.id,
        images=read_images(form.tensor, form.binary, limits, task),
        options=CallOptions(number(parameters, "max_latency_ms"), number(parameters, "cost_weight")),
        outputs=_outputs(form.outputs, parameters, domain.answers_labels),
        timeout_ms=None if not timeout_us else timeout_us / 1e3,
    )


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def parse_json(text: bytes, max_depth: int) -> dict[str, Any]:
    """A JSON table; one nested too deep is refused before it is parsed.

    Raises
    ------
    InputError
        It is no JSON, no table, or too deep.
    """
    if text.count(b"[") + text.count(b"{") > max_depth:  # else it cannot be too deep
        signs = np.frombuffer(_STRING.sub(b"", text), np.uint8)
        steps = ((signs == 0x5B) | (signs == 0x7B)).astype(np.int8) - ((signs == 0x5D) | (signs == 0x7D))
        depth = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
        if depth > max_depth:
            _refuse("JSON is nested too deep", given=depth, allowed=f"up to {max_depth}")
    try:
        data = _DECODER.decode(text.decode(json.detect_encoding(text), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"request is no JSON ({error})") from error
    if not isinstance(data, dict):
        _refuse("request is no JSON table", given=data)
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _binary_of(tensor: Mapping[str, Any], binary: memoryview) -> memoryview | None:
    """The tensor's binary data; None if it comes as JSON."""
    parameters = _table(tensor, "parameters", "input")
    _known(parameters, "parameters of the input", ("binary_data_size",))
    size = parameters.get("binary_data_size")
    if size is None:
        if len(binary):
            _refuse("binary data that no input names", given=f"{len(binary)} bytes", do="set binary_data_size")
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size != len(binary):
        _refuse(
            "binary_data_size is not what follows the JSON",
            given=size,
            allowed=f"{len(binary)} (bytes after the first Inference-Header-Content-Length)",
        )
    if "data" in tensor:
        _refuse("input has both data and binary_data_size", do="send one of them")
    return binary


def _outputs(asked: Any, parameters: Mapping[str, Any], answers_labels: bool) -> dict[str, bool]:
    """Name -> as binary data; a request that names none gets all but the explanation."""
    known = outputs_of(answers_labels)
    everywhere = flag(parameters, "binary_data_output", False)
    outputs: dict[str, bool] = {}
    if asked is not None and not isinstance(asked, list):
        _refuse("outputs must be a list", given=asked)
    for entry in asked or ():
        if not isinstance(entry, dict):
            _refuse("an output must be a table", given=entry)
        _known(entry, "output", ("name", "parameters"))
        name = entry.get("name")
        if not isinstance(name, str) or name not in known or name in outputs:
            _refuse("unknown or repeated output", given=name, allowed=", ".join(known))
        own = _table(entry, "parameters", "output")
        _known(own, "parameters of the output", ("binary_data",))
        outputs[name] = flag(own, "binary_data", everywhere)
    if not outputs:
        outputs = dict.fromkeys(default_outputs(answers_labels), everywhere)
    if flag(parameters, "explain", False):
        outputs.setdefault(EXPLANATION, everywhere)
    return outputs


def _table(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(f"{name} must be a table", where=where, given=value)
    return value


def _known(data: Mapping[str, Any], where: str, allowed: Sequence[str]) -> None:
    for name in data:
        if name not in allowed:
            _refuse("unknown field", where=where, given=name, allowed=", ".join(allowed))


def flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    """A truth value among the parameters; InputError if it is none."""
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        _refuse(f"{name} is no truth value", given=value, allowed="true, false")
    return value


def number(parameters: Mapping[str, Any], name: str) -> float | None:
    """A number from 0 among the parameters, None if it is not there; InputError if it is none."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        _refuse(f"{name} is no number", given=value, allowed="a number from 0")
    if value < 0:
        _refuse(f"{name} is below 0", given=value, allowed="a number from 0")
    return float(value)


def _refuse(what: str, *, given: object = None, **more: Any) -> NoReturn:
    raise InputError(what, given=None if given is None else shown(given), **more)
