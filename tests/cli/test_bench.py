"""`premodel bench` on a small zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli import bench as bench_command
from premodel.cli.main import main
from premodel.evaluation import degenerate, side_by_side

KEYS = [
    "name", "kind", "policy", "accuracy", "accuracy_ci", "coverage", "latency_ms", "latency_p50_ms", "latency_p99_ms",
    "speedup_vs_best", "gain_points_vs_best", "gain_ci", "share", "verdict",
]  # fmt: skip


def bench(profiled: Any, tmp_path: Path, *words: object) -> int:
    out = tmp_path / "edge.premodel"
    assert main(["train", str(profiled.store), "--policy", "paper", "--out", str(out)]) == 0
    data = [profiled.small.data, "--labels", profiled.small.labels]
    return main(["bench", str(out), *map(str, data), "--max-seconds", "3", *map(str, words)])


def test_json_as_the_design_says(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert bench(profiled, tmp_path, "--json", "--limit", 40) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["samples"] == 40
    assert [row["kind"] for row in report["rows"]] == ["single"] * 3 + ["premodel"]
    for row in report["rows"]:
        assert list(row)[: len(KEYS)] == KEYS
        assert "VALID" in row["verdict"]
    own = report["rows"][-1]
    assert own["name"] == "edge"
    assert own["policy"] == "paper"
    assert set(own["share"]) <= {"m0", "m1", "m2"}
    assert list(own["stages_ms"]) == ["decode", "features", "select", "predict", "total"]
    assert report["conditions"]["device"]


def test_lines_for_people(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    (profiled.small.data / "images" / "broken.jpg").write_bytes(b"no image")
    labels = tmp_path / "labels.csv"
    labels.write_text(profiled.small.labels.read_text() + "images/broken.jpg,0\n")
    assert bench(profiled, tmp_path, "--labels", labels) == 0
    printed = capsys.readouterr()
    (profiled.small.data / "images" / "broken.jpg").unlink()
    assert "1 images could not be read and are left out" in printed.err
    assert "60 images, top1" in printed.out
    assert any(line.startswith("edge (") for line in printed.out.splitlines())


def test_another_latency_than_in_the_profile_is_said_once(
    profiled: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(degenerate, "MAX_LATENCY_FACTOR", 1.0)
    monkeypatch.setattr(bench_command, "DRIFT", 0.0)
    assert bench(profiled, tmp_path, "--quick") == 0
    printed = capsys.readouterr()
    for name in ("m0", "m1", "m2"):
        assert (printed.out + printed.err).count(f"{name} takes ") == 1


def test_mistakes(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert bench(profiled, tmp_path, "--limit", 0) == 2
    assert "wrong limit; given: 0; allowed: 1 or more" in capsys.readouterr().err
    empty = tmp_path / "empty.csv"
    empty.write_text("path,label\n")
    assert bench(profiled, tmp_path, "--labels", empty) == 2
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"no image")
    (broken / "labels.csv").write_text("path,label\na.jpg,0\n")
    out = tmp_path / "edge.premodel"
    assert main(["bench", str(out), str(broken), "--labels", str(broken / "labels.csv")]) == 2
    assert "no image can be read" in capsys.readouterr().err


def test_the_quick_form_is_one_pass_over_few_images(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert bench(profiled, tmp_path, "--quick", "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["samples"], report["passes"]) == (50, 1)
    assert bench(profiled, tmp_path, "--quick", "--limit", 10, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["samples"] == 10
    assert bench(profiled, tmp_path, "--quick", "--limit", 0) == 2


def test_what_was_left_out_of_the_data_is_told(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    rows = [line.split(",")[:2] for line in profiled.small.labels.read_text().splitlines()[1:]]
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{path}\t{label}\n" for path, label in rows) + "gone.png\t0\n")
    assert bench(profiled, tmp_path, "--labels", listing) == 0
    assert "1 listed images are not there, such as gone.png" in capsys.readouterr().err


class Ticking:
    """A clock that is half a second on whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_s(self) -> float:
        self.seconds += 0.5
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_soak_shows_latencies_over_time(profiled: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(side_by_side, "RealTime", Ticking)
    assert bench(profiled, tmp_path, "--soak", "60s", "--limit", 10, "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    found, curve = report["soak"], report["soak"]["curve"]
    assert curve["names"] == ["m0", "m1", "m2", "edge"]
    assert len(curve["at_s"]) == pytest.approx(30, abs=2)
    assert sum(map(sum, curve["count"])) == pytest.approx(4 * 120, abs=8)
    assert found["kind"] == "sustained"
    assert {one["name"] for one in found["trends"]} == set(curve["names"])
    # The rows are of the last third, the accuracy of the first pass over the images.
    assert all(row["runs"] == pytest.approx(40, abs=6) for row in report["rows"])
    assert report["samples"] == 10


def test_every_makes_single_requests(profiled: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(side_by_side, "RealTime", Ticking)
    assert bench(profiled, tmp_path, "--every", "2s", "--max-seconds", "200", "--limit", 10) == 0
    printed = capsys.readouterr().out
    assert "idle, 3.33 min: " in printed or "idle: " in printed
    assert bench(profiled, tmp_path, "--soak", "half an hour") == 2
    assert "duration must be a number with its unit" in capsys.readouterr().err
