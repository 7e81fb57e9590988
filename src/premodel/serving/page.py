"""The page at `/`: static files of this package that ask for nothing from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from premodel.domains.base import Domain

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/camera.js": ("camera.js", "text/javascript; charset=utf-8"),
    "/text.js": ("text.js", "text/javascript; charset=utf-8"),
}
ASK, MODEL, NOUN = "{{ask}}", "{{model}}", "{{noun}}"
"""Marks in the page: how an input is given, and names."""


def page_routes(model: str, domain: Domain) -> list[Route]:
    """The routes of the page of one served model; its files are read once, here."""
    ask = "text.html" if domain.inline else "image.html"
    values = {ASK: _read(ask), MODEL: html.escape(model), NOUN: html.escape(domain.noun)}
    return [Route(path, _sender(_read(file), kind, values)) for path, (file, kind) in FILES.items()]


def _read(file: str) -> str:
    return resources.files("premodel.serving").joinpath("page", file).read_text(encoding="utf-8")


def _sender(text: str, kind: str, values: Mapping[str, str]) -> Callable[[Request], Awaitable[Response]]:
    for mark, value in values.items():
        text = text.replace(mark, value)
    body = text.encode()
    headers = {**HEADERS, "content-type": kind}

    async def send(request: Request) -> Response:
        del request
        return Response(body, headers=headers)

    return send
