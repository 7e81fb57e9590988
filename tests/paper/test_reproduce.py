from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation.baselines import single_rows
from premodel.evaluation.rows import Row
from premodel.paper.experiments import EXPERIMENTS
from premodel.paper.reproduce import Reproduction, reproduce, verdict
from premodel.paper.study import MAIN, Study
from premodel.training.tables import Tables
from profiles import make_tables


def test_every_experiment_gives_a_result_of_its_name(found: Reproduction) -> None:
    assert [result.id for result in found.results] == list(EXPERIMENTS)
    for result in found.results:
        assert result.finding
        assert result.tables
        assert result.comparisons
        for table in result.tables:
            assert table.rows or table.name == "correlation", "only of correlated features may there be none"
            assert all(len(row) == len(table.header) for row in table.rows), table.name


def test_the_paper_stands_beside_with_both_definitions(found: Reproduction) -> None:
    every = [one for result in found.results for one in result.comparisons]
    published = [one for one in every if one.published is not None]
    assert len(published) > 40
    for one in every:
        assert one.definition
    for one in published:
        assert one.published is not None
        assert one.published.definition
        assert one.published.where
    values = {one.published.value for one in published if one.published}
    assert {87.44, 91.2, 95.6, 70.75, 43.91, 12.84, 2.55, 86.14, 95.8, 80.1, 72.3, 20, 9.52, 27} <= values


def test_json_holds_values_and_null_for_what_was_not_measured(found: Reproduction) -> None:
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {
        "study",
        "verdict",
        "comparison",
        "criterion",
        "samples",
        "folds",
        "seed",
        "experiments",
        "conditions",
    } == set(data)
    by_id = {one["id"]: one for one in data["experiments"]}
    assert {key for one in data["experiments"] for table in one["tables"] for key in table} == {
        "name", "caption", "header", "rows"
    }  # fmt: skip
    assert list(by_id) == list(EXPERIMENTS)
    energy = next(one for one in by_id["overall"]["comparisons"] if one["what"] == "energy against the best single")
    assert energy["ours"] is None
    assert energy["published"]["value"] == 2


def test_energy_is_compared_where_it_was_measured(tables: Tables) -> None:
    from premodel.paper import overall

    measured = replace(tables, energy_mj=np.array([1.0, 2.0, 4.0]))
    result = overall.run(Study(measured, folds=2))
    line = next(row for row in result.tables[1].rows if row[0] == "large")
    assert line[-1] == 4.0
    one = next(one for one in result.comparisons if one.what == "energy against the best single")
    assert isinstance(one.ours, float)
    assert 1 <= one.ours <= 4


def test_all_27_chains_and_no_premodel_above_its_union(found: Reproduction) -> None:
    by_id = {result.id: result for result in found.results}
    chains = [row[0] for row in by_id["chains"].tables[0].rows]
    assert len(set(chains)) == 27
    assert "KNN.KNN.KNN" in chains
    checks = {row[0]: row[3] for row in by_id["coverage"].tables[0].rows}
    assert checks.pop("the paper") == "IMPOSSIBLE: 1.30 points above the union"
    assert len(checks) > 40
    assert set(checks.values()) == {"possible"}


def test_equal_input_gives_equal_values_but_for_measured_times(tables: Tables, found: Reproduction) -> None:
    again = reproduce(tables, folds=2)

    def accuracies(one: Reproduction) -> list[object]:
        return [row[1] for result in one.results if result.id in ("chains", "labels") for row in result.tables[0].rows]

    assert sorted(map(str, accuracies(again))) == sorted(map(str, accuracies(found)))


def row_of(found: Study) -> Row:
    return found.served(MAIN).row


