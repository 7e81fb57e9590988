"""The ASGI app: Open Inference Protocol v2, metrics, OpenAPI and the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from premodel.clock import now_ms
from premodel.errors import InputError, PremodelError, sentence
from premodel.serving.access import BearerToken, Doors, HeaderLimit, OwnNames
from premodel.serving.deadline import WaitedTooLongError
from premodel.serving.log import CountedLog
from premodel.serving.openapi import openapi_document
from premodel.serving.page import page_routes
from premodel.serving.prometheus import CONTENT_TYPE
from premodel.serving.received import Received, receive
from premodel.serving.refusals import error_response, http_error, input_error, overloaded, unexpected
from premodel.serving.repository import EXTENSION, Repository
from premodel.serving.service import Replied, Service
from premodel.serving.signature import PLATFORM, VERSION
from premodel.version import __version__

EXTENSIONS = ("binary_tensor_data",)
logger = logging.getLogger(__name__)


def make_app(service: Service, token: str | None = None, doors: Doors | None = None) -> Starlette:
    """The app of one served premodel.

    Parameters
    ----------
    service:
        Started and stopped with the app.
    token:
        What requests must bear; None for none.
    doors:
        Where there is no token: host names and origins that are answered; None for all.
    """
    endpoints = _Endpoints(service)
    model = "/v2/models/{name}"

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    routes = [  # tried in this order, so the busiest come first
        *(Route(path + "/infer", endpoints.infer, methods=["POST"]) for path in (model, model + "/versions/{version}")),
        Route("/v2", endpoints.server),
        Route("/v2/health/live", endpoints.live),
        Route("/v2/health/ready", endpoints.ready),
        *(Route(path, endpoints.model) for path in (model, model + "/versions/{version}")),
        *(Route(path + "/ready", endpoints.model_ready) for path in (model, model + "/versions/{version}")),
        *Repository(service, token=token is not None).routes,
        Route("/metrics", endpoints.metrics),
        Route("/openapi.json", endpoints.openapi),
        *page_routes(service.name, service.served.domain),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(HeaderLimit, max_bytes=service.limits.max_header_bytes),
            *([] if token is None else [Middleware(BearerToken, token=token)]),
            *([] if doors is None or token is not None else [Middleware(OwnNames, doors=doors)]),
            Middleware(DirectInfer, name=service.name, infer=endpoints.infer),
        ],
        exception_handlers={HTTPException: http_error, Exception: unexpected},
    )
    app.router.redirect_slashes = False  # its redirects repeat the Host header
    return app


class DirectInfer:
    """ASGI middleware: takes infer requests to the served model past the router and its wrappers, which cost time."""

    def __init__(self, app: ASGIApp, name: str, infer: Callable[[Request], Awaitable[Response]]) -> None:
        self._app = app
        self._infer = infer
        model = f"/v2/models/{name}"
        self._known: dict[str, dict[str, str]] = {
            model + "/infer": {"name": name},
            f"{model}/versions/{VERSION}/infer": {"name": name, "version": VERSION},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        known = self._known.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if known is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = known
        response = await self._infer(Request(scope, receive))
        await response(scope, receive, send)


class _Endpoints:
    """One method per route."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._log = CountedLog(logger)
        self._openapi: dict[str, dict[str, Any]] = {}
        self._extensions = [*EXTENSIONS, *([] if service.reloader is None else [EXTENSION])]

    async def server(self, request: Request) -> Response:
        del request
        return JSONResponse({"name": PLATFORM, "version": __version__, "extensions": self._extensions})

    async def live(self, request: Request) -> Response:
        del request
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        del request
        ready = self._service.ready
        return JSONResponse({"ready": ready}, 200 if ready else 400)

    async def model(self, request: Request) -> Response:
        self._check_model(request)
        return JSONResponse(self._service.served.metadata)

    async def model_ready(self, request: Request) -> Response:
        self._check_model(request)
        ready = self._service.ready
        return JSONResponse({"name": self._service.name, "ready": ready}, 200 if ready else 400)

    async def metrics(self, request: Request) -> Response:
        del request
        return Response(self._service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        del request
        task = self._service.served.domain.task
        if task not in self._openapi:
            self._openapi[task] = openapi_document(self._service.name, self._service.limits, task)
        return JSONResponse(self._openapi[task])

    async def infer(self, request: Request) -> Response:
        """Counted whatever becomes of it: once it was sent, so that nobody waits for the counting."""
        arrived_ms = now_ms()
        try:
            response = await self._infer(request, arrived_ms)
        except BaseException as error:
            self._count(error.status_code if isinstance(error, HTTPException) else 500, arrived_ms)
            raise
        response.background = BackgroundTask(self._sent, response.status_code, arrived_ms, response.background)
        return response

    async def _sent(self, status: int, arrived_ms: float, and_then: BackgroundTask | None) -> None:
        self._count(status, arrived_ms)
        if and_then is not None:
            await and_then()

    def _count(self, status: int, arrived_ms: float) -> None:
        self._service.metrics.responded(status, now_ms() - arrived_ms)

    async def _infer(self, request: Request, arrived_ms: float) -> Response:
        self._check_model(request)
        service = self._service
        if not service.accept():
            service.metrics.rejected("overload")
            limits = service.limits
            return overloaded(
                sentence(
                    "server is busy", given=f"{limits.workers} running and {limits.queue} waiting", do="try again later"
                )
            )
        future: Future[Replied] | None = None
        try:
            async with asyncio.timeout(service.limits.timeout_s):
                future = service.submit(await self._receive(request, arrived_ms))
                replied = await asyncio.wrap_future(future)
        except (PremodelError, ClientDisconnect) as error:
            return self._refused(error)
        except TimeoutError as error:
            return self._refused(error) if future is None else self._late(future)
        background = BackgroundTask(self._check, replied) if service.followed else None
        response = service.respond(replied)
        return Response(response.body, headers=response.headers, background=background)

    async def _receive(self, request: Request, arrived_ms: float) -> Received:
        """The whole request; its place is given back if that fails."""
        try:
            return await receive(request, self._service.limits, arrived_ms)
        except BaseException:
            self._service.leave()
            raise

    def _late(self, future: Future[Replied]) -> Response:
        """The pool has not answered in the request's time."""
        self._service.metrics.rejected("timeout")
        seconds = f"{self._service.limits.timeout_s:g} s"
        if future.cancel():  # it was still in the queue
            return overloaded(sentence("request waited too long", given=seconds, do="try again later"))
        return error_response(504, sentence("no answer in time", given=seconds))

    async def _check(self, replied: Replied) -> None:
        """The shadow check, and the record."""
        self._service.sent(replied)

    def _refused(self, error: Exception) -> Response:
        """Whose mistake it is decides the status code."""
        metrics = self._service.metrics
        if isinstance(error, WaitedTooLongError):
            metrics.rejected("timeout")
            return overloaded(str(error))
        if isinstance(error, TimeoutError):
            metrics.rejected("timeout")
            return error_response(408, "request did not arrive in time", {"connection": "close"})
        if isinstance(error, InputError | ClientDisconnect):
            metrics.rejected("input")
            return input_error(error)
        self._log.note("failed", str(error), logging.ERROR)
        return error_response(500, str(error))

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", VERSION)
        if name != self._service.name:
            raise HTTPException(404, sentence("unknown model", given=repr(name[:100]), allowed=self._service.name))
        if version != VERSION:
            raise HTTPException(404, sentence("unknown version", given=repr(version[:100]), allowed=VERSION))


def describe(service: Service) -> dict[str, Any]:
    """What is served, for the command's first line."""
    return {"model": service.name, "candidates": list(service.premodel.candidates)}
