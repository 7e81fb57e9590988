"""The same app on Ray Serve: replicas on many nodes, and a front that asks another replica if one dies.

`premodel.serving.ray_serve:build` is the import path for a config of Ray Serve; see docs/ray.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from premodel.errors import MissingExtraError, OptionError, RunError, sentence
from premodel.files import read_token
from premodel.runtime.engine import Premodel
from premodel.serving.app import make_app
from premodel.serving.body import BodyTooLargeError, read_body
from premodel.serving.limits import Limits
from premodel.serving.refusals import error_response, overloaded
from premodel.serving.service import Service

REPLICA, FRONT = "Replica", "Front"
"""The deployments, as a config names them."""

TRIES = 5
"""Replicas that are asked for one answer at most, the last ones because those before died."""

OPTIONS = ("bundle", "zoo", "threads", "memory_budget_mb", "token_file", "limits", "trust_python")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """A request, read whole."""

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def build(args: Mapping[str, Any]) -> Any:
    """The application of a config of Ray Serve.

    Parameters
    ----------
    args:
        `bundle` is the premodel; its file lies on every node, or on a disk that all share. As in `premodel serve` there
        may be `zoo`, `threads`, `memory_budget_mb`, `token_file`, and `limits` by the names of `Limits`.
        `trust_python`, true or false, has the Python code run that candidates name.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    OptionError
        An argument is unknown or missing, or a limit is out of its range.
    """
    unknown = [name for name in args if name not in OPTIONS]
    if unknown or "bundle" not in args:
        what = f"unknown argument {unknown[0]}" if unknown else "no bundle"
        raise OptionError(what, where="args of the application", allowed=", ".join(OPTIONS))
    if not isinstance(args.get("trust_python", False), bool):
        raise OptionError("trust_python must be true or false", given=args["trust_python"])
    limits = _limits(args.get("limits", {}))
    serve = _serve()
    replica = serve.deployment(
        name=REPLICA,
        max_ongoing_requests=limits.workers + limits.queue,
        health_check_period_s=5,
        autoscaling_config={"min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 2 * limits.workers},
    )(Replica)
    front = serve.deployment(
        name=FRONT, num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.1}
    )(Front)
    return front.bind(replica.bind(dict(args)), limits)


def _serve() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        return import_module("ray.serve")
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray[serve]", "cluster") from error


def _limits(given: Mapping[str, Any]) -> Limits:
    try:
        return Limits(**given)
    except TypeError as error:
        raise OptionError("wrong limits", given=dict(given), allowed=", ".join(Limits.__dataclass_fields__)) from error


class Replica:
    """One premodel, opened, behind the app that `premodel serve` has; it is ready once every candidate is open.

    Parameters
    ----------
    args:
        See `build`.
    """

    def __init__(self, args: Mapping[str, Any]) -> None:
        premodel = Premodel(
            args["bundle"],
            args.get("threads"),
            args.get("zoo"),
            args.get("memory_budget_mb"),
            trust_python=args.get("trust_python", False),
        )
        token = None if args.get("token_file") is None else read_token(Path(args["token_file"]))
        self._service = Service(premodel, Path(args["bundle"]).stem, _limits(args.get("limits", {})))
        self._service.start()
        self._service.wait_until_open()  # Ray Serve asks for the health at once, and gives up a replica that has none
        if not self._service.ready:
            raise RunError("no candidate of the premodel can be opened", where=args["bundle"])
        self._app = make_app(self._service, token)

    async def answer(self, asked: Asked) -> Reply:
        """The app's response."""
        scope = {
            "type": "http", "http_version": "1.1", "scheme": "http", "root_path": "", "method": asked.method,
            "path": asked.path, "raw_path": asked.path.encode(), "query_string": asked.query,
            "headers": list(asked.headers), "client": None, "server": None,
        }  # fmt: skip
        reply: list[Mapping[str, Any]] = []
        coming = [{"type": "http.request", "body": asked.body, "more_body": False}]

        async def receive() -> Mapping[str, Any]:
            return coming.pop() if coming else {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            reply.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]
        body = b"".join(message.get("body", b"") for message in reply[1:])
        return Reply(reply[0]["status"], tuple(reply[0]["headers"]), body)

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises RunError."""
        if not self._service.ready:
            raise RunError("the replica is not ready")

    def __del__(self) -> None:
        """Called by Ray Serve when the replica was asked to stop and its last request is answered."""
        if hasattr(self, "_service"):
            self._service.stop()


class Front:
    """Reads requests whole, hands each to a replica, and to another one if that dies before it has answered.

    Parameters
    ----------
    replicas:
        Handle of the replicas.
    limits:
        Theirs.
    """

    def __init__(self, replicas: Any, limits: Limits) -> None:
        self._replicas = replicas
        self._limits = limits
        self._died = import_module("ray.exceptions").RayActorError
        self._full = import_module("ray.serve.exceptions").BackPressureError

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                body = await read_body(request, self._limits.max_body_bytes)
        except BodyTooLargeError as error:
            return error_response(413, str(error))
        except TimeoutError:
            return error_response(408, "request did not arrive in time", {"connection": "close"})
        except ClientDisconnect:
            return error_response(400, "client went away")
        scope = request.scope
        headers = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
        asked = Asked(scope["method"], scope["path"], scope["query_string"], headers, body)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                reply = await self._ask(asked)
        except TimeoutError:
            seconds = f"{self._limits.timeout_s:g} s"
            return overloaded(sentence("no replica answered in time", given=seconds, do="try again later"))
        if reply is None:
            return overloaded(sentence("server is busy, or its replicas keep dying", do="try again later"))
        response = Response(reply.body, reply.status)
        response.raw_headers = list(reply.headers)
        return response

    async def _ask(self, asked: Asked) -> Reply | None:
        """A replica's response; None if none can be had. To ask twice is safe: an answer changes nothing."""
        for _ in range(TRIES):
            try:
                reply: Reply = await self._replicas.answer.remote(asked)
                return reply
            except self._full:
                return None
            except self._died as error:
                logger.warning("a replica died, another is asked: %s", str(error).partition("\n")[0])
        return None
