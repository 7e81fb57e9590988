"""From a CSV and two Python callables to a served answer, as docs/texts.md tells it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shlex
import urllib.error
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import agent
from premodel.backends.texts import unpack_answer
from premodel.cli.main import build_parser, main
from premodel.errors import OptionError
from premodel.zoo.manifest import read_zoo
from serving_client import running
from text_models import WORDS, say, sentences

pytest.importorskip("sklearn", reason="the lab extra is not installed")
pytest.importorskip("starlette", reason="the serve extra is not installed")

CODE = '''
import time
WORDS = {words}

def by_letters(text):
    """Quick; recognises German by its umlauts and little words, and is unsure else."""
    if set("äöüß") & set(text) or set(text.split()) & {{"der", "ein", "mit"}}:
        return "deutsch", 0.95
    return "english", 0.6

class ByWords:
    """Slow and right: looks every word up."""
    def __init__(self, wait=0.0):
        self.wait = wait
    def __call__(self, text):
        time.sleep(self.wait)
        said = text.split()
        german = sum(word in WORDS["de"].split() for word in said)
        english = sum(word in WORDS["en"].split() for word in said)
        total = german + english + 1e-9
        return {{"de": german / total, "en": english / total}}

def translate(text, lose=0):
    """A translator that drops words, and gives its own probability."""
    pairs = dict(zip(WORDS["en"].split(), WORDS["de"].split()))
    said = [pairs.get(word, word) for word in text.split()]
    return " ".join(said[: len(said) - lose]), 0.9 - 0.3 * lose
'''
ZOO = """
name = "languages"
task = "text-classification"
labels = ["de", "en"]

[[models]]
name = "letters"
runtime = "python"
callable = "my_models.py:by_letters"
label_map = { deutsch = "de", english = "en" }

[[models]]
name = "words"
runtime = "python"
callable = "my_models.py:ByWords"
settings = { wait = 0.002 }
"""
TRANSLATORS = """
name = "translators"
task = "translation"

[[models]]
name = "whole"
runtime = "python"
callable = "my_models.py:translate"

[[models]]
name = "half"
runtime = "python"
callable = "my_models.py:translate"
settings = { lose = 1 }
"""


def run(*words: str | Path, code: int = 0) -> str:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = main([str(word) for word in words])
    assert found == code, err.getvalue()
    return err.getvalue() if code else out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("languages")
    (made / "my_models.py").write_text(CODE.format(words=repr(WORDS)), encoding="utf-8")
    (made / "zoo.toml").write_text(ZOO)
    (made / "translators.toml").write_text(TRANSLATORS)
    places = sentences("en", 40, 5)
    rows = [(say(language, one, number), language) for language in WORDS for number, one in enumerate(places)]
    with (made / "messages.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    pairs = [(say("en", one, number), say("de", one, number)) for number, one in enumerate(places)]
    with (made / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("source", "target"), *pairs])
    words = ["profile", made / "zoo.toml", made / "messages.csv", "--store", made / "s.db", "--energy", "off"]
    assert "--trust-python" in run(*words, code=2)
    report = json.loads(run(*words, "--max-timing-seconds", "1", "--trust-python", "--json"))
    assert report["predictions"].items() >= {"new": 2 * len(rows), "failed": {}}.items()
    run("train", made / "s.db", "--out", made / "language.premodel", "--policy", "cascade")
    return made


def test_a_csv_and_two_callables_become_a_served_premodel(folder: Path) -> None:
    bundle = folder / "language.premodel"
    assert "--trust-python" in run("predict", bundle, "--text", "ein hund", code=2)
    words = ["predict", bundle, "--text", "ein hund läuft", "--text", "a dog walks", "--trust-python", "--json"]
    assert [one["class"] for one in json.loads(run(*words))["answers"]] == ["de", "en"]
    with running(bundle, "--trust-python") as (url, _):
        request = urllib.request.Request(
            f"{url}/v2/models/language/infer", "ein hund läuft".encode(), {"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request) as response:
            outputs: dict[str, Any] = {one["name"]: one["data"] for one in json.load(response)["outputs"]}
    assert outputs["class"] == ["de"]


def test_bench_runs_callables_that_are_trusted(folder: Path) -> None:
    words = ["bench", folder / "language.premodel", folder / "messages.csv", "--quick", "--json"]
    assert "--trust-python" in run(*words, code=2)
    found = json.loads(run(*words, "--trust-python"))
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["words"]["accuracy"] == 1.0
    assert {"letters", "words"} < set(rows)


def post(url: str, text: str) -> tuple[dict[str, Any], bytes]:
    """Header and binary data of an agent's answer to a text."""
    request = urllib.request.Request(url, text.encode(), {"Inference-Header-Content-Length": "0"})
    with urllib.request.urlopen(request) as response:
        body, length = response.read(), int(response.headers["Inference-Header-Content-Length"])
    return json.loads(body[:length]), body[length:]


