"""A model on a server: what only it can get wrong, each in one line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agents import agent, board_manifest, serving_app
from foreign_server import foreign
from premodel.backends.oip import OipBackend
from premodel.domains.image.decode import decode
from premodel.domains.image.preprocess import preprocess
from premodel.errors import ModelError, OptionError, PremodelError, RemoteError, RunError, ZooError
from premodel.protocol.client import CA_FILE_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, check_url
from premodel.runtime.candidate import open_candidates, open_network
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

TOKEN = "0123456789abcdef"
Endpoint = Callable[[Request], Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    views = {"m1": [{"name": "mirror", "mirror": True}]}
    correct = np.random.default_rng(1).random((6, 3)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("board"), correct=correct, models=["m0", "m1"], views=views)


@pytest.fixture(scope="module")
def url(small: SmallZoo) -> Generator[str]:
    with agent(small.zoo) as url:
        yield url


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, CA_FILE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def open_it(url: str, name: str = "m0", **settings: Any) -> OipBackend:
    return OipBackend.open(Path(name), threads=1, settings={"url": url, **settings})


def tensor() -> Any:
    return np.zeros((1, 8, 8, 3), np.uint8)


def one_line(error: PremodelError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def scripted(infer: Endpoint, metadata: dict[str, Any] | None = None) -> AbstractContextManager[str]:
    """A server whose model m0 takes 8x8 uint8 images and answers what `infer` states."""
    about = {
        "name": "m0",
        "inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 8, 8, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 6]}],
        **(metadata or {}),
    }

    async def model(request: Request) -> Response:
        return JSONResponse(about)

    routes = [Route("/v2/models/m0", model), Route("/v2/models/m0/infer", infer, methods=["POST"])]
    return serving_app(Starlette(routes=routes))


def test_candidates_of_a_board_answer_as_they_do_there(small: SmallZoo, url: str) -> None:
    manifest = board_manifest(small.zoo, url, "all.toml")
    here, there = (open_candidates(read_zoo(file).candidates) for file in (small.zoo, manifest))
    for image in small.images:
        for own, remote in zip(here, there, strict=True):
            expected, found = own.predict(decode(image)), remote.predict(decode(image))
            np.testing.assert_array_equal(found.labels, expected.labels)
            np.testing.assert_array_equal(found.probabilities, expected.probabilities)
            assert own.candidate.prediction_key == remote.candidate.prediction_key
            assert own.candidate.timing_key == remote.candidate.timing_key
            assert own.candidate.network_key != remote.candidate.network_key


def test_an_image_is_prepared_by_the_board_as_its_view_says(small: SmallZoo, url: str) -> None:
    backend = open_it(url, "m1")
    data = small.images[0].read_bytes()
    outputs = [backend.run_image(data, view) for view in ("", "mirror")]
    np.testing.assert_array_equal([run.output[0] for run in outputs], small.probabilities[0, 1:])
    for run in outputs:
        assert set(run.times_ms) == {"decode", "preprocess", "inference"}
        assert sum(run.times_ms.values()) <= run.round_trip_ms
    ready = preprocess(decode(data), read_zoo(small.zoo).candidates[1].input)
    assert set(backend.run(ready).times_ms) == {"inference"}, "a tensor was prepared here"


def test_the_servers_refusal_of_an_input_is_a_run_error(small: SmallZoo, url: str) -> None:
    with pytest.raises(RunError, match="no answer is recorded for this input") as caught:
        open_it(url).predict(tensor() + 7)
    assert one_line(caught.value).startswith(f"{url}/v2/models/m0: server failed")


def test_refused_connection() -> None:
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:9: server does not answer \(connection refused\)") as caught:
        open_it("http://127.0.0.1:9")
    assert caught.value.exit_code == 1
    one_line(caught.value)


def test_unknown_host() -> None:
    with pytest.raises(RemoteError, match="server does not answer") as caught:
        open_it("http://nowhere.invalid:8090")
    one_line(caught.value)


def test_unknown_model_and_version_name_those_there_are(url: str) -> None:
    with pytest.raises(ModelError, match=r"unknown model; given: 'm7'; allowed: m0, m1, m1@mirror") as caught:
        open_it(url, "m7")
    one_line(caught.value)
    with pytest.raises(ModelError, match=r"unknown version; given: '3'; allowed: 1"):
        open_it(url, version="3")
    assert open_it(url, "m7", model="m1", version="1").input.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("how", ["variable", "file"])
def test_tokens(small: SmallZoo, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with agent(small.zoo, TOKEN) as url:
        with pytest.raises(OptionError, match=rf"server refuses .*given: no token; .*{TOKEN_FILE_VARIABLE}") as caught:
            open_it(url)
        one_line(caught.value)
        monkeypatch.setenv(TOKEN_VARIABLE, "another0123456789")
        with pytest.raises(OptionError, match="a token that it does not take") as caught:
            open_it(url)
        assert "another" not in one_line(caught.value)
        monkeypatch.delenv(TOKEN_VARIABLE)
        (tmp_path / "token").write_text(TOKEN + "\n")
        if how == "file":
            monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(tmp_path / "token"))
        else:
            monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        image = small.images[0].read_bytes()
        assert open_it(url).run_image(image).output.shape == (1, 6)


def test_tokens_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "two words")
    with pytest.raises(OptionError, match=rf"{TOKEN_VARIABLE} must be a token"):
        open_it("http://127.0.0.1:9")
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, "absent")
    with pytest.raises(OptionError, match="token file cannot be read"):
        open_it("http://127.0.0.1:9")


def test_tls(small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    with agent(small.zoo, ssl_certfile=cert, ssl_keyfile=key) as url:
        with pytest.raises(OptionError, match=rf"{url}: TLS failed \(self.signed.*{CA_FILE_VARIABLE}") as caught:
            open_it(url)
        one_line(caught.value)
        monkeypatch.setenv(CA_FILE_VARIABLE, str(cert))
        assert open_it(url).input.shape == (1, 8, 8, 3)
        with pytest.raises(RemoteError, match="server does not answer"):
            open_it(url.replace("https", "http"))
    with agent(small.zoo) as plain, pytest.raises(OptionError, match=r"TLS failed .*write http://"):
        open_it(plain.replace("http", "https"))
    monkeypatch.setenv(CA_FILE_VARIABLE, "absent.pem")
    with pytest.raises(OptionError, match=r"absent\.pem: certificate cannot be read"):
        open_it(plain.replace("http", "https"))


def test_another_file_than_the_manifests(url: str) -> None:
    with pytest.raises(ModelError, match=r"server runs another model file; given: [0-9a-f]{64}; allowed: 0{64}") as c:
        open_it(url, sha256="0" * 64)
    one_line(c.value)


def test_another_shape_than_the_manifests(small: SmallZoo, url: str) -> None:
    manifest = board_manifest(small.zoo, url, "wide.toml")
    manifest.write_text(manifest.read_text().replace("size = [8, 8]", "size = [9, 9]"))
    with pytest.raises(ZooError, match=r"input size.*contradicts.*\(1, 9, 9, 3\).*\(1, 8, 8, 3\)") as caught:
        open_network(read_zoo(manifest).candidates[0])
    one_line(caught.value)
    with pytest.raises(RunError, match="wrong input"):
        open_it(url).predict(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.parametrize("reported", [2, "1", None])
def test_an_agent_of_another_version(reported: Any) -> None:
    with scripted(lambda _: None, {"premodel": {"agent": reported}}) as url:
        with pytest.raises(ModelError, match=r"agent is of another version.*install the same premodel") as caught:
            open_it(url)
        one_line(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {"inputs": None},
        {"inputs": []},
        {"outputs": [7]},
        {"inputs": [{"name": "x"}]},
        {"inputs": [{"name": "x", "datatype": "UINT8", "shape": ["wide"]}]},
    ],
)
def test_what_is_no_inference_server(metadata: dict[str, Any]) -> None:
    with scripted(lambda _: None, metadata) as url, pytest.raises(ModelError) as caught:
        open_it(url)
    assert url in one_line(caught.value)


def test_redirects_are_not_followed() -> None:
    async def elsewhere(request: Request) -> Response:
        return RedirectResponse("http://127.0.0.1:9/")

    app = Starlette(routes=[Route("/v2/models/m0", elsewhere)])
    with serving_app(app) as url, pytest.raises(ModelError, match="server sends elsewhere; given: status 307"):
        open_it(url)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"text", b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 6], "data": [1]}]}'],
)
def test_a_response_that_is_none_is_a_run_error_or_no_output(body: bytes) -> None:
    async def infer(request: Request) -> Response:
        return Response(body)

    with scripted(infer) as url:
        backend = open_it(url)
        if body == b"{}":
            assert backend.predict(tensor()).size == 0
        else:
            with pytest.raises(RunError, match="response cannot be read") as caught:
                backend.predict(tensor())
            one_line(caught.value)


def answer() -> Response:
    values = {"name": "y", "datatype": "FP32", "shape": [1, 6], "data": [0, 0, 1, 0, 0, 0]}
    return JSONResponse({"outputs": [values], "parameters": {"inference_ms": "soon", "preprocess_ms": 2}})


def test_a_busy_server_is_asked_again() -> None:
    asked: list[int] = []

    async def infer(request: Request) -> Response:
        asked.append(1)
        return answer() if len(asked) > 2 else JSONResponse({"error": "queue is full"}, 503)

    with scripted(infer) as url:
        run = open_it(url).run(tensor())
        assert (run.output.argmax(), len(asked)) == (2, 3)
        assert run.times_ms == {"preprocess": 2.0}, "what is not a number is not a time"
        asked.clear()
        backend = open_it(url)
        backend.hurry()
        with pytest.raises(RemoteError, match=r"server is busy .queue is full."):
            backend.predict(tensor())
        assert len(asked) == 1


def test_a_model_that_changed_while_the_server_was_away_is_noticed() -> None:
    asked: list[int] = []
    about: dict[str, Any] = {"versions": ["1"]}

    async def infer(request: Request) -> Response:
        asked.append(1)
        about["versions"] = ["2"]
        return JSONResponse({"error": "restarting"}, 503)

    async def model(request: Request) -> Response:
        entry = {"name": "x", "datatype": "UINT8", "shape": [1, 8, 8, 3]}
        return JSONResponse({"inputs": [entry], "outputs": [{**entry, "name": "y"}], **about})

    routes = [Route("/v2/models/m0", model), Route("/v2/models/m0/infer", infer, methods=["POST"])]
    reported = "model on the server changed while it was away"
    with serving_app(Starlette(routes=routes)) as url, pytest.raises(ModelError, match=reported):
        open_it(url).predict(tensor())
    assert len(asked) == 1


def test_a_connection_closed_while_idle_is_opened_anew_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def infer(request: Request) -> Response:
        return answer()

    with scripted(infer) as url:
        backend = open_it(url)
        backend.predict(tensor())
        connection: Any = backend._client._connection
        connection.sock.shutdown(2)
        assert backend.predict(tensor()).argmax() == 2
    assert caplog.records == []


def test_only_an_agent_takes_images(small: SmallZoo) -> None:
    with foreign(small.zoo) as url:
        backend = open_it(url)
        assert backend.agent is None
        with pytest.raises(RunError, match="only premodel agent takes images"):
            backend.run_image(b"")


def test_options() -> None:
    for settings, reported in (
        ({"url": "ftp://a"}, "no URL of a server; given: ftp://a"),
        ({"url": ""}, "no URL of a server"),
        ({"url": "http://a", "timeout_s": -1}, r"settings\.timeout_s"),
        ({"url": "http://a", "patience_s": "long"}, r"settings\.patience_s"),
        ({"url": "http://a", "model": ""}, r"settings\.model"),
        ({"url": "http://a", "token": TOKEN}, "unknown setting for oip; given: token"),
    ):
        with pytest.raises(OptionError, match=reported):
            OipBackend.open(Path("m0"), threads=1, settings=settings)
    with pytest.raises(OptionError, match="providers are the server's own"):
        OipBackend.open(Path("m0"), threads=1, providers=["CPU"], settings={"url": "http://a"})


def test_urls() -> None:
    assert check_url("https://board:8090/gateway/") == "https://board:8090/gateway"
    for url in ("http://", "http://a:b", "http://a b", "http://a:99999", "http://a?x=1", 7, None, "http://[::1"):
        with pytest.raises(OptionError, match="no URL"):
            check_url(url)
    with pytest.raises(OptionError, match="URL holds a password") as caught:
        check_url("http://me:secret@board:8090")
    assert "secret" not in str(caught.value)


def test_manifest_entries(small: SmallZoo) -> None:
    manifest = board_manifest(small.zoo, "http://board:8090", "entry.toml")
    text = manifest.read_text()
    model = read_zoo(manifest, require_files=True).candidates[0].model
    assert (model.is_remote, model.url) == (True, "http://board:8090")
    for old, new, reported in (
        ('url = "http://board:8090"', "", "url"),
        ("sha256", "git_blob_sha1", "git_blob_sha1"),
        ('remote_runtime = "replay"', 'remote_runtime = "oip"', r"remote_runtime.*allowed: onnx, litert"),
        ('remote_runtime = "replay"', "remote_settings = 3", "remote_settings"),
    ):
        manifest.write_text(text.replace(old, new))
        with pytest.raises(ZooError, match=reported):
            read_zoo(manifest)
    # How long a server is waited for is no other candidate; another server is one where the answer comes over the net.
    manifest.write_text(text.replace('remote_runtime = "replay"', "patience_s = 9"))
    patient = read_zoo(manifest).candidates[0]
    manifest.write_text(text.replace('remote_runtime = "replay"', "timeout_s = 9"))
    assert read_zoo(manifest).candidates[0].timing_key == patient.timing_key
    assert patient.home is patient
