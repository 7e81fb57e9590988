"""Inputs that are no images and answers that are no labels: from a data set to the answer of a server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numbers_domain import NumbersDomain, NumbersSpec, NumbersView
from premodel.backends.replay import record

ROWS = 120
LENGTH = 8
"""Of the tensor: rows are from 1 to 8 numbers long."""
MAIN = """
import json, sys
from premodel.domains.registry import register
from numbers_domain import TotalsDomain
register(TotalsDomain())
from premodel.cli.main import main
code = main(sys.argv[2:])
loaded = [name for name in sys.modules if name.startswith("premodel.domains.image") or name in ("cv2", "PIL")]
print(json.dumps({"loaded": loaded}), file=open(sys.argv[1], "w"))
sys.exit(code)
"""


def rows(rng: np.random.Generator) -> list[np.ndarray]:
    return [np.round(rng.normal(0, 5, rng.integers(1, LENGTH + 1)), 2) for _ in range(ROWS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of numbers, their totals in a table, and two models: one for short rows, one ten times as dear for all."""
    made = tmp_path_factory.mktemp("totals")
    rng = np.random.default_rng(0)
    domain, tensors, said, took_ms, lines = NumbersDomain(), [], {"short": [], "all": []}, [], ["path,label"]
    inputs = rows(rng)
    for number, row in enumerate(inputs):
        data = " ".join(f"{value:g}" for value in row).encode()
        (made / f"{number}.row").write_bytes(data)
        lines.append(f"{number}.row,{row.sum():g}")
        tensors.append(domain.prepare(domain.decode(data), NumbersSpec(LENGTH), NumbersView()))
        wrong = 0.0 if len(row) <= LENGTH // 2 else 8.0
        said["short"].append([row.sum() + wrong, 0.9 if wrong == 0 else 0.4])
        said["all"].append([row.sum() + 1.0, 0.8])
        took_ms.append(0.2 + 0.1 * len(row))
    tensors.append(domain.prepare(domain.decode(domain.synthetic()), NumbersSpec(LENGTH), NumbersView()))
    took_ms.append(0.2)
    (made / "truth.csv").write_text("\n".join(lines))
    manifest = ['name = "totals"', 'task = "number-totals"']
    for name, factor in (("short", 1), ("all", 10)):
        outputs = np.array([*said[name], [0.0, 0.5]], np.float32)
        record(made / f"{name}.npz", tensors, outputs, latency_ms=[factor * ms for ms in took_ms])
        manifest += ["[[models]]", f'name = "{name}"', f'file = "{name}.npz"', 'runtime = "replay"']
        manifest += [f"input = {{ length = {LENGTH} }}"]
    (made / "zoo.toml").write_text("\n".join(manifest))
    return made


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        [sys.executable, "-c", MAIN, str(folder / "loaded.json"), *words],
        capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    if words[0] != "zoo":  # which can also draft manifests of image models
        assert json.loads((folder / "loaded.json").read_text())["loaded"] == []
    return found


@pytest.fixture(scope="module")
def profiled(folder: Path) -> dict[str, Any]:
    words = ["profile", str(folder / "zoo.toml"), str(folder / "truth.csv"), "--store", str(folder / "s.db")]
    found = command(folder, *words, "--max-timing-seconds", "6", "--energy", "off", "--json")
    report: dict[str, Any] = json.loads(found.stdout)
    return report


@pytest.fixture(scope="module")
def bundle(folder: Path, profiled: dict[str, Any]) -> Path:
    words = ["train", str(folder / "s.db"), "--out", str(folder / "totals.premodel"), "--policy", "select"]
    command(folder, *words, "--cost-weight", "0.01", "--json")
    return folder / "totals.premodel"


