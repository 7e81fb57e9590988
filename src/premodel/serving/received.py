"""An infer request as it came in, before anything of it is read."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from premodel.errors import InputError
from premodel.serving.body import read_body
from premodel.serving.limits import Limits
from premodel.serving.request import Asked


@dataclass(frozen=True, eq=False)
class Received:
    """An infer request as it came in.

    Attributes
    ----------
    body:
        All of it.
    encoding:
        Its Content-Encoding; empty for none.
    asked:
        What its head states of the body.
    arrived_ms:
        When its head was read, by the one clock.
    """

    body: bytes
    encoding: str
    asked: Asked
    arrived_ms: float


async def receive(request: Request, limits: Limits, arrived_ms: float) -> Received:
    """The whole request.

    Raises
    ------
    InputError
        The body is too large, or a header is not a number.
    """
    headers = request.headers
    body = await read_body(request, limits.max_body_bytes)
    text = headers.get("inference-header-content-length")
    if text is not None and not (text.isdecimal() and text.isascii() and len(text) < 12):
        raise InputError(
            "Inference-Header-Content-Length must be a number of bytes", given=repr(text[:40]), allowed="0 or more"
        )
    encoding = headers.get("content-encoding", "").strip().lower()
    asked = Asked(None if text is None else int(text), headers.get("content-type", ""), request.scope["query_string"])
    return Received(body, encoding, asked, arrived_ms)
