"""The demo end to end on a few scenes, with the embedded networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import premodel
from premodel.cli.main import main
from premodel.demo.demo import embedded_zoo
from premodel.demo.folder import Folder
from premodel.demo.state import Demo, DemoOptions
from premodel.demo.steps import STEPS, Step
from premodel.errors import ModelError, OptionError

IMAGES = 60


class Notes:
    """Remembers what it is reported."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, what: str, total: int, unit: str) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass

    def end(self) -> None:
        pass

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def zoo() -> Path:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    try:
        return embedded_zoo()
    except ModelError as error:
        pytest.skip(str(error))


def options(out: Path) -> DemoOptions:
    return DemoOptions(out, IMAGES, policies=("paper", "cascade"), folds=3, timing_seconds=2, bench_seconds=1)


@pytest.fixture(scope="module")
def first(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Notes]:
    from premodel.demo.demo import run_demo

    notes = Notes()
    return run_demo(options(tmp_path_factory.mktemp("demo") / "out"), notes), notes


def test_it_makes_a_bundle_that_answers_and_a_page_with_pictures(first: tuple[Demo, Notes]) -> None:
    demo, notes = first
    html = (demo.folder / "report.html").read_text()
    assert demo.verdict.split(":")[0].replace("'", "&#39;") in html
    assert html.count("data:image/jpeg;base64,") >= 50, "ten of each fifth"
    assert "Real runs" in html
    assert demo.doctor
    assert "What the doctor found" in html
    assert len(html.encode()) < 2_500_000
    scene = demo.bench_dataset.names[0]
    with premodel.load(demo.folder / "digits.premodel") as clf:
        assert clf.predict(demo.folder / "bench" / scene).candidate is not None
    assert any("stopped: " in line for line in notes.said), "Algorithm 1 is reported"
    assert demo.bench is not None
    assert demo.bench.samples == IMAGES // 2
    assert not {*demo.bench_dataset.names} & {*demo.dataset.names}, "real runs are on other scenes"


def test_json_and_table_and_sentence(first: tuple[Demo, Notes]) -> None:
    from premodel.cli.demo import format_demo

    demo, _ = first
    found = json.loads(json.dumps(demo.to_json()))
    assert found["images"] == IMAGES
    assert {row["kind"] for row in found["rows"]} == {"single", "baseline", "premodel"}
    assert set(found["seconds"]) == {step.name for step in STEPS}
    assert all(Path(path).exists() for path in found["files"].values())
    text = format_demo(demo)
    assert text.count(demo.verdict) == 1
    for name in demo.tables.candidates:
        assert any(line.startswith(f"{name} ") for line in text.splitlines())


def test_a_second_run_takes_up_what_is_there(first: tuple[Demo, Notes], monkeypatch: pytest.MonkeyPatch) -> None:
    from premodel.demo import demo as module

    demo, _ = first
    notes = Notes()
    monkeypatch.setattr(module, "STEPS", STEPS[:2])
    again = module.run_demo(options(demo.folder.path), notes)
    assert again.profile.predictions is not None
    assert again.profile.predictions.predictions == 0
    assert again.profile.features is not None
    assert again.profile.features.vectors == 0
    assert "holds an earlier demo" in notes.said[0]
    assert again.tables.samples == demo.tables.samples
    assert (again.tables.rank == demo.tables.rank).all(), "accuracy does not change; latencies may"


def test_fewer_scenes_in_the_same_folder_are_evaluated_alone(first: tuple[Demo, Notes]) -> None:
    from premodel.demo.demo import POLICIES
    from premodel.demo.steps import make_scenes, profile_scenes

    demo, _ = first
    fewer = DemoOptions(demo.folder.path, 50, timing_seconds=1)
    part = Demo(fewer, Folder(demo.folder.path), Notes(), demo.zoo, POLICIES)
    make_scenes(part)
    profile_scenes(part)
    assert len(part.tables) == 50
    assert set(part.tables.samples) < set(demo.tables.samples)


def test_a_broken_off_demo_leaves_what_it_has_stored(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from premodel.demo import demo as module

    def interrupt(_: Demo) -> None:
        raise KeyboardInterrupt

    steps = (STEPS[0], Step("profile", "interrupted", interrupt))
    monkeypatch.setattr(module, "STEPS", steps)
    assert main(["demo", "--out", str(tmp_path / "d"), "--images", "50"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(list((tmp_path / "d" / "scenes").glob("*.png"))) == 50
    assert Folder(tmp_path / "d").known


def test_somebody_elses_folder_is_not_touched(zoo: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "report.html").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--images", "50"]) == 2
    assert "not made by premodel demo" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "[]", '{"made_by": "another"}', "\x00"])
def test_a_mark_of_another_program_is_no_mark(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(OptionError, match="not made by premodel demo"):
        Folder(tmp_path)


def test_the_best_policy_there_is_stands_beside_the_papers() -> None:
    from premodel.demo.demo import POLICIES

    assert POLICIES == ("paper", "auto")


@pytest.mark.parametrize(("images", "seed", "said"), [(5, 0, "too few images"), (60, -1, "wrong seed")])
def test_wrong_options(images: int, seed: int, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        DemoOptions(Path("out"), images, seed)
