"""What RFC 9112 asks of a request's head beyond what httptools checks, and its target as a path."""

from __future__ import annotations

import re
from functools import lru_cache

import httptools

METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.[01]\r?\n")
"""A whole request line."""

HOST = re.compile(rb"(?:\[[0-9a-fA-FvV:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?")
NOT_HTTP = "request cannot be read as HTTP/1.1"
EVERYWHERE = b"*"
"""The target of an OPTIONS request that means the server as a whole."""


class RefusedError(Exception):
    """A head that is answered by the connection, which ends then.

    Attributes
    ----------
    status:
        Of the answer.
    message:
        Its one line.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read_head(method: bytes, version: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Check a head and give its target, which begins with a slash, or is EVERYWHERE.

    Parameters
    ----------
    method, version, target:
        Of the request line.
    headers:
        Names in lower case, and values. A target with a host of its own puts that in the place of the Host header.

    Raises
    ------
    RefusedError
        A version or a transfer coding that is not served, a tunnel, a Host header that is missing or wrong, a target in
        a form that its method does not have.
    """
    if version not in ("1.0", "1.1"):
        raise RefusedError(505, "HTTP version is not served; allowed: 1.0 and 1.1")
    if method == b"CONNECT":
        raise RefusedError(501, "CONNECT is not served: this is no proxy")
    hosts, codings = 0, b""
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _is_host(value):
                raise RefusedError(400, "Host header is no host name")
        elif name == b"transfer-encoding":
            codings += b"," + value
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise RefusedError(400, f"request must have one Host header, got {hosts}")
    if codings:
        _check_coding(codings, version)
    if target.startswith(b"/") or (target == EVERYWHERE and method == b"OPTIONS"):
        return target
    if not target.lower().startswith((b"http://", b"https://")):
        raise RefusedError(400, "target of the request must be a path or a whole URL")
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        raise RefusedError(400, "target of the request is no URL") from error
    authority = target.split(b"//", 1)[1].split(b"/", 1)[0].split(b"?", 1)[0].split(b"#", 1)[0]
    if not _is_host(authority) or not url.host:
        raise RefusedError(400, "host in the target of the request is wrong")
    headers[:] = [(name, value) for name, value in headers if name != b"host"] + [(b"host", authority)]
    return (url.path or b"/") + (b"" if url.query is None else b"?" + url.query)


@lru_cache(64)
def _is_host(value: bytes) -> bool:
    return HOST.fullmatch(value.strip()) is not None


def _check_coding(value: bytes, version: str) -> None:
    codings = [coding.strip().lower() for coding in value.split(b",") if coding.strip()]
    if not codings:
        return
    if version == "1.0":
        raise RefusedError(400, "HTTP/1.0 has no Transfer-Encoding")
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise RefusedError(400, "Transfer-Encoding must end in chunked")
    if codings != [b"chunked"]:
        raise RefusedError(501, "Transfer-Encoding must be chunked alone; compress with Content-Encoding")
