"""An unmodified tritonclient[http] against a running server, in every form it supports."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import Made
from premodel.domains.image.decode import decode
from serving_client import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's own dependencies, while they are imported
    http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    from tritonclient.utils import InferenceServerException

OUTPUTS = ("label", "class", "probabilities", "top_labels", "candidate", "latency_ms")


@pytest.fixture(scope="module")
def client(server: str) -> Generator[Any]:
    client = http.InferenceServerClient(server.removeprefix("http://"))
    yield client
    client.close()


def bytes_input(images: list[bytes], *, binary: bool) -> Any:
    tensor = http.InferInput("image", [len(images)], "BYTES")
    elements = images if binary else [base64.b64encode(image) for image in images]
    tensor.set_data_from_numpy(np.array(elements, dtype=np.object_), binary_data=binary)
    return tensor


def check(result: Any, made: Made, rows: int) -> None:
    with premodel.load(made.path) as clf:
        answers = [clf.predict(path) for path in made.small.images[:rows]]
    assert result.as_numpy("label").tolist() == [answer.label for answer in answers]
    texts = [value.decode() if isinstance(value, bytes) else value for value in result.as_numpy("class")]
    assert texts == [answer.class_name for answer in answers]
    probabilities = result.as_numpy("probabilities")
    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[line.probability for line in answer.probabilities] for answer in answers]
    assert result.as_numpy("top_labels").tolist() == [answer.top_labels for answer in answers]
    assert result.as_numpy("latency_ms").shape == (rows, 5)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    until(client.is_server_ready)  # it opens its candidates first
    assert client.is_model_ready("small")
    assert client.is_model_ready("small", "1")
    assert client.get_server_metadata()["name"] == "premodel"
    about = client.get_model_metadata("small", "1")
    assert [entry["name"] for entry in about["inputs"]] == ["image"]
    assert not client.is_model_ready("other")


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_bytes(client: Any, made: Made, rows: int, binary_in: bool, binary_out: bool | None) -> None:
    images = [path.read_bytes() for path in made.small.images[:rows]]
    outputs = None
    if binary_out is not None:
        outputs = [http.InferRequestedOutput(name, binary_data=binary_out) for name in OUTPUTS]
    result = client.infer("small", [bytes_input(images, binary=binary_in)], outputs=outputs, request_id="7")
    check(result, made, rows)
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("rows", [None, 1, 2])
@pytest.mark.parametrize("binary", [True, False])
def test_pixels(client: Any, made: Made, rows: int | None, binary: bool) -> None:
    pixels = np.stack([decode(path).rgb for path in made.small.images[: rows or 1]])
    pixels = pixels[0] if rows is None else pixels
    tensor = http.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in OUTPUTS]
    check(client.infer("small", [tensor], model_version="1", outputs=outputs), made, rows or 1)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client: Any, made: Made, algorithm: str) -> None:
    tensor = bytes_input([made.small.images[0].read_bytes()], binary=True)
    result = client.infer(
        "small", [tensor], request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
    )
    check(result, made, 1)


def test_parameters_and_errors(client: Any, made: Made) -> None:
    tensor = bytes_input([made.small.images[0].read_bytes()], binary=True)
    result = client.infer("small", [tensor], parameters={"max_latency_ms": 100.5, "explain": True}, timeout=10_000_000)
    assert b"steps" in result.as_numpy("explanation")[0]
    with pytest.raises(InferenceServerException, match="max_latency") as caught:
        client.infer("small", [tensor], parameters={"max_latency_ms": -1})
    assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="unknown model") as caught:
        client.infer("other", [tensor])
    assert caught.value.status() == "404"


def test_concurrent_requests(client: Any, made: Made, server: str) -> None:
    many = http.InferenceServerClient(server.removeprefix("http://"), concurrency=4)
    images = [path.read_bytes() for path in made.small.images]
    pending = [many.async_infer("small", [bytes_input([image], binary=True)]) for image in images]
    labels = [request.get_result().as_numpy("label")[0] for request in pending]
    many.close()
    with premodel.load(made.path) as clf:
        assert labels == [clf.predict(image).label for image in images]
