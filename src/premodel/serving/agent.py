"""The ASGI app of `premodel agent`: a board's models over the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from premodel.clock import now_ms
from premodel.errors import InputError, PremodelError, sentence
from premodel.serving.access import BearerToken, Doors, HeaderLimit, OwnNames
from premodel.serving.board import Board
from premodel.serving.limits import Limits
from premodel.serving.log import CountedLog
from premodel.serving.received import receive
from premodel.serving.refusals import error_response, http_error, input_error, overloaded, unexpected
from premodel.serving.signature import VERSION
from premodel.serving.workers import Workers
from premodel.version import __version__

NAME = "premodel-agent"
EXTENSIONS = ("binary_tensor_data",)
logger = logging.getLogger(__name__)


def make_agent(board: Board, limits: Limits, token: str | None = None, doors: Doors | None = None) -> Starlette:
    """The app of one board.

    Parameters
    ----------
    board:
        Closed with the app.
    limits:
        Of requests; what runs, runs one at a time.
    token:
        What requests must bear; None for none.
    doors:
        Where there is no token: host names and origins that are answered; None for all.
    """
    endpoints = _Endpoints(board, limits)
    model = "/v2/models/{name}"

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await asyncio.to_thread(endpoints.stop)

    routes = [
        *(Route(path + "/infer", endpoints.infer, methods=["POST"]) for path in (model, model + "/versions/{version}")),
        Route("/v2", endpoints.server),
        Route("/v2/health/live", endpoints.live),
        Route("/v2/health/ready", endpoints.ready),
        *(Route(path, endpoints.model) for path in (model, model + "/versions/{version}")),
        *(Route(path + "/ready", endpoints.model_ready) for path in (model, model + "/versions/{version}")),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(HeaderLimit, max_bytes=limits.max_header_bytes),
            *([] if token is None else [Middleware(BearerToken, token=token)]),
            *([] if doors is None or token is not None else [Middleware(OwnNames, doors=doors)]),
        ],
        exception_handlers={HTTPException: http_error, Exception: unexpected},
    )
    app.router.redirect_slashes = False  # its redirects repeat the Host header
    return app


class _Endpoints:
    """One method per route; all that touches a model runs on one thread."""

    def __init__(self, board: Board, limits: Limits) -> None:
        self._board = board
        self._limits = limits
        self._accepted = 0
        self._pool = Workers(1, limits.timeout_s, "board")
        self._log = CountedLog(logger)

    def stop(self) -> None:
        """Answer what was accepted, then close the models; a run that does not end in time is left alone."""
        if self._pool.stop():
            self._board.close()
        else:
            self._board.hung = True
        self._log.tell_all()

    async def server(self, request: Request) -> Response:
        del request
        return JSONResponse({"name": NAME, "version": __version__, "extensions": list(EXTENSIONS)})

    async def live(self, request: Request) -> Response:
        del request
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        del request
        ready = not self._pool.stuck
        return JSONResponse({"ready": ready}, 200 if ready else 400)

    async def model(self, request: Request) -> Response:
        name = self._check_model(request)
        try:
            metadata = await self._on_board(self._board.metadata, name)
        except (PremodelError, TimeoutError) as error:
            return self._refused(error)
        return JSONResponse(metadata)

    async def model_ready(self, request: Request) -> Response:
        """A model is ready if it can be opened."""
        name = self._check_model(request)
        try:
            await self._on_board(self._board.metadata, name)
        except (PremodelError, TimeoutError):
            return JSONResponse({"name": name, "ready": False}, 400)
        return JSONResponse({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        name = self._check_model(request)
        if self._accepted > self._limits.queue:
            waiting = f"1 running and {self._limits.queue} waiting"
            return overloaded(sentence("board is busy", given=waiting, do="try again later"))
        self._accepted += 1
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                received = await receive(request, self._limits, now_ms())
                response = await asyncio.wrap_future(self._pool.submit(self._board.answer, name, received))
        except (TimeoutError, PremodelError, ClientDisconnect) as error:
            return self._refused(error)
        finally:
            self._accepted -= 1
        return Response(response.body, headers=response.headers)

    async def _on_board(self, work: Callable[[str], Any], name: str) -> Any:
        """Done on the one thread; TimeoutError if that is not free, or takes longer, than a request may."""
        async with asyncio.timeout(self._limits.timeout_s):
            return await asyncio.wrap_future(self._pool.submit(work, name))

    def _refused(self, error: Exception) -> Response:
        """Whose mistake it is decides the status code."""
        if isinstance(error, TimeoutError):
            return error_response(504, sentence("no answer in time", given=f"{self._limits.timeout_s:g} s"))
        if isinstance(error, InputError | ClientDisconnect):
            return input_error(error)
        self._log.note("failed", str(error), logging.ERROR)
        return error_response(500, str(error))

    def _check_model(self, request: Request) -> str:
        name, version = str(request.path_params["name"]), request.path_params.get("version", VERSION)
        if name not in self._board.names:
            raise HTTPException(
                404, sentence("unknown model", given=repr(name[:100]), allowed=", ".join(self._board.names))
            )
        if version != VERSION:
            raise HTTPException(404, sentence("unknown version", given=repr(version[:100]), allowed=VERSION))
        return name
