"""The protocol's model repository extension: what is served, and loading it again."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from premodel.errors import InputError, PremodelError, sentence
from premodel.protocol.oip import parse_json
from premodel.serving.access import is_loopback
from premodel.serving.body import BodyTooLargeError, read_body
from premodel.serving.refusals import error_response
from premodel.serving.service import Service
from premodel.serving.signature import VERSION

EXTENSION = "model_repository"
LOAD_S = 600.0
"""How long a call waits for the new one; loading goes on after that."""


class Repository:
    """One method per route.

    Parameters
    ----------
    service:
        What is served.
    token:
        Must requests bear a token; without one only this machine may load.
    """

    def __init__(self, service: Service, *, token: bool) -> None:
        self._service = service
        self._token = token
        self.routes = [
            Route("/v2/repository/index", self.index, methods=["POST"]),
            Route("/v2/repository/models/{name}/load", self.load, methods=["POST"]),
            Route("/v2/repository/models/{name}/unload", self.unload, methods=["POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """The one model, its state, and why it was not loaded again when that was last tried."""
        try:
            asked = await self._body(request)
        except (PremodelError, ClientDisconnect, TimeoutError) as error:
            return _refused(error)
        service = self._service
        state = "READY" if service.ready else "UNAVAILABLE"
        reason = "" if service.reloader is None else service.reloader.error
        entry = {"name": service.name, "version": VERSION, "state": state, "reason": reason}
        return JSONResponse([entry] if state == "READY" or not asked.get("ready") else [])

    async def load(self, request: Request) -> Response:
        """Load the premodel again, and answer when it has taken the place of the old one."""
        self._check(request)
        try:
            _check_parameters((await self._body(request)).get("parameters"))
        except (PremodelError, ClientDisconnect, TimeoutError) as error:
            return _refused(error)
        try:
            loading = asyncio.wrap_future(self._service.reload())
            done, _ = await asyncio.wait([loading], timeout=LOAD_S)
            if not done:
                return error_response(504, sentence("not loaded in time; loading goes on, and the old one answers"))
            served = loading.result()
        except PremodelError as error:
            return _refused(error)
        return JSONResponse({"name": self._service.name, "candidates": list(served.premodel.candidates)})

    async def unload(self, request: Request) -> Response:
        """A server has one model."""
        self._check(request)
        return error_response(400, sentence("the one model of a server must stay", do="stop the server"))

    def _check(self, request: Request) -> None:
        if request.path_params["name"] != self._service.name:
            name = request.path_params["name"][:100]
            raise HTTPException(404, sentence("unknown model", given=repr(name), allowed=self._service.name))
        host = "" if request.client is None else request.client.host
        if not self._token and host and not is_loopback(host):
            raise HTTPException(
                403, sentence("a model must be loaded from this machine, or with a token", do="start with --token-file")
            )

    async def _body(self, request: Request) -> dict[str, Any]:
        limits = self._service.limits
        async with asyncio.timeout(limits.timeout_s):
            body = await read_body(request, limits.max_body_bytes)
        return parse_json(body, limits.max_json_depth) if body.strip() else {}


def _check_parameters(parameters: Any) -> None:
    names = parameters if isinstance(parameters, dict) else {}
    given = next((name for name in names if name == "config" or name.startswith("file:")), None)
    if given is not None:
        raise InputError(
            "a model must be loaded from the server's own file", given=given[:100],
            do="put the file in its place, and load without parameters",
        )  # fmt: skip


def _refused(error: Exception) -> Response:
    if isinstance(error, TimeoutError):
        return error_response(408, "request did not arrive in time", {"connection": "close"})
    if isinstance(error, ClientDisconnect):
        return error_response(400, "client went away")
    return error_response(413 if isinstance(error, BodyTooLargeError) else 400, str(error))
