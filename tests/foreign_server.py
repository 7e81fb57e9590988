"""A server of the Open Inference Protocol that is not ours: written from the protocol, it states no times.

It answers with JSON data, leaves the batch free, and takes tensors only.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agents import serving_app
from premodel.runtime.candidate import open_backend
from premodel.zoo.manifest import read_zoo

DTYPES = {"UINT8": np.uint8, "FP32": np.float32}


@contextmanager
def foreign(zoo: Path) -> Generator[str]:
    """The URL of a server of a zoo's models."""
    models = {one.model.name: open_backend(one) for one in read_zoo(zoo).candidates}

    async def metadata(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in models:
            return JSONResponse({"error": f"Request for unknown model: '{name}' is not found"}, 404)
        given, taken = models[name].input, models[name].output
        kinds = {"uint8": "UINT8", "float32": "FP32"}
        inputs = [{"name": "x", "datatype": kinds[given.dtype], "shape": [-1, *given.shape[1:]]}]
        outputs = [{"name": "y", "datatype": kinds[taken.dtype], "shape": [-1, *taken.shape[1:]]}]
        return JSONResponse(
            {"name": name, "versions": ["1"], "platform": "other", "inputs": inputs, "outputs": outputs}
        )

    async def infer(request: Request) -> Response:
        body = await request.body()
        length = int(request.headers["inference-header-content-length"])
        entry = json.loads(body[:length])["inputs"][0]
        assert entry["name"] == "x"
        assert entry["parameters"]["binary_data_size"] == len(body) - length
        tensor = np.frombuffer(body[length:], DTYPES[entry["datatype"]]).reshape(entry["shape"])
        output: Any = models[request.path_params["name"]].predict(tensor)
        values = {"name": "y", "datatype": "FP32", "shape": list(output.shape), "data": output.ravel().tolist()}
        return JSONResponse({"model_name": request.path_params["name"], "outputs": [values]})

    routes = [
        Route("/v2/models/{name}", metadata),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
    ]
    with serving_app(Starlette(routes=routes)) as url:
        yield url
