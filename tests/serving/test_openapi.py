"""The OpenAPI document is valid, and true of the server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from starlette.routing import Route

from bundles import Made
from premodel.serving.page import FILES
from serving_client import INFER

openapi_spec_validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
jsonschema = pytest.importorskip("jsonschema", reason="openapi-spec-validator is not installed")


def allows(document: dict[str, Any], schema: str, value: Any) -> bool:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


def test_valid_and_complete(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        document = client.get("/openapi.json").json()
        routes = {(route.path, method) for route in client.app.routes for method in route.methods if method != "HEAD"}
        assert all(isinstance(route, Route) for route in client.app.routes)
    openapi_spec_validator.validate(document)
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    files = {(path, "GET") for path in FILES if path != "/"}
    assert described == routes - files


@pytest.mark.parametrize("explain", [True, False])
def test_what_is_taken_and_given_is_as_described(made: Made, serving: Any, explain: bool) -> None:
    data = [base64.b64encode(made.small.images[0].read_bytes()).decode()]
    request = {
        "id": "a",
        "parameters": {"explain": explain, "max_latency_ms": 50.5},
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}],
    }
    with serving(made.path) as (client, _):
        document = client.get("/openapi.json").json()
        assert allows(document, "InferRequest", request)
        assert allows(document, "InferResponse", client.post(INFER, content=json.dumps(request)).json())
        for path, schema in (
            ("/v2", "ServerMetadata"),
            ("/v2/health/live", "Live"),
            ("/v2/health/ready", "Ready"),
            ("/v2/models/small", "ModelMetadata"),
            ("/v2/models/small/ready", "ModelReady"),
            ("/v2/models/other", "Error"),
        ):
            assert allows(document, schema, client.get(path).json()), path


@pytest.mark.parametrize(
    "change",
    [
        {"id": 1},
        {"parameters": {"explain": 1}},
        {"inputs": []},
        {"outputs": [{"name": "logits"}]},
        {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1], "data": [1]}]},
        {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [33], "data": ["a"]}]},
    ],
)
def test_what_is_refused_is_described_so(made: Made, serving: Any, change: dict[str, Any]) -> None:
    data = [base64.b64encode(made.small.images[0].read_bytes()).decode()]
    request = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}], **change}
    with serving(made.path) as (client, _):
        document = client.get("/openapi.json").json()
        assert not allows(document, "InferRequest", request)
        response = client.post(INFER, content=json.dumps(request))
        assert response.status_code == 400
        assert allows(document, "Error", response.json())
