"""The Open Inference Protocol over HTTP: what it promises, form by form."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import Made
from premodel.domains.image.decode import decode
from serving_client import INFER, binary_request, explained, outputs_of

STAGES = ["decode", "features", "select", "predict", "total"]


@pytest.fixture
def served(made: Made, serving: Any) -> Any:
    with serving(made.path) as (client, _):
        yield client


def expected(made: Made, path: Path) -> premodel.Answer:
    with premodel.load(made.path) as clf:
        return clf.predict(path)


def check(outputs: dict[str, Any], made: Made, images: list[Path]) -> None:
    """The served outputs say what the premodel itself states."""
    for row, path in enumerate(images):
        answer = expected(made, path)
        k = len(answer.probabilities)
        assert outputs["label"][row] == answer.label
        assert outputs["class"][row] == answer.class_name
        assert outputs["candidate"][row] == answer.candidate
        np.testing.assert_array_equal(
            np.reshape(outputs["probabilities"], (len(images), -1))[row, :k],
            np.array([line.probability for line in answer.probabilities], np.float32),
        )
        assert np.reshape(outputs["top_labels"], (len(images), -1))[row, :k].tolist() == answer.top_labels
        latency_ms = np.reshape(outputs["latency_ms"], (len(images), -1))[row]
        assert len(latency_ms) == len(STAGES)
        assert 0 < latency_ms[:-1].sum() <= latency_ms[-1] * 1.001


def test_health_and_metadata(served: Any, made: Made) -> None:
    assert served.get("/v2").json() == {
        "name": "premodel",
        "version": premodel.__version__,
        "extensions": ["binary_tensor_data"],
    }
    assert served.get("/v2/health/live").json() == {"live": True}
    for path in ("/v2/models/small", "/v2/models/small/versions/1"):
        about = served.get(path).json()
        assert (about["name"], about["versions"]) == ("small", ["1"])
        assert about["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        shapes = {entry["name"]: entry["shape"] for entry in about["outputs"]}
        assert shapes["label"] == [-1]
        assert shapes["probabilities"] == [-1, 6], "six labels, fewer than twenty"
        assert shapes["latency_ms"] == [-1, 5]


def test_ready_once_every_candidate_was_opened(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, service):
        service._warm.result(timeout=30)
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models/small/ready").json() == {"name": "small", "ready": True}
        service._stopping = True
        assert client.get("/v2/health/ready").status_code == 400
        service._stopping = False


def test_one_encoded_image_as_the_whole_body(served: Any, made: Made) -> None:
    image = made.small.images[0]
    response = served.post(INFER, content=image.read_bytes(), headers={"inference-header-content-length": "0"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert (response.json()["model_name"], response.json()["model_version"]) == ("small", "1")
    assert "id" not in response.json()
    check(outputs_of(response), made, [image])


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_bytes_as_binary_data(served: Any, made: Made, shape: list[int], binary_out: bool) -> None:
    images = list(made.small.images[:3])
    body, headers = binary_request(
        images=[path.read_bytes() for path in images],
        shape=shape,
        more={"id": "a1", "parameters": {"binary_data_output": binary_out}},
    )
    response = served.post(INFER, content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert ("inference-header-content-length" in response.headers) == binary_out
    check(outputs_of(response), made, images)


def test_bytes_as_base64_in_json(served: Any, made: Made) -> None:
    images = list(made.small.images[:2])
    data = [base64.b64encode(path.read_bytes()).decode() for path in images]
    for nested in (data, [[text] for text in data]):
        shape = [2] if nested is data else [2, 1]
        request = {"id": "ü", "inputs": [{"name": "image", "datatype": "BYTES", "shape": shape, "data": nested}]}
        response = served.post(INFER, content=json.dumps(request))  # no content type, as some clients send it
        assert response.status_code == 200, response.text
        assert response.json()["id"] == "ü"
        check(outputs_of(response), made, images)


@pytest.mark.parametrize("form", ["binary", "nested", "flat"])
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_pixels(served: Any, made: Made, form: str, batch: int) -> None:
    images = list(made.small.images[: batch or 1])
    pixels = np.stack([decode(path).rgb for path in images])
    pixels = pixels if batch else pixels[0]
    tensor: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": list(pixels.shape)}
    headers = {}
    if form == "binary":
        tensor["parameters"] = {"binary_data_size": pixels.size}
        text = json.dumps({"inputs": [tensor]}).encode()
        headers["inference-header-content-length"] = str(len(text))
        body = text + pixels.tobytes()
    else:
        tensor["data"] = pixels.tolist() if form == "nested" else pixels.ravel().tolist()
        body = json.dumps({"inputs": [tensor]}).encode()
    response = served.post("/v2/models/small/versions/1/infer", content=body, headers=headers)
    assert response.status_code == 200, response.text
    check(outputs_of(response), made, images)


def test_asked_outputs_in_their_order_and_form(served: Any, made: Made) -> None:
    outputs = [
        {"name": "class", "parameters": {"binary_data": False}},
        {"name": "label", "parameters": {"binary_data": True}},
        {"name": "candidate"},
    ]
    more = {"outputs": outputs, "parameters": {"binary_data_output": True}}
    body, headers = binary_request([made.small.images[0].read_bytes()], more=more)
    response = served.post(INFER, content=body, headers=headers)
    length = int(response.headers["inference-header-content-length"])
    tensors = json.loads(response.content[:length])["outputs"]
    assert [tensor["name"] for tensor in tensors] == ["class", "label", "candidate"]
    assert ["data" in tensor for tensor in tensors] == [True, False, False]
    rest = response.content[length:]
    answer = expected(made, made.small.images[0])
    assert struct.unpack_from("<i", rest)[0] == answer.label
    assert rest[4:] == struct.pack("<I", len(answer.candidate or "")) + (answer.candidate or "").encode()


def test_budget_reaches_the_policy(served: Any, made: Made) -> None:
    image = made.small.images[0].read_bytes()
    with premodel.load(made.path) as clf:
        cheap = clf.predict(image, max_latency_ms=1.9)
    body, headers = binary_request([image], more={"parameters": {"max_latency_ms": 1.9}})
    assert outputs_of(served.post(INFER, content=body, headers=headers))["candidate"] == [cheap.candidate]
    body, headers = binary_request([image], more={"parameters": {"max_latency_ms": 0.0001}})
    refused = served.post(INFER, content=body, headers=headers)
    assert refused.status_code == 400
    assert "m0" in refused.json()["error"], "the cheapest is named"
    body, headers = binary_request([image], more={"parameters": {"cost_weight": 1000}})
    assert served.post(INFER, content=body, headers=headers).status_code == 200


def test_explanation_says_what_was_considered(served: Any, made: Made) -> None:
    data = explained(served, made.small.images[0].read_bytes())
    answer = expected(made, made.small.images[0])
    assert data["candidates"] == list(made.policy.candidates)
    assert data["candidate"] == answer.candidate
    assert data["steps"] == answer.to_json("", explain=True)["steps"]
    assert "path" not in data


def test_abstention(abstaining: Made, serving: Any) -> None:
    with premodel.load(abstaining.path) as clf:
        silent = [path for path in abstaining.small.images if clf.predict(path).abstained]
    assert silent, "the zoo must have an image that nobody answers"
    with serving(abstaining.path) as (client, _):
        body, headers = binary_request([silent[0].read_bytes()], more={"parameters": {"explain": True}})
        outputs = outputs_of(client.post(INFER, content=body, headers=headers))
    assert outputs["label"] == [-1]
    assert (outputs["class"], outputs["candidate"]) == ([""], [""])
    assert set(outputs["probabilities"]) == {0}
    assert set(outputs["top_labels"]) == {-1}
    assert json.loads(outputs["explanation"][0])["abstained"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_request(served: Any, made: Made, encoding: str) -> None:
    body, headers = binary_request([made.small.images[0].read_bytes()])
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    response = served.post(INFER, content=packed, headers={**headers, "content-encoding": encoding})
    assert response.status_code == 200, response.text
    check(outputs_of(response), made, [made.small.images[0]])