def test_an_agent_offers_callables_that_are_trusted(folder: Path) -> None:
    with agent(folder / "zoo.toml", trust_python=True) as url:
        with urllib.request.urlopen(f"{url}/v2/models/letters") as response:
            about = json.load(response)
        assert about["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [1]}]
        _, data = post(f"{url}/v2/models/letters/infer", "ein hund läuft")
        assert np.frombuffer(data, "<f4").tolist() == pytest.approx([0.95, 0.0])
        header = b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1],"data":[1]}]}'
        request = urllib.request.Request(f"{url}/v2/models/letters/infer", header, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert "takes no tensor" in json.load(refused.value)["error"]


def test_an_agent_gives_the_texts_of_callables_packed(folder: Path) -> None:
    with agent(folder / "translators.toml", trust_python=True) as url:
        with urllib.request.urlopen(f"{url}/v2/models/whole") as response:
            assert json.load(response)["outputs"] == [{"name": "output", "datatype": "UINT8", "shape": [1, -1]}]
        _, data = post(f"{url}/v2/models/whole/infer", "the dog walks")
    answer = unpack_answer(np.frombuffer(data, np.uint8))
    assert answer.text.split()[-1] == "geht"
    assert answer.probability == pytest.approx(0.9)


def test_a_replica_of_ray_serve_answers_where_it_is_trusted(folder: Path) -> None:
    pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'premodel[cluster]'")
    from premodel.serving.ray_serve import Asked, Replica

    bundle = str(folder / "language.premodel")
    with pytest.raises(OptionError, match="not trusted"):
        Replica({"bundle": bundle})
    headers = ((b"content-type", b"text/plain"),)
    asked = Asked("POST", "/v2/models/language/infer", b"", headers, "ein hund läuft".encode())
    reply = asyncio.run(Replica({"bundle": bundle, "trust_python": True}).answer(asked))
    assert reply.status == 200
    assert {one["name"]: one["data"] for one in json.loads(reply.body)["outputs"]}["class"] == ["de"]


def test_the_page_of_documentation_names_a_manifest_that_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "texts.md").read_text(encoding="utf-8")
    _, code = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (manifest,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_models.py").write_text(code)
    (tmp_path / "zoo.toml").write_text(manifest)
    zoo = read_zoo(tmp_path / "zoo.toml", require_files=True)
    names: dict[str, Any] = {}
    exec(compile(code, "my_models.py", "exec"), names)
    for candidate in zoo.candidates:
        assert candidate.model.call is not None
        assert callable(names[candidate.model.call.target.partition(":")[2]])
    commands = re.findall(r"^premodel .*$", page, re.MULTILINE)
    assert len(commands) == 8
    for command in commands:
        build_parser(command.split()[1]).parse_args(shlex.split(command)[1:])


def test_callables_translate(folder: Path) -> None:
    store = folder / "t.db"
    words = ["profile", folder / "translators.toml", folder / "pairs.csv", "--store", store, "--energy", "off"]
    report = json.loads(run(*words, "--max-timing-seconds", "1", "--trust-python", "--json"))
    assert report["predictions"].items() >= {"new": 80, "failed": {}}.items()
    found = json.loads(run("store", "info", store, "--corpus", "--json"))
    scores = {one["name"]: one["scores"] for one in found["candidates"]}
    assert scores["whole"]["chrf"] > scores["half"]["chrf"]
    assert found["corpus"]["whole"]["chrf"] > 0.95
    run("train", store, "--out", folder / "t.premodel", "--policy", "single")
    words = ["predict", folder / "t.premodel", "--text", "the dog walks", "--trust-python", "--json"]
    (answer,) = json.loads(run(*words))["answers"]
    assert answer["outcome"].split()[-1] == "geht"
    run("train", store, "--out", folder / "c.premodel", "--policy", "cascade", "--cost-weight", "0")
    said = run("predict", folder / "c.premodel", "--text", "the dog walks", "--trust-python", "--explain")
    assert "the score that is expected of this answer" in said
    assert "is right" not in said


def test_a_callable_that_is_no_better_than_chance_is_told_what_its_entry_has_a_say_in(tmp_path: Path) -> None:
    (tmp_path / "constant.py").write_text("def f(text):\n    return 'de', 0.9\n")
    entry = '[[models]]\nname = "constant"\nruntime = "python"\ncallable = "constant.py:f"\n'
    head = 'name = "languages"\ntask = "text-classification"\nlabels = ["de", "en"]\n\n'
    (tmp_path / "zoo.toml").write_text(head + entry)
    rows = [f"text number {number},{'de' if number % 2 else 'en'}" for number in range(60)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]))
    words = ["zoo", "check", tmp_path / "zoo.toml", tmp_path / "texts.csv", "--trust-python", "--json"]
    found = json.loads(run(*words))
    (warning,) = [one for one in found["candidates"][0]["warnings"] if "not above chance" in one]
    assert "check label_map" in warning
    assert not re.search("crop|channels|mean", warning)


