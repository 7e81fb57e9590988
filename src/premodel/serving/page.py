"""The page at `/`: static files of this package that ask for nothing from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
}
MODEL = "{{model}}"


def page_routes(model: str) -> list[Route]:
    """The routes of the page of one served model; its files are read once, here."""
    return [Route(path, _sender(file, kind, model)) for path, (file, kind) in FILES.items()]


def _sender(file: str, kind: str, model: str) -> Callable[[Request], Awaitable[Response]]:
    text = resources.files("premodel.serving").joinpath("page", file).read_text(encoding="utf-8")
    body = text.replace(MODEL, html.escape(model)).encode()
    headers = {**HEADERS, "content-type": kind}

    async def send(request: Request) -> Response:
        del request
        return Response(body, headers=headers)

    return send
