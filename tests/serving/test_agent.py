"""The agent of a board: the protocol, and what it states beyond it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from agents import agent
from premodel.backends.replay import ReplayBackend
from premodel.domains.image.decode import decode
from premodel.domains.image.features.extractor import Extractor
from premodel.domains.image.preprocess import preprocess
from premodel.errors import OptionError
from premodel.files import file_sha256
from premodel.serving.agent import make_agent
from premodel.serving.board import Board
from premodel.serving.limits import Limits
from premodel.zoo.manifest import read_zoo
from serving_client import binary_request, png
from zoos import SmallZoo, write_zoo

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    views = {"m1": [{"name": "mirror", "mirror": True}]}
    correct = np.random.default_rng(1).random((6, 3)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("board"), correct=correct, models=["m0", "m1"], views=views)


def client_of(zoo: Path, token: str | None = None, memory_budget_mb: float | None = None, **limits: Any) -> TestClient:
    known = Limits(**limits)
    board = Board(read_zoo(zoo), known, memory_budget_mb=memory_budget_mb)
    return TestClient(make_agent(board, known, token), base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def client(small: SmallZoo) -> Generator[TestClient]:
    with client_of(small.zoo) as client:
        yield client


def tensor_request(values: Any, name: str = "input") -> tuple[bytes, dict[str, str]]:
    entry = {"name": name, "datatype": "UINT8", "shape": list(values.shape)}
    text = json.dumps({"id": "a", "inputs": [{**entry, "parameters": {"binary_data_size": values.size}}]}).encode()
    return text + values.tobytes(), {"inference-header-content-length": str(len(text))}


def read(response: Any) -> tuple[dict[str, Any], Any]:
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    data = json.loads(response.content[:length])
    (entry,) = data["outputs"]
    return data, np.frombuffer(response.content[length:], "<f4").reshape(entry["shape"])


def test_metadata_of_a_candidate(client: TestClient, small: SmallZoo) -> None:
    assert client.get("/v2").json()["name"] == "premodel-agent"
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m0/ready"):
        assert client.get(path).status_code == 200
    about = client.get("/v2/models/m1@mirror").json()
    assert (about["name"], about["versions"]) == ("m1@mirror", ["1"])
    assert about["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [1, 8, 8, 3]}]
    assert about["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [1, 6]}]
    own = about["premodel"]
    assert own["sha256"] == file_sha256(small.zoo.parent / "models" / "m1.npz")
    assert own["candidate"]["view"] == {"name": "mirror", "mirror": True}
    assert own["conditions"]["device"] == own["device"]
    assert str(small.zoo.parent) not in json.dumps(about), "no path of the board is reported"
    assert client.get("/v2/models/m1@mirror/versions/1").json() == about


@pytest.mark.parametrize("form", ["raw", "bytes", "pixels"])
def test_an_image_with_the_times_of_the_board(client: TestClient, small: SmallZoo, form: str) -> None:
    data = small.images[0].read_bytes()
    if form == "raw":
        body, headers = data, {"inference-header-content-length": "0"}
    elif form == "bytes":
        body, headers = binary_request([data])
    else:
        body, headers = tensor_request(decode(data).rgb, "image")
    answer, output = read(client.post("/v2/models/m0/infer", content=body, headers=headers))
    np.testing.assert_array_equal(output[0], small.probabilities[0, 0])
    assert set(answer["parameters"]) == {"decode_ms", "preprocess_ms", "inference_ms"}
    assert min(answer["parameters"].values()) > 0
    assert (answer["model_name"], answer["model_version"]) == ("m0", "1")


def test_a_tensor_as_any_client_sends_it(client: TestClient, small: SmallZoo) -> None:
    candidate = read_zoo(small.zoo).candidate("m1@mirror")
    tensor = preprocess(decode(small.images[1]), candidate.input, mirror=True)
    body, headers = tensor_request(tensor)
    answer, output = read(client.post("/v2/models/m1/versions/1/infer", content=body, headers=headers))
    np.testing.assert_array_equal(output[0], small.probabilities[1, 2])
    assert (answer["id"], list(answer["parameters"])) == ("a", ["inference_ms"])
    entry = {"name": "input", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": tensor.ravel().tolist()}
    _, again = read(client.post("/v2/models/m1/infer", content=json.dumps({"inputs": [entry]})))
    np.testing.assert_array_equal(again, output)


def test_times_of_decoding_and_of_every_part_of_the_features(client: TestClient, small: SmallZoo) -> None:
    body, headers = binary_request([small.images[0].read_bytes()])
    answer, output = read(client.post("/v2/models/@decode/infer", content=body, headers=headers))
    assert (list(answer["parameters"]), output.tolist()) == (["decode_ms"], [14.0, 18.0])
    answer, output = read(client.post("/v2/models/@features/infer", content=body, headers=headers))
    extractor = Extractor()
    assert set(answer["parameters"]) == {f"{part}_ms" for part in extractor.cost_items()}
    np.testing.assert_array_equal(output, extractor.extract(decode(small.images[0]).rgb))


def test_a_tritonclient_knows_no_difference(small: SmallZoo) -> None:
    http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    tensor = preprocess(decode(small.images[2]), read_zoo(small.zoo).candidates[0].input)
    with agent(small.zoo) as url, http.InferenceServerClient(url.removeprefix("http://")) as client:
        assert client.is_server_ready()
        assert client.is_model_ready("m0")
        entry = client.get_model_metadata("m0")["inputs"][0]
        given = http.InferInput(entry["name"], entry["shape"], entry["datatype"])
        given.set_data_from_numpy(tensor)
        result = client.infer("m0", [given])
        np.testing.assert_array_equal(result.as_numpy("output")[0], small.probabilities[2, 0])
        assert result.get_response()["parameters"]["inference_ms"] > 0


@pytest.mark.parametrize(
    ("path", "content", "status", "reported"),
    [
        ("/v2/models/m9/infer", "raw", 404, "unknown model; given: 'm9'; allowed: m0, m1, m1@mirror, @decode"),
        ("/v2/models/m0/versions/2/infer", "raw", 404, "unknown version"),
        ("/v2/models/m0/infer", "text", 400, "image"),
        ("/v2/models/m0/infer", "shape", 400, "wrong input; given: uint8 (1, 9, 9, 3); allowed: uint8 (1, 8, 8, 3)"),
        ("/v2/models/m0/infer", "name", 400, "unknown input; given: 'x'; allowed: input, image"),
        ("/v2/models/@decode/infer", "shape", 400, "unknown input; given: 'input'; allowed: image"),
        ("/v2/models/m0/infer", "two", 400, "too many images in one request; given: 2; allowed: 1"),
        ("/v2/models/m0/infer", "foreign", 500, "no answer is recorded for this input"),
        ("/v2/models/m0/infer", "large", 413, "request is too large"),
        ("/v2/models/m0/infer", "pixels", 400, "pixels"),
    ],
)
def test_refusals_are_one_line(small: SmallZoo, path: str, content: str, status: int, reported: str) -> None:
    raw = {"inference-header-content-length": "0"}
    image = small.images[0].read_bytes()
    requests = {
        "raw": (image, raw),
        "text": (b"no image at all", raw),
        "shape": tensor_request(np.zeros((1, 9, 9, 3), np.uint8)),
        "name": tensor_request(np.zeros((1, 8, 8, 3), np.uint8), "x"),
        "two": binary_request([image, image]),
        "foreign": (png(20, 20), raw),
        "large": (b"x" * 200_000, raw),
        "pixels": (png(200, 200), raw),
    }
    body, headers = requests[content]
    with client_of(small.zoo, max_body_bytes=100_000, max_pixels=30_000) as client:
        response = client.post(path, content=body, headers=headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert reported in error
    assert "\n" not in error


def test_a_candidate_that_cannot_be_opened_is_said_so(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((2, 2), bool))
    (tmp_path / "models" / "m1.npz").write_bytes(b"damaged")
    with client_of(small.zoo) as client:
        assert client.get("/v2/models/m0").status_code == 200
        assert client.get("/v2/models/m1/ready").status_code == 400
        response = client.get("/v2/models/m1")
        assert response.status_code == 500
        assert "wrong sha256" in response.json()["error"]


def test_a_token(small: SmallZoo) -> None:
    with client_of(small.zoo, TOKEN) as client:
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/v2", "/v2/models/m0"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.post("/v2/models/m0/infer", content=b"x").status_code == 401


def test_models_run_one_at_a_time_and_more_than_the_queue_is_refused(
    small: SmallZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    running: list[int] = []
    real = ReplayBackend.predict

    def predict(self: ReplayBackend, tensor: Any) -> Any:
        running.append(1)
        assert len(running) == 1, "two at once"
        entered.set()
        assert go.wait(60)
        running.pop()
        return real(self, tensor)

    monkeypatch.setattr(ReplayBackend, "predict", predict)
    data, headers = small.images[0].read_bytes(), {"inference-header-content-length": "0"}
    with client_of(small.zoo, queue=1) as client, ThreadPoolExecutor(3) as pool:
        first = pool.submit(client.post, "/v2/models/m0/infer", content=data, headers=headers)
        assert entered.wait(60)
        others = [pool.submit(client.post, "/v2/models/m0/infer", content=data, headers=headers) for _ in range(2)]
        refused = wait(others, 60, FIRST_COMPLETED).done.pop().result()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        go.set()
        statuses = sorted(one.result(60).status_code for one in (first, *others))
    assert statuses == [200, 200, 503]


def test_a_small_board_keeps_its_budget(small: SmallZoo) -> None:
    sizes = [(small.zoo.parent / "models" / f"{name}.npz").stat().st_size for name in ("m0", "m1")]
    budget_mb = 2 * max(sizes) / 1e6
    data, headers = small.images[0].read_bytes(), {"inference-header-content-length": "0"}
    with client_of(small.zoo, memory_budget_mb=budget_mb) as client:
        for name in ("m0", "m1", "m0", "m1@mirror"):
            assert client.post(f"/v2/models/{name}/infer", content=data, headers=headers).status_code == 200
    with pytest.raises(OptionError, match="larger than the whole memory budget"):
        client_of(small.zoo, memory_budget_mb=budget_mb / 100)
