"""`premodel serve`: what it states, what it refuses, how it ends."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.cli.main import main
from serving_client import INFER, running

for package in ("starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason="the serve extra is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("made"), MAKERS["select, the paper's chain"])


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_serves_and_ends_in_order(made: Made, end: signal.Signals) -> None:
    with running(made.path, "--workers", 1) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        request = Request(url + INFER, made.small.images[0].read_bytes(), {"Inference-Header-Content-Length": "0"})
        with urlopen(request) as response:
            assert json.loads(response.read())["model_name"] == "small"
        process.send_signal(end)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert errors.splitlines()[-1] == "premodel serve: stopped"
        assert "Traceback" not in errors


def test_a_token_from_a_file(made: Made, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    with running(made.path, "--token-file", tmp_path / "token") as (url, _):
        with urlopen(Request(url + "/v2", headers={"Authorization": "Bearer 0123456789abcdef"})) as response:
            assert response.status == 200
        with pytest.raises(OSError, match="401") as caught:
            urlopen(url + "/v2")
        caught.value.close()  # type: ignore[attr-defined]


def test_tls(made: Made, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    with running(made.path, "--tls-cert", cert, "--tls-key", key) as (url, _):
        assert url.startswith("https://")
        with urlopen(url + "/v2", context=ssl.create_default_context(cafile=str(cert))) as response:
            assert json.loads(response.read())["name"] == "premodel"


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["--host", "0.0.0.0"], "--allow-open"),
        (["--token-file", "absent"], "absent"),
        (["--tls-cert", "cert.pem"], "go together"),
        (["--queue", "-1"], "queue"),
        (["--timeout", "nan"], "timeout"),
        (["--max-megapixels", "1000"], "max_pixels"),
        (["--max-megapixels", "nan"], "max_pixels"),
        (["--max-body-mb", "inf"], "max_body_bytes"),
        (["--port", "99999"], "no port"),
        (["--threads", "0"], "threads"),
        (["--memory-budget-mb", "-1"], "memory budget"),
    ],
)
def test_mistakes_are_one_line(made: Made, capsys: Any, words: list[str], reported: str) -> None:
    assert main(["serve", str(made.path), *words]) == 2
    errors = capsys.readouterr().err
    assert reported in errors
    assert errors.count("\n") == 1


def test_a_foreign_bundle(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.premodel").write_bytes(b"nothing")
    assert main(["serve", str(tmp_path / "a.premodel")]) == 2
    assert "a.premodel" in capsys.readouterr().err


def test_without_the_extra(made: Made, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("premodel.cli.server_options.find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert main(["serve", str(made.path)]) == 2
    assert "premodel[serve]" in capsys.readouterr().err
