"""The body of a request: read with a limit, unpacked with the same limit."""

from __future__ import annotations

import zlib

from starlette.requests import ClientDisconnect, Request

from premodel.errors import InputError

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Content-Encoding -> zlib's window bits."""


class BodyTooLargeError(InputError):
    """A request of more bytes than the server takes."""

    def __init__(self, given: str, max_bytes: int) -> None:
        super().__init__("request is too large", given=given, allowed=f"up to {max_bytes} bytes")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body as received.

    Raises
    ------
    BodyTooLargeError
        It is longer than `max_bytes`, by its Content-Length or as it comes in.
    ClientDisconnect
        The client went away.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > max_bytes):
        raise BodyTooLargeError(f"{length[:40]} bytes", max_bytes)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLargeError(f"more than {max_bytes} bytes", max_bytes)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body before compression; never more than `max_bytes` of it are made.

    Raises
    ------
    InputError
        The encoding is unknown, or the data is not of it.
    BodyTooLargeError
        It unpacks to more than `max_bytes`.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise InputError("unknown Content-Encoding", given=encoding[:40], allowed=", ".join(ENCODINGS))
    unpacker = zlib.decompressobj(ENCODINGS[encoding])
    try:
        data = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InputError(f"body must be {encoding} ({error})") from error
    if len(data) > max_bytes:
        raise BodyTooLargeError(f"more than {max_bytes} bytes once unpacked", max_bytes)
    if not unpacker.eof:
        raise InputError(f"body ends within its {encoding} data")
    return data
