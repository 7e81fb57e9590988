"""A small premodel, served: within the test's process, and by the command in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from serving_client import running

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")
pytest.importorskip("prometheus_client", reason="the serve extra is not installed")

from starlette.testclient import TestClient

from premodel.runtime.engine import Premodel
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.service import Service

Serving = Callable[..., Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("served"), MAKERS["select, the paper's chain"])


@pytest.fixture(scope="session")
def abstaining(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("served"), MAKERS["select, abstaining"])


@pytest.fixture
def serving() -> Serving:
    """`with serving(bundle, ...) as (client, service)`."""

    @contextmanager
    def serve(path: Path, token: str | None = None, **limits: Any) -> Generator[tuple[TestClient, Service]]:
        service = Service(Premodel(path), path.stem, Limits(**limits))
        app = make_app(service, token)
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            yield client, service

    return serve


@pytest.fixture(scope="session")
def server(made: Made) -> Generator[str]:
    """URL of one running server."""
    with running(made.path) as (url, _):
        yield url
