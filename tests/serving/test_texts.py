"""Texts over HTTP: every way in gives the same answer, and hostile ones an answer or one line."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from premodel.domains.text.decode import MAX_BYTES
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.manifest import read_zoo
from serving_client import running, samples
from text_models import make_languages, make_translations

TEXT, ENGLISH = "frau kind über weg frau alt frau weg rot sieht 1", "a under with house sees sees 119"


def bundle_of(zoo_file: Path, criterion: str) -> Path:
    zoo = read_zoo(zoo_file)
    first = zoo.candidates[0].name
    bundle = Bundle(Single((first,), [1.0], Costs((0.1,), 0.1)), zoo.candidates, zoo.labels, criterion, None)
    path = zoo_file.parent / "texts.premodel"
    write_bundle(path, bundle, folder=path.parent)
    return path


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    return bundle_of(make_languages(tmp_path_factory.mktemp("languages")), "top1")


@pytest.fixture(scope="module")
def translators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(make_translations(tmp_path_factory.mktemp("translators")), "chrf")


def infer(client: Any, **sent: Any) -> Any:
    return client.post("/v2/models/texts/infer", **sent)


def body(*texts: Any, **parameters: Any) -> dict[str, Any]:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    return {"json": {"inputs": [{**tensor, **({"parameters": parameters} if parameters else {})}]}}


def outputs(response: Any) -> dict[str, list[Any]]:
    assert response.status_code == 200, response.text
    return {one["name"]: one["data"] for one in response.json()["outputs"]}


def test_metadata_names_the_input_a_text(languages: Path, serving: Any) -> None:
    with serving(languages) as (client, _):
        about = client.get("/v2/models/texts").json()
        assert about["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        document = client.get("/openapi.json").json()
        infer_text = document["paths"]["/v2/models/{name}/infer"]["post"]
        assert "text/plain" in infer_text["requestBody"]["content"]
        assert infer_text["summary"] == "Answer texts"


def test_every_way_in_gives_the_same_answer(languages: Path, serving: Any) -> None:
    data = TEXT.encode()
    coded = base64.b64encode(data).decode()
    head = {"Content-Type": "text/plain; charset=utf-8"}
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data) + 4}}
    form = json.dumps({"inputs": [tensor]}).encode()
    binary = {
        "content": form + len(data).to_bytes(4, "little") + data,
        "headers": {"Inference-Header-Content-Length": str(len(form))},
    }
    ways = {
        "JSON": body(TEXT),
        "nested": body([TEXT]),
        "base64": body(coded, content_type="base64"),
        "a table": body({"b64": coded}),
        "binary": binary,
        "text/plain": {"content": data, "headers": head},
        "curl -d": {"content": data, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        "no type": {"content": data},
        "raw": {"content": data, "headers": {"Inference-Header-Content-Length": "0"}},
        "a form's file": {"files": {"a": ("one.txt", data, "text/plain")}},
        "a form's field": {"files": {"text": (None, data)}},
        "a byte order mark": {"content": b"\xef\xbb\xbf" + data, "headers": head},
    }
    with serving(languages) as (client, _):
        found = {name: outputs(infer(client, **way)) for name, way in ways.items()}
    for name, one in found.items():
        assert one["class"] == ["de"], name
        assert one["probabilities"] == found["JSON"]["probabilities"], name


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "sent",
    ["text=Guten Tag", "text=Guten+Tag&explain=true", "message=hallo", "Guten%20Tag", "a=b", "text=", "100%25+mehr"],
)
def test_a_form_of_coded_fields_is_refused_with_what_to_send(languages: Path, serving: Any, sent: str) -> None:
    with serving(languages) as (client, _):
        refused = infer(client, content=sent.encode(), headers=FORM)
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert error.startswith("a form of coded fields is not read; given: ")
        assert "Content-Type: text/plain" in error
        assert "curl -F text=" in error
        assert outputs(infer(client, content=sent.encode(), headers={"Content-Type": "text/plain"}))["class"]


@pytest.mark.parametrize("sent", ["C++ = gut", "100 % von allem", '{"inputs": "'])
def test_a_text_that_only_looks_like_a_form_is_none(languages: Path, serving: Any, sent: str) -> None:
    with serving(languages) as (client, _):
        response = infer(client, content=sent.encode(), headers=FORM)
        assert "form" not in response.text.partition('"outputs"')[0]


def test_curl_as_the_page_of_documentation_has_it(languages: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = (Path(__file__).parents[2] / "docs" / "texts.md").read_text(encoding="utf-8")
    commands = re.findall(r"^curl .*$", page, re.MULTILINE)
    assert len(commands) == 2
    with running(languages) as (url, _):
        for command in commands:
            asked = command.replace("http://127.0.0.1:8080", url).replace("/language/", "/texts/")
            done = subprocess.run(shlex.split(asked), capture_output=True, text=True, check=True)
            found = {one["name"]: one["data"] for one in json.loads(done.stdout)["outputs"]}
            assert len(found["class"]) == 1


def test_a_batch_is_answered_in_order_and_a_bad_one_named(languages: Path, serving: Any) -> None:
    with serving(languages, max_batch=4) as (client, _):
        assert outputs(infer(client, **body(TEXT, ENGLISH, TEXT)))["class"] == ["de", "en", "de"]
        refused = infer(client, **body(TEXT, " ", TEXT))
        assert refused.status_code == 400
        assert refused.json()["error"].startswith("text 1: text must hold more than white space")
        many = infer(client, **body(*[TEXT] * 5))
        assert many.json()["error"] == "too many texts in one request; given: 5; allowed: up to 4"
        assert samples(client)["premodel_answers_total", "fine"] >= 3


HOSTILE = {
    "a megabyte in one line": ("x" * MAX_BYTES, 200),
    "too long": ("x" * (MAX_BYTES + 1), 400),
    "a megabyte of signs": ("\u3042" * (MAX_BYTES // 3), 200),
    "zero": ("a\0b", 200),
    "mixed direction": ("abc \u202e\u05e9\u05dc\u05d5\u05dd\u202c def", 200),
    "half a pair": ("a\ud800b", 400),
    "empty": ("", 400),
    "blank": ("\n\u3000\t", 400),
    "one sign": ("\U0001f469\u200d\U0001f469\u200d\U0001f467", 200),
    "marks": ("a" + "\u0301" * 5000, 200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_answered_or_refused_in_one_line(languages: Path, serving: Any, name: str) -> None:
    text, status = HOSTILE[name]
    with serving(languages) as (client, _):
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
        response = infer(client, content=json.dumps({"inputs": [tensor]}).encode())
        assert response.status_code == status
        if status != 200:
            error = response.json()["error"]
            assert len(error) < 300
            assert "\n" not in error
        assert outputs(infer(client, **body(TEXT)))["class"] == ["de"]  # and the server lives


def test_bytes_that_are_no_text_are_refused_by_line_and_byte(languages: Path, serving: Any) -> None:
    with serving(languages) as (client, _):
        response = infer(client, content=b"caf\xe9", headers={"Content-Type": "text/plain"})
        assert response.status_code == 400
        assert "text must be UTF-8; given: byte 0xe9, line 1, byte 4 of the line" in response.json()["error"]


def test_a_translation_is_an_outcome(translators: Path, serving: Any) -> None:
    source = (translators.parent / "source.en").read_text().splitlines()[0]
    with serving(translators) as (client, _):
        found = outputs(infer(client, **body(source)))
        assert found["outcome"][0].split()
        assert found["candidate"] == ["short"]
        unknown = infer(client, **body("never recorded"))
        assert unknown.status_code == 500
        assert "no answer is recorded" in unknown.json()["error"]


def test_the_page_has_a_box_for_a_text_and_none_for_files(languages: Path, serving: Any) -> None:
    with serving(languages) as (client, _):
        page = client.get("/").text
        assert '<textarea id="text"' in page
        assert "camera" not in page
        assert 'type="file"' not in page
        assert '<meta name="noun" content="text">' in page
        assert "{{" not in page
        ids = set(re.findall(r'id="(\w+)"', page))
        assert set(re.findall(r'byId\("(\w+)"\)', client.get("/text.js").text)) <= ids
        assert set(re.findall(r'for="(\w+)"', page)) <= ids
        of_images = {"file", "drop", "picture"}
        assert set(re.findall(r'byId\("(\w+)"\)', client.get("/page.js").text)) - ids == of_images
