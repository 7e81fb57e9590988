"""The demo on texts: sentences of documentation, and models fitted on other files of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import premodel
from premodel.demo import text_models, texts
from premodel.demo.folder import Folder
from premodel.demo.state import DemoOptions
from premodel.errors import OptionError
from premodel.zoo.manifest import read_zoo

pytest.importorskip("sklearn", reason="the lab extra is not installed")
pytest.importorskip("scipy", reason="the lab extra is not installed")


@pytest.fixture(scope="module")
def few() -> dict[str, texts.Sentences]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "FILES", 60)
        return texts.collect(seed=0)


def test_no_sentence_is_in_two_splits_or_names_a_package(few: dict[str, texts.Sentences]) -> None:
    every = [text for split in few.values() for text in split.texts]
    assert len(every) == len(set(every)) > 500
    assert not [text for text in every if "numpy" in text.lower() or "scikit" in text.lower()]
    assert all(set(split.labels) == set(texts.PACKAGES) for split in few.values())


def test_the_models_know_more_than_chance_of_other_files(few: dict[str, texts.Sentences], tmp_path: Path) -> None:
    file = texts.write_zoo(tmp_path, few["fit"])
    zoo = read_zoo(file, require_files=True, trust_python=True)
    assert [one.name for one in zoo.candidates] == ["words", "letters", "both"]
    assert len(zoo.candidates[2].model.further_files) == 2
    tables = {kind: np.load(tmp_path / f"{kind}.npy") for kind in text_models.PIECES}
    unseen = few["profile"]
    for kind, table in tables.items():
        assert table.shape == (text_models.BUCKETS, 3)
        rows = range(0, len(unseen.texts), 3)
        said = [int(table[text_models.places(unseen.texts[row], kind)].sum(axis=0).argmax()) for row in rows]
        right = np.mean([list(texts.PACKAGES)[one] == unseen.labels[row] for one, row in zip(said, rows, strict=True)])
        assert right > 0.42


def test_more_texts_than_there_are_is_one_line(few: dict[str, texts.Sentences], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="too many texts for this demo"):
        texts.write_split(tmp_path, few["bench"], 100_000)


def test_it_makes_a_bundle_that_answers_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.cli.demo import format_demo
    from premodel.demo import demo as demos
    from premodel.demo.demo import run_demo

    monkeypatch.setattr(texts, "FILES", 60)
    quick = tuple(step for step in demos.TEXT_STEPS if step.name != "doctor")  # that is slow, and the same on scenes
    monkeypatch.setattr(demos, "TEXT_STEPS", quick)
    options = DemoOptions(
        tmp_path / "out", 51, bench_images=12, policies=("single",), folds=2, timing_seconds=0.3, bench_seconds=0.2,
        domain="text",
    )  # fmt: skip
    demo = run_demo(options)
    assert len(demo.tables) == 51
    assert demo.verdict.split(":")[0] in (demo.folder / "report.html").read_text().replace("&#39;", "'")
    tried, own = format_demo(demo).split("Your own models")
    assert "--trust-python" in tried
    assert "zoo check zoo.toml TEXTS.csv --trust-python" in own
    assert "IMAGES" not in own
    with premodel.load(demo.folder / "documentation.premodel", trust_python=True) as loaded:
        assert loaded.predict("Compute the inverse of a sparse matrix.").class_name in texts.PACKAGES
    with pytest.raises(OptionError, match="holds a demo of another domain; given: text; allowed: image"):
        Folder(tmp_path / "out").claim({}, "image")
