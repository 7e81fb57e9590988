"""Requests made from /openapi.json itself: none is a server error, and every answer is as described."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from starlette.types import Receive, Scope, Send

from premodel.runtime.engine import Premodel
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.openapi import openapi_document
from premodel.serving.service import Service

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the package's own dependencies, while they are imported
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.fixture(scope="module")
def described(answering: Path) -> Generator[Any]:
    service = Service(Premodel(answering), "small", Limits(workers=1, max_batch=4))
    app = make_app(service)

    async def started(scope: Scope, receive: Receive, send: Send) -> None:
        """The app, which schemathesis would start and stop around every request, and a service stops for good."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
        else:
            await app(scope, receive, send)

    service.start()
    yield schemathesis.openapi.from_asgi("/openapi.json", started)
    service.stop()


def operations(*, with_input: bool) -> list[tuple[str, str]]:
    """(path, method) of all operations, or of those that take anything at all."""
    return [
        (path, method.upper())
        for path, item in openapi_document("small", Limits())["paths"].items()
        for method in item
        if method != "parameters" and ("parameters" in item or not with_input)
    ]


def check_all(described: Any, path: str, method: str, mode: str) -> None:
    operation = described[path][method]
    schemathesis.checks.load_all_checks()
    wanted = schemathesis.checks.CHECKS.get_by_names(CHECKS)
    late = schemathesis.checks.CHECKS.get_by_names([name for name in CHECKS if name != "not_a_server_error"])

    @settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
    def check(case: Any) -> None:
        response = case.call()
        # A timeout of less than the way to the worker is one that the description allows: then 503 is the right answer.
        waited = response.status_code == 503 and "request waited too long" in response.text
        case.validate_response(response, checks=late if waited else wanted)

    check()


@pytest.mark.parametrize(("path", "method"), operations(with_input=False))
def test_what_the_description_allows(described: Any, path: str, method: str) -> None:
    check_all(described, path, method, "POSITIVE")


@pytest.mark.parametrize(("path", "method"), operations(with_input=True))
def test_what_the_description_forbids(described: Any, path: str, method: str) -> None:
    check_all(described, path, method, "NEGATIVE")
