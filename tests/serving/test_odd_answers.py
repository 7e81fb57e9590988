"""Answers of callables that hold what no file or wire holds: one answer, or one line, at every door."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.error
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import agent
from premodel.backends.texts import unpack_answer
from premodel.cli.main import main
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.manifest import read_zoo
from serving_client import outputs_of

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from starlette.testclient import TestClient

from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.record_store import RecordStore
from premodel.serving.recorder import Recorder
from premodel.serving.service import Service

CODE = r"""
SAID = {
    "zero": "ein\0Hund", "zero at the end": "Hund\0", "half": "ein\ud800Hund", "pair": "\ud83d\udc15",
    "long": "x" * (1 << 20), "too long": "x" * ((1 << 20) + 1), "empty": "", "blank": " \n",
    "no label": "kein\0Hund", "no label, long": "y" * 3_000_000,
}

def translate(text):
    return SAID[text], 0.5

def classify(text):
    return SAID.get(text, "de"), 0.5
"""
TRANSLATED = {
    "zero": "ein\ufffdHund",
    "zero at the end": "Hund\ufffd",
    "half": "ein\ufffdHund",
    "pair": "\U0001f415",
    "long": "x" * (1 << 20),
}
REFUSED = {
    "too long": "answer is too long; given: 1048577 characters; allowed: up to 1048576",
    "empty": "translation is empty",
    "blank": "translation is empty",
}
NO_LABEL = {"no label": r"'kein\x00Hund'", "no label, long": "yyy..."}


def made(folder: Path, function: str) -> Path:
    """A bundle of one callable, with its manifest beside it."""
    (folder / "own_answers.py").write_text(CODE)
    task = "translation" if function == "translate" else "text-classification"
    labels = "" if function == "translate" else 'labels = ["de", "en"]\n'
    entry = f'[[models]]\nname = "one"\nruntime = "python"\ncallable = "own_answers.py:{function}"\n'
    (folder / "zoo.toml").write_text(f'name = "own"\ntask = "{task}"\n{labels}{entry}')
    zoo = read_zoo(folder / "zoo.toml")
    criterion = "top1" if labels else "chrf"
    bundle = Bundle(Single(("one",), [1.0], Costs((0.1,), 0.1)), zoo.candidates, zoo.labels, criterion, None)
    write_bundle(folder / "own.premodel", bundle, folder=folder)
    return folder / "own.premodel"


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("translator"), "translate")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("classifier"), "classify")


def predicted(*words: object) -> tuple[int, dict[str, Any], str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in ("predict", *words, "--trust-python", "--json")])
    return code, json.loads(out.getvalue()), err.getvalue()


def requests_of(text: str) -> dict[str, dict[str, Any]]:
    """The text in the server's own form, and in the protocol's with JSON and binary outputs."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    return {
        "own": {"content": text.encode(), "headers": {"content-type": "text/plain"}},
        "JSON": {"json": {"inputs": [tensor], "parameters": {"explain": True}}},
        "binary": {"json": {"inputs": [tensor], "parameters": {"binary_data_output": True}}},
    }


def test_predict_answers_or_refuses_in_one_line(translator: Path, classifier: Path) -> None:
    for text, said in TRANSLATED.items():
        code, found, _ = predicted(translator, "--text", text)
        assert (code, found["answers"][0]["outcome"]) == (0, said), text
    for bundle, cases in ((translator, REFUSED), (classifier, NO_LABEL)):
        for text, reason in cases.items():
            code, found, line = predicted(bundle, "--text", text)
            assert (code, found["answers"]) == (1, [])
            assert reason in line
            assert line.count("\n") == 1
            assert len(line) < 300


def test_a_server_answers_or_refuses_in_one_line(translator: Path, classifier: Path, tmp_path: Path) -> None:
    for bundle, answered, refused in ((translator, TRANSLATED, REFUSED), (classifier, {}, NO_LABEL)):
        store = tmp_path / f"{bundle.parent.name}.records"
        recorder = Recorder(store, share=1.0)
        service = Service(Premodel(bundle, trust_python=True), "own", Limits(), recorder=recorder)
        app = make_app(service)
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            for text, said in answered.items():
                for form, sent in requests_of(text).items():
                    response = client.post("/v2/models/own/infer", **sent)
                    assert response.status_code == 200, (text, form)
                    assert outputs_of(response)["outcome"] == [said], (text, form)
            for text, reason in refused.items():
                for sent in requests_of(text).values():
                    response = client.post("/v2/models/own/infer", **sent)
                    assert response.status_code == 500
                    error = response.json()["error"]
                    assert error.startswith("no candidate could answer (one: ")
                    assert reason in error
                    assert "\n" not in error
                    assert len(error) < 300
            assert client.get("/v2/health/ready").status_code == 200
        with RecordStore(store) as kept:
            found = {record.answer["outcome"] for record in kept.records()}
        assert found == set(answered.values())


def test_a_replica_of_ray_serve_does_too(translator: Path) -> None:
    pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'premodel[cluster]'")
    from premodel.serving.ray_serve import Asked, Replica

    replica = Replica({"bundle": str(translator), "trust_python": True})

    async def ask() -> list[tuple[int, dict[str, Any]]]:
        headers = ((b"content-type", b"text/plain"),)
        found = []
        for text in ("zero", "half", "too long"):
            reply = await replica.answer(Asked("POST", "/v2/models/own/infer", b"", headers, text.encode()))
            found.append((reply.status, json.loads(reply.body)))
        return found

    *answered, (status, refused) = asyncio.run(ask())
    assert [found[0] for found in answered] == [200, 200]
    assert [found[1]["outputs"][0]["data"] for found in answered] == [["ein\ufffdHund"]] * 2
    assert status == 500
    assert REFUSED["too long"] in refused["error"]


def test_an_agent_does_too(translator: Path) -> None:
    with agent(translator.with_name("zoo.toml"), trust_python=True) as url:

        def post(text: str) -> bytes:
            request = urllib.request.Request(
                f"{url}/v2/models/one/infer", text.encode(), {"Inference-Header-Content-Length": "0"}
            )
            with urllib.request.urlopen(request) as response:
                body: bytes = response.read()
            return body[int(response.headers["Inference-Header-Content-Length"]) :]

        for text, said in TRANSLATED.items():
            assert unpack_answer(np.frombuffer(post(text), np.uint8)).text == said
        for text, reason in REFUSED.items():
            with pytest.raises(urllib.error.HTTPError) as caught:
                post(text)
            assert reason in json.load(caught.value)["error"]


def test_a_store_keeps_them(translator: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="the lab extra is not installed")
    from premodel.store.outcomes import read_texts
    from premodel.store.runs import read_candidates
    from premodel.store.store import Store

    (tmp_path / "source.txt").write_text("".join(f"{text}\n" for text in [*TRANSLATED, *REFUSED]))
    (tmp_path / "target.txt").write_text("ein Hund\n" * 8)
    words = ["profile", translator.with_name("zoo.toml"), tmp_path / "source.txt", "--labels", tmp_path / "target.txt"]
    words += ["--store", tmp_path / "s.db", "--energy", "off", "--only", "predictions", "--trust-python", "--json"]
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert main([str(word) for word in words]) == 0
    assert json.loads(out.getvalue())["predictions"]["failed"] == {"one": 3}
    with Store(str(tmp_path / "s.db")) as store, store.reading() as connection:
        (candidate,) = read_candidates(connection, store)
        assert sorted(read_texts(connection, candidate).values()) == sorted(TRANSLATED.values())
