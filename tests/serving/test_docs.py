"""docs/serving.md: its commands and Python run as they are written, against a server on another port."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

import premodel
from bundles import Made
from premodel.runtime.reference import Reference
from premodel.serving.drift import Drift
from premodel.serving.prometheus import Metrics
from premodel.serving.signature import OUTPUTS
from serving_client import running

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text()
ADDRESS = "127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with cat.jpg (the recorded answers know its pixels) and edge.premodel."""
    shutil.copy(made.path, made.path.with_name("edge.premodel"))
    shutil.copy(made.small.images[0], tmp_path / "cat.jpg")
    assert cv2.imread(str(tmp_path / "cat.jpg")) is not None
    monkeypatch.chdir(tmp_path)
    return made.path.with_name("edge.premodel")


def test_curl(reader: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = next(line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl"))
    with running(reader) as (url, _):
        words = shlex.split(command.replace(f"http://{ADDRESS}", url))
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    outputs = {output["name"]: output["data"] for output in json.loads(done.stdout)["outputs"]}
    with premodel.load(reader) as clf:
        assert outputs["class"] == [clf.predict("cat.jpg").class_name]


def test_python(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    (code,) = blocks("python")
    with running(reader) as (url, _), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the example leaves its file and client to the interpreter
        exec(compile(code.replace(ADDRESS, url.removeprefix("http://")), "serving.md", "exec"), {})
    with premodel.load(reader) as clf:
        answer = clf.predict("cat.jpg", max_latency_ms=50)
    assert capsys.readouterr().out == f"{answer.class_name} {answer.candidate}\n"


def test_every_output_and_metric_is_named() -> None:
    for output in OUTPUTS:
        assert f"`{output}`" in DOCS
    metrics = Metrics(["a"])
    metrics.watch(lambda: 0, lambda: 0)
    metrics.watch_records(lambda: 0)
    drift = Drift(Reference({"a": 1}, (), (1,)))
    premodel = SimpleNamespace(candidates=["a"], unavailable={}, losses={"a": 0})
    metrics.watch_served(lambda: SimpleNamespace(premodel=premodel, drift=drift))
    metrics.responded(200, 1)
    names = set(re.findall(r"^# TYPE (\w+) (?:counter|histogram|gauge)", metrics.text().decode(), re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    assert names == set(re.findall(r"`(premodel_\w+)`", DOCS))
