"""From texts in a file to the answers of a bundle: every command, for labels and for translations."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from premodel.cli.main import main
from premodel.container import open_sealed, write_sealed
from premodel.domains.text.scores import corpus_chrf
from premodel.errors import BundleError, OptionError
from premodel.runtime.bundle import HEADER
from premodel.training.load import load_tables
from text_models import make_languages, make_translations

pytest.importorskip("sklearn", reason="the lab extra is not installed")

N = 80


def run(*words: str | Path, code: int = 0) -> str:
    """Stdout of a command; stderr where it fails as it should."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = main([str(word) for word in words])
    assert found == code, err.getvalue()
    return err.getvalue() if code else out.getvalue()


def profile(folder: Path, *data: str | Path) -> dict[str, Any]:
    words = ["profile", folder / "zoo.toml", *data, "--store", folder / "s.db", "--max-timing-seconds", "1"]
    report: dict[str, Any] = json.loads(run(*words, "--energy", "off", "--json"))
    return report


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translators")
    make_translations(folder, N)
    report = profile(folder, folder / "source.en", "--labels", folder / "reference.de")
    assert report["predictions"].items() >= {"new": 2 * N, "failed": {}}.items()
    assert report["scores"] == {"scores": 4 * 2 * N, "kept": 0}
    assert report["features"]["new"] == N
    run("train", folder / "s.db", "--out", folder / "t.premodel", "--policy", "select", "--cost-weight", "0.001")
    return folder


def test_a_profile_of_translations_holds_scores_features_and_latencies_by_sentence(translated: Path) -> None:
    tables = load_tables(translated / "s.db")
    assert tables.criteria == ("chrf", "bleu", "rouge", "f1")
    words = tables.features[:, tables.feature_names.index("n_words")]
    short = words <= 5  # four, and the number
    score = tables.score("chrf")
    assert score[short, 0] == pytest.approx(1.0)
    assert score[~short, 0].max() < 0.9
    took_ms = tables.latency()
    assert np.median(took_ms[~short, 1]) > np.median(took_ms[short, 1])


def test_every_command_works_on_translations(translated: Path) -> None:
    store = translated / "s.db"
    words = ["evaluate", store, "--folds", "2", "--workers", "1", "--policy", "select", "--cost-weight", "0.001"]
    found = json.loads(run(*words, "--json"))
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["select"]["accuracy"] >= rows["short"]["accuracy"]
    assert rows["oracle"]["accuracy"] > rows["select"]["accuracy"] - 1e-9
    assert {"choice_per_input", "mix_gain"} & set(rows["select"]["comparison"])
    assert "chrf of all: mean" in run("store", "info", store)


def test_figures_of_the_corpus_stand_beside_the_means_of_sentences(translated: Path) -> None:
    found = json.loads(run("store", "info", translated / "s.db", "--corpus", "--json"))
    means = {one["name"]: one["scores"] for one in found["candidates"]}
    assert set(found["corpus"]) == {"short", "all"}
    assert set(found["corpus"]["short"]) == {"bleu", "chrf"}
    assert found["corpus"]["short"]["bleu"] != pytest.approx(means["short"]["bleu"], abs=1e-4)
    assert "corpus bleu of all: 0." in run("store", "info", translated / "s.db", "--corpus")
    assert "corpus" not in json.loads(run("store", "info", translated / "s.db", "--json"))


