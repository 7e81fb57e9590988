"""The notebook runs from top to bottom on the demo's data, offline, and is committed without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "reproduce.ipynb"
WIDGETS = "application/vnd.jupyter.widget-state+json"
LIMIT_S = 180
"""A run takes about 10 s of one core; five programs at once on it made that 79 s."""


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return found


def end_within(seconds: float, running: subprocess.Popen[bytes]) -> None:
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.kill()


def run_notebook(folder: Path, environment: dict[str, str]) -> None:
    """Run in.ipynb of a folder within the limit; asked to end, it ends its kernel too."""
    words = [sys.executable, str(ROOT / "tests" / "notebook_runner.py"), "in.ipynb", "out.ipynb"]
    log = folder / "log"
    with log.open("w") as reported, subprocess.Popen(words, cwd=folder, env=environment, stderr=reported) as running:
        try:
            code: int | str = running.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            code = f"not done in {LIMIT_S} s"
            running.terminate()
            end_within(20, running)
    assert code == 0, f"{code}: {log.read_text()[-4000:]}"


def test_it_is_committed_without_outputs() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) >= 6
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert "widgets" not in json.loads(NOTEBOOK.read_text())["metadata"]


def test_it_runs_and_every_widget_shows_its_result(tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel", "ipywidgets", "bokeh", "onnx"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    # fewer scenes than a reader has: it is the same code
    source = NOTEBOOK.read_text().replace("SCENES = 120", "SCENES = 60").replace("FOLDS = 3", "FOLDS = 2")
    assert source.count("SCENES = 60") == source.count("FOLDS = 2") == 1
    (tmp_path / "in.ipynb").write_text(source)
    own = {name: str(tmp_path) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    run_notebook(tmp_path, {**os.environ, **own})
    ran = json.loads((tmp_path / "out.ipynb").read_text())
    shown = [one for cell in ran["cells"] for one in cell.get("outputs", [])]
    assert "error" not in {one["output_type"] for one in shown}
    # what a widget's function shows, or raises, is kept in the state of its output
    states = ran["metadata"]["widgets"][WIDGETS]["state"].values()
    inside = [one["state"]["outputs"] for one in states if one["model_name"] == "OutputModel"]
    assert len(inside) == 3
    for outputs in inside:
        assert "error" not in {one["output_type"] for one in outputs}
        assert any("text/html" in one.get("data", {}) for one in outputs)
    reported = json.dumps(ran)
    for name in ("gray16", "color64l", "knn.knn.knn", "CNN premodel on gray16", "Beside the paper"):
        assert name in reported
    assert "cdn.bokeh.org" not in "".join(json.dumps(one) for outputs in inside for one in outputs)
