"""A small premodel, served: within the test's process, and by the command in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from serving_client import running
from tiny_models import write_onnx

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")
pytest.importorskip("prometheus_client", reason="the serve extra is not installed")

from starlette.testclient import TestClient

from premodel.domains.image.spec import InputSpec
from premodel.domains.image.views import View
from premodel.files import file_sha256
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.serving.access import Doors
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.service import Service
from premodel.zoo.candidate import Candidate, Model

Serving = Callable[..., Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("served"), MAKERS["select, the paper's chain"])


@pytest.fixture(scope="session")
def abstaining(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("served"), MAKERS["select, abstaining"])


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one small network, which answers any image; recorded answers know only their own."""
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    folder = tmp_path_factory.mktemp("answering")
    rng = np.random.default_rng(0)
    file, labels = folder / "m.onnx", 5
    weights = rng.normal(0, 0.01, (8 * 8 * 3, labels)).astype(np.float32)
    bias = np.linspace(0, 0.5, labels, dtype=np.float32)  # a black image has an answer too
    write_onnx(file, weights, bias, (1, 8, 8, 3))
    spec = InputSpec((8, 8), "NHWC", "float32", "RGB", "center-crop", 0.875, "bilinear")
    model = Model("m", file, "onnx", spec, "none", sha256=file_sha256(file))
    names = tuple(f"label {i}" for i in range(labels))
    bundle = Bundle(Single(("m",), [1.0], Costs((0.1,), 0.1)), (Candidate(model, View(), labels),), names, "top1", None)
    write_bundle(folder / "small.premodel", bundle, folder=folder)
    return folder / "small.premodel"


@pytest.fixture
def serving() -> Serving:
    """`with serving(bundle, ...) as (client, service)`."""

    @contextmanager
    def serve(
        path: Path, token: str | None = None, doors: Doors | None = None, **limits: Any
    ) -> Generator[tuple[TestClient, Service]]:
        service = Service(Premodel(path), path.stem, Limits(**limits))
        app = make_app(service, token, doors)
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            yield client, service

    return serve


@pytest.fixture(scope="session")
def server(made: Made) -> Generator[str]:
    """URL of one running server."""
    with running(made.path) as (url, _):
        yield url