def test_a_threshold_makes_answers_good_enough_or_not(translated: Path) -> None:
    store, criterion = translated / "s.db", "chrf>=0.95"
    score = load_tables(store).score("chrf")
    words = ["evaluate", store, "--folds", "2", "--workers", "1", "--policy", "single", "--criterion", criterion]
    found = json.loads(run(*words, "--json"))
    rows = {row["name"]: row for row in found["rows"]}
    assert found["criterion"] == criterion
    assert rows["short"]["accuracy"] == pytest.approx((score[:, 0] >= 0.95).mean())
    assert rows["oracle"]["accuracy"] == pytest.approx((score >= 0.95).any(axis=1).mean())
    bundle = translated / "enough.premodel"
    run("train", store, "--out", bundle, "--policy", "single", "--criterion", criterion)
    source = (translated / "source.en").read_text().splitlines()[0]
    assert json.loads(run("predict", bundle, "--text", source, "--json"))["answers"][0]["outcome"]
    for wrong in ("chrf>=6", "chrf>0.6", "smell>=0.5"):
        assert "unknown criterion" in run("doctor", store, "--criterion", wrong, code=2)


def test_a_bundle_translates(translated: Path) -> None:
    sources = (translated / "source.en").read_text().splitlines()
    references = (translated / "reference.de").read_text().splitlines()
    words = [word for text in sources[:20] for word in ("--text", text)]
    answers = json.loads(run("predict", translated / "t.premodel", *words, "--json"))["answers"]
    assert [one["path"] for one in answers[:2]] == ["text 1", "text 2"]
    for source, reference, answer in zip(sources, references, answers, strict=False):
        words, places = reference.split(), len(source.split()) - 1
        short = words if places <= 4 else words[::2]
        assert answer["outcome"].split() == (short if answer["candidate"] == "short" else words[:-1])
        assert answer["outcome"].split()[0] == reference.split()[0]
    assert {one["candidate"] for one in answers} <= {"short", "all"}
    assert corpus_chrf(zip((one["outcome"] for one in answers), references, strict=False)) > 0.3


def test_a_cascade_of_translators_reads_what_each_states_of_its_own_answer(translated: Path) -> None:
    store, bundle = translated / "s.db", translated / "cascade.premodel"
    found = json.loads(run("train", store, "--out", bundle, "--policy", "cascade", "--cost-weight", "0.001", "--json"))
    by = "by the probabilities and lengths of those in hand"
    assert f"serves the answer of the highest expected grade, {by}" in found["summary"]
    sources = (translated / "source.en").read_text().splitlines()
    short = {text: len(text.split()) <= 5 for text in sources}
    with premodel.load(bundle) as loaded:
        assert loaded.policy.length_measure in ("n_words", "n_chars")
        answers = {text: loaded.predict(text) for text in sources[:30]}
    for text, answer in answers.items():
        assert answer.ran[0] == "short"
        assert (answer.candidate == "short") == short[text]  # it states 0.3 of what it loses words of
        assert 0 <= (answer.confidence or 0.0) <= 1
    assert run("predict", bundle, "--text", sources[0])