def test_a_profile_holds_answers_scores_and_latencies_of_every_row(folder: Path, profiled: dict[str, Any]) -> None:
    from numbers_domain import TotalsDomain
    from premodel.domains.registry import register
    from premodel.training.load import load_tables

    register(TotalsDomain())
    assert profiled["predictions"].items() >= {"new": 2 * ROWS, "kept": 0, "failed": {}}.items()
    assert profiled["scores"] == {"scores": 2 * ROWS, "kept": 0}
    assert profiled["features"]["new"] == ROWS
    tables = load_tables(folder / "s.db")
    assert tables.criteria == ("closeness",)
    assert tables.label_names == ()
    count = tables.features[:, tables.feature_names.index("count")]
    short, dear = tables.score("closeness").T
    assert short == pytest.approx(np.where(count <= LENGTH // 2, 1.0, 0.2), abs=1e-3)
    assert dear == pytest.approx(0.9, abs=1e-3)
    # Long rows take longer; on average each candidate takes what it was timed to take.
    long = count > LENGTH // 2
    assert np.median(tables.latency()[long, 1]) > np.median(tables.latency()[~long, 1])
    assert tables.latency().mean(axis=0) == pytest.approx([timing.mean_ms for timing in tables.timings])


def test_nothing_is_done_again_and_a_changed_truth_is_scored_without_running_a_model(
    folder: Path, profiled: dict[str, Any]
) -> None:
    text = (folder / "truth.csv").read_text().splitlines()
    name, _, truth = text[1].partition(",")
    changed = folder / "changed.csv"
    changed.write_text("\n".join([text[0], f"{name},{float(truth) + 5:g}", *text[2:]]))
    (folder / "copy.db").write_bytes((folder / "s.db").read_bytes())
    words = ["profile", str(folder / "zoo.toml"), str(changed), "--store", str(folder / "copy.db")]
    again = json.loads(command(folder, *words, "--only", "predictions", "--json").stdout)
    assert again["predictions"].items() >= {"new": 0, "kept": 2 * ROWS, "failed": {}}.items()
    assert again["scores"] == {"scores": 2, "kept": 2 * ROWS - 2}


def test_every_command_on_a_profile_works_on_scores(folder: Path, bundle: Path) -> None:
    store = str(folder / "s.db")
    doctor = json.loads(command(folder, "doctor", store, "--json").stdout)
    assert doctor["criterion"] == "closeness"
    words = ["evaluate", store, "--folds", "3", "--workers", "1", "--policy", "select", "--cost-weight", "0.01"]
    found = json.loads(command(folder, *words, "--json").stdout)
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["all"]["accuracy"] == pytest.approx(0.9, abs=1e-3)
    assert 0.9 < by_name["select"]["accuracy"] <= by_name["oracle"]["accuracy"] + 1e-9
    assert by_name["select"]["latency_ms"] < by_name["all"]["latency_ms"]
    assert by_name["select"]["comparison"]["choice_per_input"] == "above"
    assert "closeness of all: mean 0.9" in command(folder, "store", "info", store).stdout
    command(folder, "store", "export", store, "--to", str(folder / "table.csv"))
    header, *lines = (folder / "table.csv").read_text().splitlines()
    fields = header.split(",")
    assert fields[:3] == ["sample", "name", "truth"]
    row = dict(zip(fields, lines[0].split(","), strict=True))
    assert float(row["all.outcome"]) == pytest.approx(float(row["truth"]) + 1, abs=0.01)
    assert float(row["all.closeness"]) == pytest.approx(0.9, abs=1e-3)
    words = ["report", store, "--out", str(folder / "r.html"), "--folds", "2", "--policy", "select"]
    command(folder, *words, "--cost-weight", "0.01")
    assert "Gains and losses by class" not in (folder / "r.html").read_text()
    command(folder, "zoo", "check", str(folder / "zoo.toml"))


def test_a_bundle_answers_with_a_text(folder: Path, bundle: Path) -> None:
    found = json.loads(command(folder, "predict", str(bundle), str(folder / "0.row"), "--json").stdout)
    (answer,) = found["answers"]
    row = np.array((folder / "0.row").read_text().split(), float)
    offset = 0.0 if len(row) <= LENGTH // 2 else 1.0
    assert float(answer["outcome"]) == pytest.approx(row.sum() + offset, abs=0.01)
    assert answer["candidate"] == ("all" if offset else "short")
    assert "label" not in answer


def test_real_runs_are_judged_by_their_scores(folder: Path, bundle: Path) -> None:
    words = ["bench", str(bundle), str(folder / "truth.csv"), "--limit", "20", "--max-seconds", "1", "--json"]
    found = json.loads(command(folder, *words).stdout)
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["all"]["accuracy"] == pytest.approx(0.9, abs=1e-3)
    assert by_name["totals"]["accuracy"] > 0.9


@pytest.fixture
def server(folder: Path, bundle: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(folder / "served.json"), "serve", str(bundle), "--port", "0", "--json"],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    yield url
    process.terminate()
    process.wait()
    process.stdout.close()
    assert json.loads((folder / "served.json").read_text())["loaded"] == []


def get(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    for _ in range(50):
        try:
            with urllib.request.urlopen(request) as response:
                found: dict[str, Any] = json.load(response)
                return found
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(url)


def test_a_server_answers_with_a_text(folder: Path, server: str) -> None:
    model = f"{server}/v2/models/totals"
    about = get(model)
    assert about["inputs"] == [{"name": "row", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in about["outputs"]][:2] == ["outcome", "probability"]
    names = ("0.row", "1.row")
    data = [base64.b64encode((folder / name).read_bytes()).decode() for name in names]
    body = {"inputs": [{"name": "row", "datatype": "BYTES", "shape": [2], "data": data}]}
    outputs = {output["name"]: output["data"] for output in get(model + "/infer", body)["outputs"]}
    totals = [np.array((folder / name).read_text().split(), float) for name in names]
    expected = [row.sum() + (0.0 if len(row) <= LENGTH // 2 else 1.0) for row in totals]
    assert [float(text) for text in outputs["outcome"]] == pytest.approx(expected, abs=0.01)
    assert all(0 < probability <= 1 for probability in outputs["probability"])
