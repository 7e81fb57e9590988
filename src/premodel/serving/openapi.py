"""The OpenAPI description of the server, written by hand."""

from __future__ import annotations

from typing import Any

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.serving.limits import Limits
from premodel.serving.request import PARAMETERS
from premodel.serving.signature import VERSION, outputs_of
from premodel.version import __version__

Document = dict[str, Any]
_BINARY = "Inference-Header-Content-Length"


def openapi_document(model: str, limits: Limits, task: str = IMAGE_TASK) -> Document:
    """OpenAPI 3.1 of one served model under its limits."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"premodel: {model}",
            "version": __version__,
            "description": "Open Inference Protocol v2 with the binary tensor extension.",
        },
        "paths": _paths(domain_of(task)),
        "components": {
            "schemas": _schemas(model, limits, domain_of(task)),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": {
                "name": _path_parameter("name", {"type": "string", "const": model}),
                "version": _path_parameter("version", {"type": "string", "const": VERSION}),
            },
        },
        "security": [{}, {"token": []}],
    }


def _paths(domain: Domain) -> Document:
    paths: Document = {
        "/v2": {"get": _get("serverMetadata", "Name, version, extensions", "ServerMetadata")},
        "/v2/health/live": {"get": _get("serverLive", "Is the server up", "Live")},
        "/v2/health/ready": {"get": _get("serverReady", "Can it answer", "Ready", not_ready="Ready")},
        "/metrics": {"get": _plain("metrics", "Counters, in Prometheus' text format", "text/plain")},
        "/openapi.json": {"get": _get("openapi", "This document", "Any")},
        "/": {"get": _plain("page", "A page to try it", "text/html")},
    }
    named = {"parameters": [{"$ref": "#/components/parameters/name"}]}
    index = _call("repositoryIndex", "What is served, and its state", "RepositoryIndex")
    load = _call("repositoryModelLoad", "Load the bundle again; the old one answers until the new one is ready", "Any")
    unload = _call("repositoryModelUnload", "Refused: a server has one model", "Any")
    paths["/v2/repository/index"] = {"post": index}
    paths["/v2/repository/models/{name}/load"] = {**named, "post": load}
    paths["/v2/repository/models/{name}/unload"] = {**named, "post": unload}
    for version in (False, True):
        path = "/v2/models/{name}" + ("/versions/{version}" if version else "")
        suffix = "Version" if version else ""
        names = ["name", "version"] if version else ["name"]
        shared = {"parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names]}
        about = _get(f"model{suffix}Metadata", "Input and outputs", "ModelMetadata", unknown=True)
        ready = _get(f"model{suffix}Ready", "Can it answer", "ModelReady", unknown=True, not_ready="ModelReady")
        paths[path] = {**shared, "get": about}
        paths[path + "/ready"] = {**shared, "get": ready}
        paths[path + "/infer"] = {**shared, "post": _infer(f"model{suffix}Infer", domain)}
    return paths


def _path_parameter(name: str, schema: Document) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(schema: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _error(description: str) -> Document:
    return {"description": description, "content": _json("Error")}


def _get(name: str, summary: str, schema: str, *, unknown: bool = False, not_ready: str | None = None) -> Document:
    responses: Document = {"200": {"description": "done", "content": _json(schema)}, "401": _error("token needed")}
    if not_ready is not None:
        responses["400"] = {"description": "not ready", "content": _json(not_ready)}
    if unknown:
        responses["404"] = _error("no such model or version")
    return {"operationId": name, "summary": summary, "responses": responses}


def _call(name: str, summary: str, schema: str) -> Document:
    body = {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}}
    responses: Document = {
        "200": {"description": "done", "content": _json(schema)},
        "400": _error("it cannot be done, and why; what was served is served on"),
        "401": _error("token needed"),
        "403": _error("from another machine a token is needed"),
        "404": _error("no such model"),
        "408": _error("the request did not arrive in time"),
        "413": _error("the request is too large"),
        "431": _error("the headers are too large"),
        "504": _error("not loaded in time; loading goes on"),
    }
    return {"operationId": name, "summary": summary, "requestBody": body, "responses": responses}


def _plain(name: str, summary: str, content_type: str) -> Document:
    content = {content_type: {"schema": {"type": "string"}}}
    responses = {"200": {"description": "done", "content": content}, "401": _error("token needed")}
    return {"operationId": name, "summary": summary, "responses": responses}


def _infer(name: str, domain: Domain) -> Document:
    noun = domain.noun
    whole = f"one {noun}" if domain.inline else f"one encoded {noun}"
    length = {"description": "bytes of JSON before the binary outputs", "schema": {"type": "integer"}}
    retry = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    binary: Document = {"type": "string", "format": "binary"}
    octets = {"application/octet-stream": {"schema": binary}}
    form: Document = {"multipart/form-data": {"schema": _object([noun], **{noun: binary})}}
    if domain.inline:
        form["text/plain"] = {"schema": {"type": "string"}}
    return {
        "operationId": name,
        "summary": f"Answer {domain.plural}",
        "description": (
            "JSON; or JSON followed by binary tensor data, with the length of the JSON in the header "
            f"{_BINARY}; or {whole} as the whole body, with that header 0 or without it; or a multipart form "
            f"with a file for each {noun}. Fields that this description does not name are passed over, unless they "
            "look like a misspelt one of it."
        ),
        "parameters": [
            {
                "name": _BINARY,
                "in": "header",
                "required": False,
                "description": "bytes of JSON before the binary data",
                "schema": {"type": "integer", "minimum": 0},
            },
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "enum": ["identity", "gzip", "deflate"]},
            },
            *(
                {"name": option, "in": "query", "required": False, "description": "as the parameter", "schema": schema}
                for option, schema in _parameters().items()
            ),
        ],
        "requestBody": {"required": True, "content": {**_json("InferRequest"), **octets, **form}},
        "responses": {
            "200": {
                "description": "the answers",
                "headers": {_BINARY: length},
                "content": {**_json("InferResponse"), **octets},
            },
            "400": _error(f"the request or a part of it is wrong, such as a {noun} that cannot be read"),
            "401": _error("token needed"),
            "404": _error("no such model or version"),
            "408": _error("the request did not arrive in time"),
            "431": _error("the headers are too large"),
            "413": _error("the request is too large"),
            "500": _error("every candidate failed, or a mistake of the server"),
            "503": {**_error("busy, or waited too long"), "headers": retry},
            "504": _error("no answer in time"),
        },
    }


def _object(required: list[str], **properties: Document) -> Document:
    return {"type": "object", "required": required, "properties": properties}


def _parameters() -> dict[str, Document]:
    kinds: dict[str, Document] = {"number": {"type": "number", "minimum": 0}, "flag": {"type": "boolean"}}
    return {name: kinds[kind] for name, kind in PARAMETERS.items()}


def _list_of(items: Document, **more: Any) -> Document:
    return {"type": "array", "items": items, **more}


def _schemas(model: str, limits: Limits, domain: Domain) -> Document:
    text: Document = {"type": "string"}
    flag: Document = {"type": "boolean"}
    count: Document = {"type": "integer", "minimum": 0}
    shape = _list_of({"type": "integer"})
    described = _object(["name", "datatype", "shape"], name=text, datatype=text, shape=shape)
    outputs = list(outputs_of(domain.answers_labels))
    asked = _object(
        ["name"],
        name={"type": "string", "enum": outputs},
        parameters=_object([], binary_data=flag, classification=count),
    )
    return {
        "Any": {"type": "object"},
        "Error": _object(["error"], error=text),
        "Live": _object(["live"], live=flag),
        "Ready": _object(["ready"], ready=flag),
        "ModelReady": _object(["name", "ready"], name=text, ready=flag),
        "ServerMetadata": _object(
            ["name", "version", "extensions"], name=text, version=text, extensions=_list_of(text)
        ),
        "ModelMetadata": _object(
            ["name", "versions", "platform", "inputs", "outputs"],
            name={"type": "string", "const": model},
            versions=_list_of(text),
            platform=text,
            inputs=_list_of(described),
            outputs=_list_of(described),
        ),
        "RepositoryIndex": _list_of(
            _object(["name", "version", "state", "reason"], name=text, version=text, state=text, reason=text)
        ),
        "InferRequest": _object(
            ["inputs"],
            id=text,
            parameters=_object([], **_parameters()),
            inputs=_list_of(_input(limits, count, domain), minItems=1, maxItems=1),
            outputs=_list_of(asked),
        ),
        "InferResponse": _response(model, outputs),
    }


def _response(model: str, outputs: list[str]) -> Document:
    text: Document = {"type": "string"}
    return _object(
        ["model_name", "model_version", "outputs"],
        model_name={"type": "string", "const": model},
        model_version={"type": "string", "const": VERSION},
        id=text,
        parameters=_object([], failed={"type": "string", "description": "candidates that should have run and failed"}),
        outputs=_list_of(
            _object(
                ["name", "datatype", "shape"],
                name={"type": "string", "enum": outputs},
                datatype=text,
                shape=_list_of({"type": "integer"}),
                parameters=_object([], binary_data_size={"type": "integer", "minimum": 0}),
                data=_list_of({"type": ["number", "string"]}),
            )
        ),
    )


def _elements(domain: Domain) -> str:
    """What the elements of BYTES in JSON are."""
    if domain.inline:
        return f"each {domain.noun} itself; base64 of it where the parameter content_type is base64, or {{b64: ...}}"
    return f"each encoded {domain.noun}: base64, a data URL, or {{b64: ...}}"


def _input(limits: Limits, count: Document, domain: Domain) -> Document:
    """One encoded image per element (base64 in JSON), or RGB pixels."""
    side = {"type": "integer", "minimum": 1}
    common: Document = {"name": {"const": domain.noun}, "parameters": _object([], binary_data_size=count)}
    encoded = _object(
        ["name", "datatype", "shape"],
        **common,
        datatype={"const": "BYTES"},
        shape={
            "type": "array",
            "prefixItems": [{**side, "maximum": limits.max_batch}, {"const": 1}],
            "minItems": 1,
            "maxItems": 2,
        },
        data={
            "type": "array",
            "description": _elements(domain),
            "minItems": 1,
        },
    )
    pixels = _object(
        ["name", "datatype", "shape"],
        **common,
        datatype={"const": "UINT8"},
        shape=_list_of(side, minItems=3, maxItems=4),
        data={"type": "array", "description": "numbers from 0 to 255, row-major, flat or nested", "minItems": 1},
    )
    return {"oneOf": [encoded, pixels] if domain.takes_pixels else [encoded]}
