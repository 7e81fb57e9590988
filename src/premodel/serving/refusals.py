"""Refusals of a server: one line in a JSON table, with the status code that states whose mistake it is."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from premodel.errors import sentence
from premodel.serving.body import BodyTooLargeError

RETRY_AFTER_S = 1
BAD_KINDS = ("malformed", "large", "slow", "cut")
"""What can be wrong with a request before anything but HTTP is read of it."""


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The protocol's error: one line in a JSON table."""
    return JSONResponse({"error": message}, status, headers)


def input_error(error: Exception) -> Response:
    """What a client sent wrong: 400; 413, and the end of a connection on which more of the same would come."""
    if isinstance(error, BodyTooLargeError):
        return error_response(413, str(error), {"connection": "close"})
    return error_response(400, "client went away" if isinstance(error, ClientDisconnect) else str(error))


async def http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise TypeError("an HTTPException is handled here")
    headers = dict(error.headers) if error.headers else None
    standard = error.detail == HTTPStatus(error.status_code).phrase
    detail = error.detail.lower() if standard else error.detail
    message = sentence(detail, where=f"{request.method} {request.scope['path'][:200]}")
    return error_response(error.status_code, message, headers)


async def unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; its traceback is logged by the server."""
    del request
    return error_response(500, f"internal error ({type(error).__name__})")


def overloaded(message: str) -> Response:
    """503, and when to try again."""
    return error_response(503, message, {"retry-after": str(RETRY_AFTER_S)})