def test_a_budget_is_kept_sentence_by_sentence(translated: Path) -> None:
    sources = sorted((translated / "source.en").read_text().splitlines(), key=lambda text: len(text.split()))
    with premodel.load(translated / "t.premodel") as loaded:
        curves, costs = loaded.policy.latency_curves, loaded.policy.costs
        assert curves is not None
        slow = loaded.candidates.index("all")
        lengths = [loaded.bundle.domain.length(text, curves.measure) for text in sources]
        budget = costs.before_ms + float(curves.at(lengths[len(sources) // 2])[slow])
        for text, length in zip(sources, lengths, strict=True):
            fits = costs.before_ms + float(curves.at(length)[slow]) <= budget
            answer = loaded.predict(text, max_latency_ms=budget, cost_weight=0)
            assert fits or answer.candidate == "short"
        assert loaded.predict(sources[0], max_latency_ms=100, cost_weight=100).candidate == "short"
        with pytest.raises(OptionError, match="the cheapest candidate is short"):
            loaded.predict(sources[-1], max_latency_ms=costs.before_ms)


def test_a_bundle_of_latencies_by_an_unknown_length_is_refused(translated: Path) -> None:
    assert reseal(translated / "t.premodel", '"n_words"', '"n_words"')["schema"] == 4
    for old, new, reason in (
        ('"measure": "n_', '"measure": "no_', "by an unknown length; given: 'no_.*allowed: n_words, n_chars"),
        ('"schema": 4', '"schema": 3', "wrong schema; given: 3; allowed: 4, as it has latencies by length"),
    ):
        file = translated / "changed.premodel"
        reseal(translated / "t.premodel", old, new, file)
        with pytest.raises(BundleError, match=reason):
            premodel.load(file)


def test_a_cascade_that_decides_by_an_unknown_length_is_refused(translated: Path) -> None:
    bundle, changed = translated / "by-length.premodel", translated / "changed.premodel"
    run("train", translated / "s.db", "--out", bundle, "--policy", "cascade", "--cost-weight", "0.001")
    reseal(bundle, '"measure": "n_', '"measure": "no_', changed)
    with pytest.raises(BundleError, match=r"are by an unknown length; given: 'no_"):
        premodel.load(changed)


def reseal(bundle: Path, old: str, new: str, file: Path | None = None) -> dict[str, Any]:
    """The header of a bundle with a change, written to a file under a right seal."""
    with open_sealed(bundle) as container:
        members = {name: container.read(name) for name in container.sizes}
    header = members[HEADER].decode().replace(old, new)
    if file is not None:
        assert header != members[HEADER].decode()
        write_sealed(file, {**members, HEADER: header.encode()})
    found: dict[str, Any] = json.loads(header)
    return found


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    folder = tmp_path_factory.mktemp("languages")
    make_languages(folder, N)
    report = profile(folder, folder / "messages.csv")
    assert report["predictions"].items() >= {"new": 2 * N, "failed": {}}.items()
    run("train", folder / "s.db", "--out", folder / "t.premodel", "--policy", "cascade")
    return folder


def test_every_command_works_on_labels_of_texts(classified: Path) -> None:
    store = classified / "s.db"
    tables = load_tables(store)
    assert tables.criteria == ("top1",)
    assert tables.label_names == ("de", "en")
    assert tables.sample_ms is not None
    assert tables.score("top1").mean(axis=0)[tables.candidates.index("fine")] > 0.8
    assert json.loads(run("doctor", store, "--json"))["criterion"] == "top1"
    words = ["evaluate", store, "--folds", "2", "--workers", "1", "--policy", "cascade", "--json"]
    rows = {row["name"]: row for row in json.loads(run(*words))["rows"]}
    assert {"cascade", "fine", "oracle"} <= set(rows)
    run("zoo", "check", classified / "zoo.toml")


def test_a_bundle_answers_texts_files_and_lines(classified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = classified / "t.premodel"
    (classified / "one.txt").write_text("the dog runs over the street\n")
    lines = io.TextIOWrapper(io.BytesIO(b"ein hund sieht das haus\n\nthe man walks\n"))
    monkeypatch.setattr(sys, "stdin", lines)
    words = ["predict", bundle, classified / "one.txt", "-", "--text", "the dog runs over the street"]
    found = json.loads(run(*words, "--json"))
    named = {one["path"]: one["class"] for one in found["answers"]}
    assert set(named) == {str(classified / "one.txt"), "line 1", "line 3", "text 1"}
    assert named["text 1"] == named[str(classified / "one.txt")]
    assert [one["path"] for one in found["unreadable"]] == ["line 2"]
    assert "text 1: " in run("predict", bundle, "--text", "the dog", "--explain")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "an input must be given"),
        (["--text", " "], "more than white space"),
        (["none.txt"], "none.txt: text cannot"),
    ],
)
def test_says_what_is_wrong_with_an_input(classified: Path, words: list[str], match: str) -> None:
    said = run("predict", classified / "t.premodel", *words, code=2)
    assert match in said
    assert said.count("\n") == 1


def test_triton_is_refused_in_one_line(classified: Path) -> None:
    said = run("export", classified / "t.premodel", "--triton", classified / "repository", code=2)
    assert "a premodel of texts cannot be exported for Triton" in said
    assert said.count("\n") == 1
