"""Bad input, overload, time, and the end: each has its answer, and none is a 500."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import socket
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import Made
from premodel.errors import InputError, OptionError, RunError
from premodel.protocol.oip import parse_json
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.base import CallOptions
from premodel.serving.limits import Limits
from premodel.serving.request import Asked, read_request
from premodel.serving.service import Service
from serving_client import INFER, binary_request, png, running, until

RAW = {"inference-header-content-length": "0"}
PNG = png(4, 4)
TENSOR = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(PNG).decode()]}
PIXELS = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0] * 6}


def request(**changes: Any) -> bytes:
    return json.dumps({"inputs": [TENSOR], **changes}).encode()


def tensor(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"inputs": [{**base, **changes}]}).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no JSON"),
    "no JSON": (b"{", "no JSON"),
    "no table": (b"[]", "no JSON table"),
    "not UTF-8": (b'{"id": "\xff"}', "no JSON"),
    "NaN": (b'{"inputs": NaN}', "NaN"),
    "a number beyond all measure": (b'{"inputs": ' + b"9" * 5000 + b"}", "no JSON"),
    "too deep": (b'{"inputs": ' + b"[" * 20 + b"]" * 20 + b"}", "nested too deep"),
    "far too deep": (b"[" * 100_000, "nested too deep"),
    "depth behind brackets in texts": (
        b'{"id": "' + b"]" * 90 + b'", "inputs": ' + b"[" * 80 + b"]" * 80 + b"}",
        "deep",
    ),
    "unknown field": (request(input=[]), "unknown field"),
    "id is a number": (request(id=1), "id must be text"),
    "no inputs": (b"{}", "one tensor"),
    "two inputs": (request(inputs=[TENSOR, TENSOR]), "one tensor"),
    "another input": (tensor(TENSOR, name="picture"), "unknown input"),
    "parameters are a list": (request(parameters=[1]), "must be a table"),
    "unknown parameter": (request(parameters={"max_latency": 4}), "max_latency_ms"),
    "budget is a text": (request(parameters={"max_latency_ms": "4"}), "must be a number"),
    "budget is true": (request(parameters={"max_latency_ms": True}), "must be a number"),
    "budget is nothing": (request(parameters={"max_latency_ms": 0}), "wrong max_latency_ms"),
    "budget is huge": (request(parameters={"max_latency_ms": 10**400}), "must be a number"),
    "weight is negative": (request(parameters={"cost_weight": -1}), "below 0"),
    "explain is a number": (request(parameters={"explain": 1}), "must be true or false"),
    "unknown output": (request(outputs=[{"name": "logits"}]), "unknown or repeated output"),
    "output twice": (request(outputs=[{"name": "label"}, {"name": "label"}]), "repeated"),
    "output is a text": (request(outputs=["label"]), "must be a table"),
    "outputs are a table": (request(outputs={}), "must be a list"),
    "shared memory": (request(outputs=[{"name": "label", "parameters": {"shared_memory_region": "r"}}]), "binary_data"),
    "no shape": (tensor(TENSOR, shape=None), "wrong shape"),
    "shape of text": (tensor(TENSOR, shape=["1"]), "wrong shape"),
    "shape of nothing": (tensor(TENSOR, shape=[0]), "wrong shape"),
    "huge shape": (tensor(PIXELS, shape=[2**31, 2, 3]), "wrong shape"),
    "shape of two columns": (tensor(TENSOR, shape=[1, 2]), "wrong input tensor"),
    "wrong datatype": (tensor(TENSOR, datatype="FP32"), "wrong input tensor"),
    "datatype is a table": (tensor(TENSOR, datatype={}), "wrong input tensor"),
    "no data": (tensor(TENSOR, data=None), "no data"),
    "shape and images differ": (tensor(TENSOR, shape=[2]), "shape and data differ"),
    "no base64": (tensor(TENSOR, data=["ä"]), "base64"),
    "image is a number": (tensor(TENSOR, data=[1]), "must be text"),
    "no image": (tensor(TENSOR, data=["aGFsbG8="]), "not an image"),
    "empty image": (tensor(TENSOR, data=[""]), "empty"),
    "truncated image": (tensor(TENSOR, data=[base64.b64encode(PNG[:-20]).decode()]), "truncated"),
    "too many images": (tensor(TENSOR, shape=[33], data=TENSOR["data"] * 33), "too many images"),
    "shape and pixels differ": (tensor(PIXELS, shape=[2, 2, 3]), "shape and data differ"),
    "ragged pixels": (tensor(PIXELS, data=[[0, 0], [0]]), "different lengths"),
    "pixels of text": (tensor(PIXELS, data=["0"] * 6), "UINT8"),
    "pixels beyond": (tensor(PIXELS, data=[256] * 6), "UINT8"),
    "pixels below": (tensor(PIXELS, data=[-1] * 6), "UINT8"),
    "pixels beyond all measure": (tensor(PIXELS, data=[2**70] * 6), "UINT8"),
    "fractions of pixels": (tensor(PIXELS, data=[0.5] * 6), "UINT8"),
    "four channels": (tensor(PIXELS, shape=[1, 2, 4], data=[0] * 8), "wrong input tensor"),
    "too many pixels": (tensor(PIXELS, shape=[10_000, 10_000, 3]), "pixels"),
}


@contextmanager
def held(service: Any) -> Generator[threading.Event]:
    """Every answer waits until the event is set."""
    release = threading.Event()
    predict = service.premodel.predict

    def wait(*args: Any, **options: Any) -> Any:
        assert release.wait(20)
        return predict(*args, **options)

    service.premodel.predict = wait
    try:
        yield release
    finally:
        release.set()
        del service.premodel.predict


def check_error(response: Any, status: int, word: str) -> None:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    assert word in response.json()["error"]
    assert "\n" not in response.json()["error"]


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_400_with_one_line(made: Made, serving: Any, case: str) -> None:
    body, word = BAD[case]
    with serving(made.path) as (client, service):
        check_error(client.post(INFER, content=body), 400, word)
        assert service._accepted == 0
        assert 'premodel_rejected_total{reason="input"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "999", "²", "9" * 50, "5"])
def test_bad_header_length(made: Made, serving: Any, length: str) -> None:
    with serving(made.path) as (client, _):
        headers = {"inference-header-content-length": length.encode()}
        assert client.post(INFER, content=request(), headers=headers).status_code == 400


@pytest.mark.parametrize(("cut", "size"), [(0, 1), (3, 0), (0, -1), (0, True), (0, "9"), (2, -2)])
def test_bad_binary_data(made: Made, serving: Any, cut: int, size: Any) -> None:
    body, _ = binary_request([PNG])
    data = body[body.index(b"}]}") + 3 :]
    text = tensor({k: v for k, v in TENSOR.items() if k != "data"}, parameters={
        "binary_data_size": size if isinstance(size, bool | str) else len(data) + size})  # fmt: skip
    with serving(made.path) as (client, _):
        headers = {"inference-header-content-length": str(len(text))}
        check_error(client.post(INFER, content=text + data[: len(data) - cut], headers=headers), 400, "binary")


def test_both_data_and_binary_data(made: Made, serving: Any) -> None:
    text = tensor(TENSOR, parameters={"binary_data_size": 4})
    with serving(made.path) as (client, _):
        headers = {"inference-header-content-length": str(len(text))}
        check_error(client.post(INFER, content=text + b"\0\0\0\0", headers=headers), 400, "both")


def test_the_bad_image_of_a_batch_is_named(made: Made, serving: Any) -> None:
    body, headers = binary_request([made.small.images[0].read_bytes(), b"GIF89a"])
    with serving(made.path) as (client, _):
        check_error(client.post(INFER, content=body, headers=headers), 400, "image 1")


def test_too_large(made: Made, serving: Any) -> None:
    with serving(made.path, max_body_bytes=2000) as (client, service):
        check_error(client.post(INFER, content=b" " * 2001), 413, "2000 bytes")
        check_error(client.post(INFER, content=iter([b" " * 1500] * 2)), 413, "2000 bytes")
        packed = gzip.compress(b" " * 1_000_000)
        assert len(packed) < 2000
        check_error(client.post(INFER, content=packed, headers={"content-encoding": "gzip"}), 413, "unpacked")
        check_error(client.post(INFER, content=packed[:-9], headers={"content-encoding": "gzip"}), 413, "unpacked")
        check_error(client.post(INFER, content=b"x", headers={"content-encoding": "gzip"}), 400, "gzip")
        check_error(client.post(INFER, content=b"x", headers={"content-encoding": "br"}), 400, "gzip, deflate")
        half = gzip.compress(request())[:-4]
        check_error(client.post(INFER, content=half, headers={"content-encoding": "gzip"}), 400, "ends within")
        assert service._accepted == 0


def test_too_many_pixels_is_seen_before_decoding(made: Made, serving: Any) -> None:
    with serving(made.path, max_pixels=100) as (client, _):
        check_error(client.post(INFER, content=png(11, 10), headers=RAW), 400, "11 x 10")
        body, headers = binary_request([png(2, 2), png(11, 10)])
        check_error(client.post(INFER, content=body, headers=headers), 400, "image 1")
        image = made.small.images[0].read_bytes()
        check_error(client.post(INFER, content=image, headers=RAW), 400, "18 x 14")


def test_unknown_paths_models_and_methods(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        check_error(client.get("/v3"), 404, "/v3")
        check_error(client.get("/v2/models/Other"), 404, "'Other'")
        check_error(client.get("/v2/models/small/versions/2"), 404, "version")
        check_error(client.post("/v2/models/other/infer", content=request()), 404, "small")
        check_error(client.get(INFER), 405, "not allowed")
        assert 'premodel_request_seconds_count{code="404"} 1.0' in client.get("/metrics").text


def test_overload_is_refused_at_once(made: Made, serving: Any) -> None:
    image = made.small.images[0].read_bytes()
    with serving(made.path, workers=1, queue=1) as (client, service), ThreadPoolExecutor() as pool:
        service._warm.result(timeout=30)
        with held(service) as release:
            first = [pool.submit(client.post, INFER, content=image, headers=RAW) for _ in range(2)]
            until(lambda: service._accepted == 2 and service._running == 1)
            assert "premodel_queue_depth 1.0" in client.get("/metrics").text
            refused = client.post(INFER, content=image, headers=RAW)
            check_error(refused, 503, "busy")
            assert int(refused.headers["retry-after"]) >= 1
            assert client.get("/v2/health/live").status_code == 200
            release.set()
        assert [answer.result().status_code for answer in first] == [200, 200]
        until(lambda: service._accepted == 0)
        assert client.post(INFER, content=image, headers=RAW).status_code == 200
        assert 'premodel_rejected_total{reason="overload"} 1.0' in client.get("/metrics").text


def test_time_runs_out_in_the_queue_and_at_work(made: Made, serving: Any) -> None:
    image = made.small.images[0].read_bytes()
    with serving(made.path, workers=1, queue=4, timeout_s=0.3) as (client, service), ThreadPoolExecutor() as pool:
        service._warm.result(timeout=30)
        with held(service) as release:
            working = pool.submit(client.post, INFER, content=image, headers=RAW)
            until(lambda: service._running == 1)
            waiting = pool.submit(client.post, INFER, content=image, headers=RAW)
            check_error(working.result(), 504, "in time")
            check_error(waiting.result(), 503, "waited too long")
            assert waiting.result().headers["retry-after"]
            assert service._accepted == 1, "the one at work still holds its place"
            release.set()
        until(lambda: service._accepted == 0)
        assert client.post(INFER, content=image, headers=RAW).status_code == 200


def test_the_requests_own_time(made: Made, serving: Any) -> None:
    image = made.small.images[0].read_bytes()
    body, headers = binary_request([image], more={"parameters": {"timeout": 1000}})
    with serving(made.path, workers=1) as (client, service), ThreadPoolExecutor() as pool:
        service._warm.result(timeout=30)
        with held(service) as release:
            working = pool.submit(client.post, INFER, content=image, headers=RAW)
            until(lambda: service._running == 1)
            waiting = pool.submit(client.post, INFER, content=body, headers=headers)
            until(lambda: service._accepted == 2)
            time.sleep(0.01)
            release.set()
        assert working.result().status_code == 200
        check_error(waiting.result(), 503, "waited too long")


def test_every_candidate_failing_is_one_clear_error(made: Made, serving: Any) -> None:
    """Recorded answers know only their own images; on another one every candidate fails."""
    with serving(made.path) as (client, _):
        check_error(client.post(INFER, content=PNG, headers=RAW), 500, "no candidate could answer")
        assert "premodel_unanswered_total 1.0" in client.get("/metrics").text


def test_the_failing_image_of_a_batch_is_named(made: Made, serving: Any) -> None:
    body, headers = binary_request([made.small.images[0].read_bytes(), PNG])
    with serving(made.path) as (client, _):
        check_error(client.post(INFER, content=body, headers=headers), 500, "image 1: no candidate")


def test_a_body_that_does_not_arrive(made: Made) -> None:
    with running(made.path, "--timeout", 0.3) as (url, _):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n12".encode())
            assert connection.recv(20).startswith(b"HTTP/1.1 408 ")
        with urlopen(url + "/metrics") as metrics:
            text = metrics.read()
        assert b'premodel_rejected_total{reason="timeout"} 1.0' in text
        assert b"premodel_queue_depth 0.0" in text, "the place was given back"


def test_a_mistake_of_ours_is_one_line_too(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, service):
        service.premodel.predict = lambda *_, **__: 1 / 0
        check_error(client.post(INFER, content=PNG, headers=RAW), 500, "ZeroDivisionError")
        assert service._accepted == 0


def test_limits_have_ranges() -> None:
    for wrong in ({"workers": 0}, {"queue": -1}, {"timeout_s": float("nan")}, {"max_pixels": 10**9}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            Limits(**wrong)  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
NAMED = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("image") | JSON,
        "datatype": st.sampled_from(["BYTES", "UINT8"]) | JSON,
        "shape": st.lists(st.integers(-1, 5), max_size=5) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-2, 40)}) | JSON,
        "data": st.lists(st.integers(-1, 300), max_size=40) | JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(NAMED, max_size=2) | JSON},
    optional={
        "id": JSON,
        "parameters": st.dictionaries(st.sampled_from(["explain", "timeout"]), JSON),
        "outputs": JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(REQUEST | JSON, st.binary(max_size=40), st.none() | st.integers(-3, 3))
def test_whatever_is_sent_is_read_or_refused(data: Any, rest: bytes, off: int | None) -> None:
    text = json.dumps(data).encode()
    length = None if off is None else len(text) + off
    try:
        found = read_request(text + rest, Asked(length), Limits())
    except InputError:
        return
    assert 1 <= len(found.images) <= Limits().max_batch
    assert isinstance(found.options, CallOptions)
    assert all(isinstance(image, bytes) or image.dtype == np.uint8 for image in found.images)


@given(st.integers(1, 12), st.text(alphabet='[]{}"\\a', max_size=12))
def test_depth_is_exact_whatever_texts_hold(depth: int, text: str) -> None:
    """A table around `depth` lists is `depth + 1` deep."""
    body = json.dumps({text: [text, *([] for _ in range(30))], "b": text}).encode()
    deep = b'{"t":' + json.dumps(text).encode() + b',"d":' + b"[" * depth + b"]" * depth + b',"e":[[],[],[],[],[]]}'
    assert parse_json(body, 3)
    assert parse_json(deep, max(depth + 1, 3))
    if depth > 2:
        with pytest.raises(InputError, match=f"given: {depth + 1}"):
            parse_json(deep, depth)


def test_headers_beyond_the_limit(server: str) -> None:
    with urlopen(Request(server + "/v2", headers={"x": "a" * 15_000})) as response:
        assert response.status == 200
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(server + "/v2", headers={"x": "a" * 17_000}))
    assert caught.value.code == 431
    assert "16384" in json.loads(caught.value.read())["error"]
    caught.value.close()


def test_stop_answers_what_was_accepted(made: Made) -> None:
    """SIGTERM while a slow body is on its way: the answer still comes, then the process ends with 0."""
    image = made.small.images[0].read_bytes()
    with running(made.path) as (url, process):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(image)}\r\n"
            connection.sendall(head.encode() + b"inference-header-content-length: 0\r\n\r\n" + image[:100])
            with urlopen(Request(url + "/metrics")) as metrics:
                assert b"premodel_queue_depth 1.0" in metrics.read()
            process.send_signal(signal.SIGTERM)
            until(lambda: not listens(host, int(port)))
            connection.sendall(image[100:])
            assert connection.recv(20).startswith(b"HTTP/1.1 200 ")
        assert process.wait(timeout=20) == 0


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_service_that_stopped_takes_nothing(made: Made, serving: Any) -> None:
    with serving(made.path) as (_, service):
        pass
    assert not service.accept()
    with pytest.raises(RunError, match="closed"):
        service.premodel.predict(made.small.images[0])


def test_it_is_not_ready_while_no_worker_moves(made: Made, serving: Any) -> None:
    image = made.small.images[0].read_bytes()
    with serving(made.path, workers=1, timeout_s=0.2) as (client, service), ThreadPoolExecutor() as pool:
        service._warm.result(timeout=30)
        assert client.get("/v2/health/ready").status_code == 200
        with held(service) as release:
            working = pool.submit(client.post, INFER, content=image, headers=RAW)
            check_error(working.result(), 504, "in time")
            until(lambda: client.get("/v2/health/ready").status_code == 400)
            assert client.get("/v2/health/live").status_code == 200
            release.set()
        until(lambda: client.get("/v2/health/ready").status_code == 200)


def test_the_end_does_not_wait_for_a_worker_that_hangs(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("premodel.serving.workers.STOP_S", 0.1)
    service = Service(Premodel(made.path), "small", Limits(workers=1, timeout_s=0.1))
    release = threading.Event()
    service.start()
    service._warm.result(timeout=30)
    service._pool.submit(release.wait, 60)
    service.stop()
    assert service.hung
    release.set()


def test_a_failure_that_repeats_itself_is_one_line(made: Made, serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    image = made.small.images[0].read_bytes()

    def fail(*_: Any, **__: Any) -> Any:
        raise RunError("every candidate failed")

    with serving(made.path) as (client, service):
        service._warm.result(timeout=30)
        service.premodel.predict = fail
        caplog.clear()
        for _ in range(30):
            assert (
                client.post(INFER, content=image, headers={"inference-header-content-length": "0"}).status_code == 500
            )
        assert [record.getMessage() for record in caplog.records] == ["every candidate failed"]