READS = """
from pathlib import Path

class ByList:
    def __init__(self):
        self.words = Path(__file__).with_name("german.txt").read_text().split()
    def __call__(self, text):
        with Path(__file__).with_name("asked.log").open("a") as log:
            print(text, file=log)
        return ("de" if set(text.split()) & set(self.words) else "en"), 0.9
"""
READS_ZOO = """
name = "languages"
task = "text-classification"
labels = ["de", "en"]

[[models]]
name = "list"
runtime = "python"
callable = "list_model.py:ByList"
"""


@pytest.fixture
def with_list(tmp_path: Path) -> Path:
    (tmp_path / "list_model.py").write_text(READS)
    (tmp_path / "german.txt").write_text("der ein mit und")
    (tmp_path / "zoo.toml").write_text(READS_ZOO)
    rows = [("ein hund", "de"), ("a dog", "en"), ("der ball", "de"), ("the ball", "en")]
    with (tmp_path / "messages.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return tmp_path


def test_a_check_names_the_files_that_a_callable_reads_with_the_line_that_states_them(with_list: Path) -> None:
    words = ["zoo", "check", with_list / "zoo.toml", with_list / "messages.csv", "--trust-python", "--json"]
    (found,) = json.loads(run(*words))["candidates"]
    (warning,) = [one for one in found["warnings"] if one.startswith("reads ")]
    assert warning.startswith("reads german.txt, and another one would go unnoticed; state it: files = { ")
    (with_list / "zoo.toml").write_text(READS_ZOO + warning.partition("state it: ")[2] + "\n")
    (found,) = json.loads(run(*words))["candidates"]
    assert not [one for one in found["warnings"] if one.startswith("reads ")]
    (with_list / "german.txt").write_text("der ein mit")
    assert "wrong sha256" in run_failing(*words)


def run_failing(*words: str | Path) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        assert main([str(word) for word in words]) == 2
    return out.getvalue()


def test_what_a_callable_does_at_its_first_call_is_not_the_time_of_a_sample(with_list: Path) -> None:
    words = ["profile", with_list / "zoo.toml", with_list / "messages.csv", "--store", with_list / "s.db"]
    run(*words, "--only", "predictions", "--trust-python", "--json")
    asked = (with_list / "asked.log").read_text().splitlines()
    texts = {"ein hund", "a dog", "der ball", "the ball"}
    assert asked[0] not in texts
    assert set(asked) - texts == {asked[0]}


def test_messages_about_texts_call_them_texts(folder: Path, tmp_path: Path) -> None:
    words = ["bench", folder / "language.premodel", folder / "messages.csv", "--quick", "--trust-python"]
    assert re.search(r"^\d+ texts, top1, ", run(*words), re.MULTILINE)
    pytest.importorskip("bokeh", reason="the report extra is not installed")
    page = tmp_path / "r.html"
    run("report", folder / "s.db", "--out", page, "--policy", "single", "--folds", "2")
    visible = re.sub(r"<(script|style).*?</\1>", "", page.read_text(), flags=re.DOTALL)
    assert "ms per text" in visible
    assert not re.search(r"\b(images?|pictures?)\b", re.sub(r"<[^>]*>", " ", visible), re.IGNORECASE)


def test_a_text_in_place_of_a_file_is_told_how_to_be_given(folder: Path) -> None:
    said = run("predict", folder / "language.premodel", "ein hund", "--trust-python", code=2)
    assert said.strip().endswith(
        "ein hund: text cannot be read (No such file or directory); a text itself is given by --text"
    )


def test_python_code_is_not_what_zoo_init_describes(with_list: Path) -> None:
    words = ["zoo", "init", with_list / "list_model.py", "--out", with_list / "new.toml"]
    assert 'write their entries yourself, runtime = "python"' in run(*words, code=2)
    assert not (with_list / "new.toml").exists()


def test_a_callable_without_a_runtime_is_told_which(with_list: Path) -> None:
    (with_list / "zoo.toml").write_text(READS_ZOO.replace('runtime = "python"', ""))
    said = run("zoo", "check", with_list / "zoo.toml", "--trust-python", code=2)
    assert said.strip().endswith('runtime is missing; given: list; state runtime = "python"')
