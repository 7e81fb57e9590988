"""Answers measured elsewhere become a store that is evaluated and trained on; nothing is run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embeddings import install, uninstall
from premodel.cli.main import main
from premodel.errors import DatasetError, MissingExtraError, OptionError
from premodel.evaluation.evaluate import evaluate
from premodel.profiling.table_features import TEXT_FEATURES
from premodel.profiling.table_import import ImportOptions, import_table
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions

LONG = """sample,candidate,score,confidence,cost
a,weak,0.25,0.5,1
a,strong,0.75,0.9,10
b,weak,1,0.8,2
b,strong,0.5,0.6,30
"""


def imported(folder: Path, text: str, options: ImportOptions) -> Path:
    (folder / "table.csv").write_text(text)
    with Store(folder / "s.db", create=True) as store:
        import_table(folder / "table.csv", store, options)
    return folder / "s.db"


def test_a_row_per_sample_and_candidate_brings_scores_confidences_and_costs(tmp_path: Path) -> None:
    options = ImportOptions(sample="sample", confidence="confidence", cost="cost", unit="cents")
    tables = load_tables(imported(tmp_path, LONG, options))
    assert tables.candidates == ("weak", "strong")
    assert tables.criteria == ("score",)
    by_score = np.argsort(tables.score("score")[:, 0])
    assert tables.score("score")[by_score].tolist() == [[0.25, 0.75], [1.0, 0.5]]
    assert tables.latency()[by_score].tolist() == pytest.approx(np.array([[1.0, 10.0], [2.0, 30.0]]))
    assert tables.top_probabilities[by_score, :, 0] == pytest.approx(np.array([[0.5, 0.9], [0.8, 0.6]]))
    assert tables.latency_ms == pytest.approx([1.5, 20.0])
    assert tables.conditions["unit"] == "cents"


def test_columns_of_right_and_wrong_are_candidates_and_a_text_has_features(tmp_path: Path) -> None:
    text = "prompt,weak,strong\n2 + 2?,True,True\nProve it at length.,False,True\n"
    options = ImportOptions(sample="prompt", scores=("weak", "strong"), costs={"weak": 1, "strong": 40}, text="prompt")
    tables = load_tables(imported(tmp_path, text, options))
    assert sorted(tables.score("score").tolist()) == [[0.0, 1.0], [1.0, 1.0]]
    assert tables.latency_ms.tolist() == [1.0, 40.0]
    assert sorted(tables.features[:, tables.feature_names.index("characters")].tolist()) == [6.0, 19.0]


def test_the_words_of_a_text_are_hashed_into_as_many_features_as_wanted(tmp_path: Path) -> None:
    text = (
        "prompt,weak,strong\nDogs bark dogs,True,True\nProve it,False,True\nbark! DOGS dogs,False,True\n---,True,True\n"
    )
    options = ImportOptions(scores=("weak", "strong"), costs={"weak": 1, "strong": 40}, text="prompt", words=64)
    tables = load_tables(imported(tmp_path, text, options))
    names = [f"word{place}" for place in range(1, 65)]
    found = tables.features[:, [tables.feature_names.index(name) for name in names]]
    lengths = np.linalg.norm(found, axis=1)
    assert sorted(lengths.tolist()) == pytest.approx([0, 1, 1, 1], abs=1e-6)
    same = [(a, b) for a in range(4) for b in range(a) if np.allclose(found[a], found[b])]
    assert len(same) == 1  # of the two texts with the same words
    for words, column in ((5000, "prompt"), (-1, "prompt"), (10, None)):
        wrong = ImportOptions(scores=("weak", "strong"), costs={"weak": 1, "strong": 4}, text=column, words=words)
        with pytest.raises(OptionError, match="words must be a number of features"):
            imported(tmp_path, text, wrong)


def test_a_choice_is_learned_from_the_columns_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    lines = [f"{i},{h:.4f},{'true' if h < 0.5 else 'false'},true" for i, h in enumerate(hard)]
    text = "\n".join(["id,hardness,weak,strong", *lines])
    costs = {"weak": 1.0, "strong": 40.0}
    options = ImportOptions(sample="id", scores=("weak", "strong"), costs=costs, features=("hardness",))
    store = imported(tmp_path, text, options)
    tables = load_tables(store)
    trained = TrainOptions("select", "score", Objective(cost_weight=0.015))
    found = evaluate(tables, {"select": trained}, criterion="score", folds=4)
    row = next(row for row in found.rows if row.name == "select")
    assert row.accuracy > 0.95
    assert row.latency_ms < 25
    assert found.routing is not None
    assert found.routing.apgr_ci[0] > 0.6
    assert main(["doctor", str(store)]) == 0
    words = ["train", str(store), "--out", str(tmp_path / "t.premodel"), "--policy", "select", "--cost-weight", "0.015"]
    assert main(words) == 0


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("sample,score\na,1\n", ImportOptions(), "no column 'candidate'; given: sample, score"),
        (
            LONG.replace("0.25", "1.25"),
            ImportOptions(cost="cost"),
            "row 1: score must be a number from 0 to 1; given: '1.25'",
        ),
        (LONG.replace(",10", ",-1"), ImportOptions(cost="cost"), "cost must be a number from 0; given: '-1'"),
        (LONG, ImportOptions(sample="sample"), "no cost is known; given: weak"),
        ("sample\n", ImportOptions(), "the table has no rows"),
    ],
)
def test_what_is_missing_or_no_number_is_named(tmp_path: Path, text: str, options: ImportOptions, error: str) -> None:
    with pytest.raises((DatasetError, OptionError), match=error):
        imported(tmp_path, text, options)


def test_the_command_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(LONG)
    words = ["store", "import", str(tmp_path / "t.csv"), "--store", str(tmp_path / "s.db"), "--sample", "sample"]
    assert main([*words, "--cost", "cost"]) == 0
    assert capsys.readouterr().out == "4 answers of 2 candidates to 2 samples imported\n"
    assert main(["store", "info", str(tmp_path / "s.db")]) == 0
    assert "score of weak: mean 0.6250" in capsys.readouterr().out


PROMPTS = (
    "prompt,weak,strong\nthe dog runs,True,True\nthe man walks,False,True\ndog runs the,False,True\n---,True,True\n"
)


def test_an_embedding_of_the_text_is_a_family_with_a_cost_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    costs = {"weak": 1.0, "strong": 40.0}
    options = ImportOptions(scores=("weak", "strong"), costs=costs, text="prompt", words=8, embedding=True)
    tables = load_tables(imported(tmp_path, PROMPTS, options))
    names = [f"embedding{number}" for number in range(1, 257)]
    assert tables.feature_names == (*TEXT_FEATURES, *(f"word{number}" for number in range(1, 9)), *names)
    found = tables.features[:, -256:]
    assert sorted(np.linalg.norm(found, axis=1).tolist()) == pytest.approx([0, 1, 1, 1], abs=1e-5)
    same = [(a, b) for a in range(4) for b in range(a) if np.allclose(found[a], found[b])]
    assert len(same) == 1  # of the two texts with the same words
    assert tables.feature_costs.of(["characters"]) < 1e-6 < tables.feature_costs.of(["embedding1"])
    assert tables.feature_costs.of(["embedding1"]) == pytest.approx(tables.feature_costs.of(names))
    cents = load_tables(imported(tmp_path, PROMPTS, replace(options, unit="cents", words=0)))
    assert cents.feature_costs.of(names) < 1e-6, "milliseconds are no cents"
    again = load_tables(imported(tmp_path, PROMPTS, replace(options, embedding=False)))
    assert again.feature_names[-1] == "word8"
    with pytest.raises(OptionError, match="an embedding must be of a text; name the column of the text with --text"):
        imported(tmp_path, PROMPTS, replace(options, text=None, words=0))
    uninstall(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"'premodel\[embeddings\]'"):
        imported(tmp_path, PROMPTS, options)


def test_a_column_of_lists_is_as_many_features(tmp_path: Path) -> None:
    text = 'vector,size,weak,strong\n"[0.5, 1]",7,True,True\n"[-0.25, 2]",8,False,True\n'
    options = ImportOptions(
        scores=("weak", "strong"), costs={"weak": 1, "strong": 4}, features=("vector", "size"), unit="cents"
    )
    tables = load_tables(imported(tmp_path, text, options))
    assert tables.feature_names == ("vector1", "vector2", "size")
    assert sorted(tables.features.tolist()) == [[-0.25, 2, 8], [0.5, 1, 7]]
    for wrong, error in (
        ("[1, 2, 3]", "row 2: vector must be as in the first row; given: 3 numbers; allowed: 2 numbers"),
        ("3", "row 2: vector must be as in the first row; given: a number; allowed: 2 numbers"),
        ("[1, oops]", "row 2: vector must be a list of numbers"),
        ('[1, ""x""]', "row 2: vector must be a number; given: 'x'"),
    ):
        with pytest.raises(DatasetError, match=re.escape(error)):
            imported(tmp_path, text.replace("[-0.25, 2]", wrong), options)
    with pytest.raises(DatasetError, match="vector must be a list of 1 to 4096 numbers; given: 0 numbers"):
        imported(tmp_path, text.replace("[0.5, 1]", "[]"), options)


def test_a_column_of_lists_in_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    import pyarrow as pa
    from pyarrow import parquet

    rows = {"embedding": [[1.0, 2.0], [3.0, 4.0]], "weak": [True, False], "strong": [True, True]}
    parquet.write_table(pa.table(rows), tmp_path / "t.parquet")
    words = [
        "store",
        "import",
        str(tmp_path / "t.parquet"),
        "--store",
        str(tmp_path / "p.db"),
        "--scores",
        "weak,strong",
    ]
    assert main([*words, "--cost", "weak=1", "--cost", "strong=2", "--features", "embedding"]) == 0
    assert load_tables(tmp_path / "p.db").feature_names == ("embedding1", "embedding2")
