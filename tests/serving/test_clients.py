"""Unmodified clients of others against a running server: KServe's, MLServer's codecs, and Triton's rarer options."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

import premodel
from bundles import Made
from premodel.domains.image.decode import decode
from serving_client import INFER, until


def imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own dependencies, while they are imported
        return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def expected(made: Made, path: Path) -> premodel.Answer:
    with premodel.load(made.path) as clf:
        return clf.predict(path)


@pytest.fixture
def kserve() -> Any:
    return imported("kserve")


def kserve_input(kserve: Any, images: list[bytes], form: str) -> Any:
    if form == "binary":
        tensor = kserve.InferInput("image", [len(images)], "BYTES")
        tensor.set_data_from_numpy(np.array(images, object), binary_data=True)
        return tensor
    texts = [base64.b64encode(image).decode() for image in images]
    return kserve.InferInput("image", [len(images)], "BYTES", texts, {"content_type": "base64"})


@pytest.mark.parametrize("form", ["binary", "base64"])
@pytest.mark.parametrize("binary_out", [False, True])
def test_the_client_of_kserve(kserve: Any, server: str, made: Made, form: str, binary_out: bool) -> None:
    images = made.small.images[:2]

    async def ask() -> Any:
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", retries=0))
        assert await client.is_server_live(server)
        for _ in range(200):
            if await client.is_server_ready(server):
                break
            await asyncio.sleep(0.1)
        assert await client.is_model_ready(server, "small")
        tensor = kserve_input(kserve, [path.read_bytes() for path in images], form)
        parameters = {"max_latency_ms": 1000.0, "binary_data_output": binary_out}
        request = kserve.InferRequest("small", [tensor], request_id="7", parameters=parameters)
        return await client.infer(server, request, model_name="small")

    response = asyncio.run(ask())
    assert response.id == "7"
    assert response.model_name == "small"
    found = {output.name: output.as_numpy() for output in response.outputs}
    answers = [expected(made, path) for path in images]
    assert found["label"].tolist() == [answer.label for answer in answers]
    names = [name.decode() if isinstance(name, bytes) else name for name in found["class"].tolist()]
    assert names == [answer.class_name for answer in answers]
    np.testing.assert_array_equal(
        found["probabilities"], np.array([[line.probability for line in one.probabilities] for one in answers], "f4")
    )


def test_pixels_of_kserve(kserve: Any, server: str, made: Made) -> None:
    pixels = decode(made.small.images[0]).rgb
    tensor = kserve.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=False)

    async def ask() -> Any:
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", retries=0))
        return await client.infer(server, kserve.InferRequest("small", [tensor]), model_name="small")

    found = {output.name: output.as_numpy() for output in asyncio.run(ask()).outputs}
    assert found["label"].tolist() == [expected(made, made.small.images[0]).label]


def posted(url: str, body: str) -> bytes:
    request = Request(url + INFER, body.encode(), {"content-type": "application/json"})
    with urlopen(request) as response:
        data: bytes = response.read()
        return data


@pytest.mark.parametrize("codec", ["base64", "pixels", "text"])
@pytest.mark.parametrize("nulls", [True, False])
def test_the_codecs_of_mlserver(server: str, made: Made, codec: str, nulls: bool) -> None:
    codecs, types = imported("mlserver.codecs"), imported("mlserver.types")
    path = made.small.images[0]
    image = path.read_bytes()
    tensor = {
        "base64": lambda: codecs.Base64Codec.encode_input("image", [image]),
        "pixels": lambda: codecs.NumpyCodec.encode_input("image", decode(path).rgb),
        "text": lambda: codecs.StringCodec.encode_input("image", [base64.b64encode(image).decode()]),
    }[codec]()
    parameters = types.Parameters(content_type="np", headers={"x": "y"})
    request = types.InferenceRequest(id="7", inputs=[tensor], parameters=None if nulls else parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = request.json() if nulls else request.json(exclude_none=True)
        response = types.InferenceResponse(**json.loads(posted(server, text)))
    answer = expected(made, path)
    found = {output.name: output for output in response.outputs}
    assert response.id == "7"
    assert codecs.NumpyCodec.decode_output(found["label"]).ravel().tolist() == [answer.label]
    assert codecs.StringCodec.decode_output(found["class"]) == [answer.class_name]
    assert codecs.NumpyCodec.decode_output(found["probabilities"]).ravel().tolist() == [
        line.probability for line in answer.probabilities
    ]


def test_priorities_sequences_and_classes_of_triton(server: str, made: Made) -> None:
    http = imported("tritonclient.http")
    client = http.InferenceServerClient(server.removeprefix("http://"))
    until(client.is_server_ready)
    path = made.small.images[0]
    tensor = http.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([path.read_bytes()], object))
    answer = expected(made, path)
    more: dict[str, Any] = {"priority": 3, "sequence_id": 5, "sequence_start": True, "sequence_end": True}
    result = client.infer("small", [tensor], parameters={"tenant": "a"}, **more)
    assert result.as_numpy("label").tolist() == [answer.label]
    asked = [http.InferRequestedOutput("probabilities", class_count=3), http.InferRequestedOutput("label")]
    result = client.infer("small", [tensor], outputs=asked)
    first = result.as_numpy("probabilities")[0][0].decode().split(":")
    assert (int(first[1]), first[2]) == (answer.label, answer.class_name)
    assert result.as_numpy("label").tolist() == [answer.label]
    client.close()
