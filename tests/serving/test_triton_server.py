"""The exported repository in a real Triton, where there is one: `tritonserver` on the path, as in NVIDIA's image."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import Made
from fake_triton import make_mixed
from premodel.domains.image.decode import decode
from premodel.serving.triton_export import export_repository

SERVER = shutil.which("tritonserver") or shutil.which("tritonserver", path="/opt/tritonserver/bin")
START_S = 120
if SERVER is None:
    pytest.skip("there is no tritonserver on the path", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's own dependencies, while they are imported
    http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_mixed(tmp_path_factory.mktemp("mixed"), "select, highest score")


@contextmanager
def triton(repository: Path, log: Path, *words: str) -> Generator[Any]:
    """A client of a server on this repository."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false"]
    command = [str(SERVER), f"--model-repository={repository}", *options, *words]
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        client = http.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=START_S)
        try:
            wait_ready(client, process, log)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait()


def wait_ready(client: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if client.is_server_ready():
                return
        except OSError:  # it does not listen yet
            pass
        time.sleep(0.2)
    pytest.fail(f"Triton is not ready: {log.read_text(errors='replace')[-3000:]}")


def encoded(*images: bytes) -> Any:
    tensor = http.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, np.object_))
    return tensor


def check(result: Any, answers: list[premodel.Answer]) -> None:
    assert result.as_numpy("label").tolist() == [answer.label for answer in answers]
    assert [text.decode() for text in result.as_numpy("class")] == [answer.class_name for answer in answers]
    assert [text.decode() for text in result.as_numpy("candidate")] == [answer.candidate for answer in answers]
    wanted = [answer.top_probabilities for answer in answers]
    np.testing.assert_allclose(result.as_numpy("probabilities"), wanted, atol=1e-5)


def test_answers_as_the_bundle_does(made: Made, tmp_path: Path) -> None:
    folder = export_repository(made.path, tmp_path / "repository").folder
    with premodel.load(made.path) as clf, triton(folder, tmp_path / "log") as client:
        for image in made.small.images:
            check(client.infer("edge", [encoded(image.read_bytes())]), [clf.predict(image)])
        pixels = np.stack([decode(image).rgb for image in made.small.images[:3]])
        tensor = http.InferInput("pixels", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        check(client.infer("edge", [tensor]), [clf.predict(image) for image in made.small.images[:3]])
        for budget_ms in (3.5, "3.5"):
            result = client.infer("edge", [encoded(image.read_bytes())], parameters={"max_latency_ms": budget_ms})
            check(result, [clf.predict(image, max_latency_ms=3.5)])
        with pytest.raises(InferenceServerException, match=r"\[400\] image 1: "):
            client.infer("edge", [encoded(image.read_bytes(), b"no image")])
        batch = http.InferInput("x", [2, 6, 6, 3], "FP32")
        batch.set_data_from_numpy(np.zeros((2, 6, 6, 3), np.float32))
        assert client.infer("small", [batch]).as_numpy("prob").shape == (2, 6)


def test_a_network_that_is_not_loaded_falls_back(made: Made, tmp_path: Path) -> None:
    folder = export_repository(made.path, tmp_path / "repository").folder
    with premodel.load(made.path) as clf:
        images = [image for image in made.small.images if clf.predict(image).candidate == "small"][:3]
    only = ["--model-control-mode=explicit", "--load-model=edge", "--load-model=large"]
    with triton(folder, tmp_path / "log", *only) as client:
        for image in images:
            result = client.infer("edge", [encoded(image.read_bytes())])
            assert result.as_numpy("candidate")[0] in (b"m0", b"large", b"large@mirrored")