@pytest.mark.parametrize(
    ("mix", "interval", "word"),
    [(-2.0, (-3.0, -1.0), "below the"), (2.0, (1.0, 3.0), "above the"), (0.5, (-1.0, 1.0), "not distinguishable from")],
)
def test_the_verdict_needs_a_whole_interval(
    tables: Tables, mix: float, interval: tuple[float, float], word: str
) -> None:
    study = Study(tables, folds=2)
    row = row_of(study)
    row = replace(row, extra={**row.extra, "gain_points_vs_mix": mix, "mix_ci": interval})
    said = verdict(row, single_rows(tables, study.singles))
    assert said.startswith("the paper's premodel (")
    assert f"The choice per input is {word}" in said


def test_features_that_tell_who_is_right_beat_the_random_mix() -> None:
    rng = np.random.default_rng(0)
    easy = rng.random(400) < 0.6
    tables = make_tables(
        np.stack([easy, rng.random(400) < 0.95], axis=1),
        latency_ms=[1.0, 8.0],
        features=np.stack([easy + 0.01 * rng.random(400), 0.1 * easy + 0.01 * rng.random(400)], axis=1),
        feature_names=("a", "b"),
    )
    row = row_of(Study(tables, folds=4))
    assert row.extra["mix_ci"][0] > 0
    assert row.accuracy > 0.9


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(OptionError, match="fewer samples than folds"):
        reproduce(make_tables(np.ones((4, 2), dtype=bool)), folds=10)


def test_csv_and_page(found: Reproduction, tmp_path: Path) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.paper.write import check_folder, write_files

    out = tmp_path / "deep" / "out"
    check_folder(out)
    files = write_files(found, out, "small <study>")
    listed = json.loads((out / "reproduce.json").read_text())["files"]
    assert sorted(path.relative_to(out).as_posix() for path in files) == sorted(listed)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == sorted(listed)
    with (out / "tables" / "chains-chains.csv").open() as file:
        lines = list(csv.reader(file))
    assert len(lines) == 28
    assert 0 <= float(lines[1][1]) <= 100
    page = (out / "reproduce.html").read_text()
    assert len(page.encode()) < 2_500_000
    assert found.verdict.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert "default-src 'none'" in page
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert not re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?https?:", page)


def test_only_our_own_files_are_overwritten(found: Reproduction, tmp_path: Path) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.paper.write import check_folder, write_files

    check_folder(tmp_path)
    write_files(found, tmp_path, "t")
    check_folder(tmp_path)  # all of it is ours
    foreign = tmp_path / "tables" / "mine.csv"
    foreign.write_text("mine")
    with pytest.raises(OptionError, match="of another origin"):
        check_folder(tmp_path)
    foreign.unlink()
    (tmp_path / "reproduce.json").write_text('{"files": ["reproduce.html"]}')
    with pytest.raises(OptionError, match="of another origin"):
        check_folder(tmp_path)
    assert (tmp_path / "reproduce.json").read_text() == '{"files": ["reproduce.html"]}'


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.paper.write import check_folder

    (tmp_path / "out").write_text("a file")
    with pytest.raises(OptionError, match="no folder can be made there"):
        check_folder(tmp_path / "out")


@pytest.mark.parametrize(
    "shape", ["one candidate", "none is ever right", "all are always right", "a prediction failed"]
)
def test_odd_profiles_are_reproduced_and_shown(shape: str) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.paper.page import render

    rng = np.random.default_rng(0)
    tables = {
        "one candidate": lambda: make_tables(rng.random((60, 1)) < 0.6),
        "none is ever right": lambda: make_tables(np.zeros((60, 2), dtype=bool), n_labels=4),
        "all are always right": lambda: make_tables(np.ones((60, 3), dtype=bool)),
        "a prediction failed": lambda: make_tables(rng.random((60, 3)) < 0.6, failed=[(1, 1), (2, 0)]),
    }[shape]()
    found = reproduce(tables, folds=2)
    json.dumps(found.to_json(), allow_nan=False)
    assert found.comparison is not None
    # None where it always runs one candidate, which makes no choice per input.
    assert found.comparison.choice in (None, "not distinguishable", "below")
    assert found.verdict[:40] in render(found, shape).replace("&#39;", "'")
