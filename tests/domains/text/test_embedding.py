"""An embedding of texts: its values, what it costs, and refusal wherever another table would answer."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from agents import agent, board_manifest
from embeddings import VOCABULARY, install, safetensors, uninstall, vectors
from premodel.cli.main import main
from premodel.domains.registry import domain_of
from premodel.domains.text.features.embedding import PACKAGE, SIZE, TABLE_FILE, TOKENIZER_FILE, Source
from premodel.domains.text.features.extractor import FEATURE_NAMES, Extractor
from premodel.errors import BundleError, MissingExtraError, ModelError, OptionError
from premodel.files import file_sha256
from premodel.profiling.passes.features import FeatureJob
from premodel.profiling.workers.ray_node import NodeWorker
from premodel.runtime.bundle import Bundle, read_bundle, write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Select
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.load import load_candidates, load_tables
from text_models import make_translations

NAMES = tuple(f"embedding{number}" for number in range(1, SIZE + 1))
N = 40
REAL_DIGEST, REAL_VALUES = "461d9f72", [0.0320621, -0.0250312, -0.0002443, 0.0170269]


def run(*words: str | Path, code: int = 0) -> str:
    """Stdout of a command; stderr where it fails as it should."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = main([str(word) for word in words])
    assert found == code, err.getvalue()
    return err.getvalue() if code else out.getvalue()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install(tmp_path, monkeypatch)


def test_it_is_the_mean_of_the_vectors_of_the_tokens_at_length_1(installed: Path) -> None:
    extractor = domain_of("translation").with_embedding().extractor(NAMES)
    table = vectors().astype(np.float64)
    mean = (2 * table[VOCABULARY["dog"]] + table[VOCABULARY["the"]]) / 3
    wanted = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(extractor.extract("dog the dog"), wanted, atol=1e-6)
    np.testing.assert_array_equal(extractor.extract("dog dog the"), extractor.extract("dog the dog"))
    assert not extractor.extract("xyzzy").any()


def test_it_is_off_unless_asked_for_and_then_a_family_of_its_own(installed: Path) -> None:
    plain = domain_of("translation")
    domain = plain.with_embedding()
    assert plain.feature_names == FEATURE_NAMES
    assert domain.feature_names == (*FEATURE_NAMES, *NAMES)
    assert domain.feature_groups[:-1] == plain.feature_groups
    assert all(set(parts) == {"embedding", "assembly"} for parts in domain.feature_groups[-1].needs.values())
    extractor = domain.extractor(["embedding7", "n_words"])
    assert set(extractor.time_cost_items("the dog")) == set(extractor.cost_items()) == {
        "words", "lengths", "embedding", "assembly",
    }  # fmt: skip
    assert extractor.extract("the dog runs")[1] == 3
    with pytest.raises(OptionError, match="unknown feature; given: embedding1"):
        plain.extractor(["embedding1"])


def test_hostile_texts_give_finite_numbers_and_only_the_beginning_is_read(installed: Path) -> None:
    extractor = domain_of("translation").with_embedding().extractor(NAMES)
    for text in ("", "\0", "\ud800 dog", "x" * 1_000_000, "dog " * 250_000, "\u202eab", "日本" * 300_000):
        found = extractor.extract(text)
        assert np.isfinite(found).all()
        assert np.abs(found).max() <= 1
    np.testing.assert_allclose(extractor.extract("dog " * 2_500 + "the " * 2_500), extractor.extract("dog"), atol=1e-6)
    np.testing.assert_allclose(extractor.extract("the dog " * 1_250), extractor.extract("the dog"), atol=1e-4)


def test_the_version_of_the_features_states_package_and_table(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = domain_of("translation")
    version = plain.with_embedding().features_version
    assert version.startswith(f"{plain.features_version}@1-{PACKAGE}-0.4.0.post1-")
    install(tmp_path, monkeypatch, seed=1)
    other = plain.with_embedding().features_version
    install(tmp_path, monkeypatch, release="0.5.0")
    assert len({version, other, plain.with_embedding().features_version}) == 3
    assert plain.with_features(version).features_version == version
    assert plain.with_features("").with_features(version).with_features("").features_version == plain.features_version
    assert plain.with_features(version.replace("@1-", "@9-")).features_version == plain.features_version


def test_the_text_of_an_image_has_no_embedding() -> None:
    with pytest.raises(OptionError, match="image-classification has no embedding; allowed: texts"):
        domain_of("image-classification").with_embedding()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stated = Source("0.4.0.post1", "01234567")
    uninstall(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"wordllama is not installed; .*'premodel\[embeddings\]'"):
        domain_of("translation").with_embedding()
    with pytest.raises(MissingExtraError, match=r"wordllama 0\.4\.0\.post1 is not installed"):
        Extractor(["embedding1"], stated)
    assert Extractor(["n_words"], stated).extract("no table is opened").tolist() == [4]
    install(tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"tokenizers is not installed; .*'premodel\[embeddings\]'"):
        domain_of("translation").with_embedding()


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        (TABLE_FILE, None, "wordllama must hold a table and its tokenizer; given: wordllama 0.4.0.post1, No such file"),
        (TOKENIZER_FILE, None, "wordllama must hold a table and its tokenizer"),
        (TABLE_FILE, b"", "table cannot be read; given: JSONDecodeError"),
        (TABLE_FILE, safetensors(vectors(), name="other"), "table cannot be read; given: KeyError"),
        (TABLE_FILE, safetensors(vectors(), dtype="BF16"), "allowed: safetensors with embedding.weight of F16 or F32"),
        (TABLE_FILE, safetensors(vectors())[:-2], "table cannot be read; given: ValueError"),
        (TABLE_FILE, safetensors(vectors()[:, :64]), "a table must hold 256 numbers of each token; given: 36x64"),
        (TOKENIZER_FILE, b"{}", "tokenizer cannot be read"),
        (TOKENIZER_FILE, b"\xff", "tokenizer cannot be read"),
    ],
)
def test_files_that_are_none_are_one_line(installed: Path, file: str, content: bytes | None, error: str) -> None:
    (installed / file).unlink()
    if content is not None:
        (installed / file).write_bytes(content)
    with pytest.raises(ModelError, match=error) as caught:
        domain_of("translation").with_embedding()
    assert file in str(caught.value)


def profile(folder: Path, *more: str) -> dict[str, Any]:
    words = ["profile", folder / "zoo.toml", folder / "source.en", "--labels", folder / "reference.de"]
    words += ["--store", folder / "s.db", "--max-timing-seconds", "0.5", "--energy", "off", "--json"]
    report: dict[str, Any] = json.loads(run(*words, *more))
    return report


def embedding_bundle(folder: Path) -> Path:
    """A premodel that chooses by one number of the embedding."""
    tables, names = load_tables(folder / "s.db"), ("embedding1",)
    column = tables.features[:, [tables.feature_names.index("embedding1")]]
    selector = LogisticSelector(names, MinMaxScaler.of(column), np.array([[9.0], [-9.0]]), np.array([-4.5, 4.5]))
    costs = Costs(tuple(tables.latency_ms.tolist()), 0.01)
    policy = Select(tables.candidates, selector, rule="utility", costs=costs, fallback="all", threshold=-1.0)
    version = tables.conditions["extractor"]
    file = folder / "embedding.premodel"
    write_bundle(file, Bundle(policy, load_candidates(folder / "s.db"), (), "chrf", version), folder=folder)
    return file


def test_from_a_profile_to_answers_and_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_translations(tmp_path, N)
    site = install(tmp_path, monkeypatch)
    plain, store = domain_of("translation"), tmp_path / "s.db"
    assert profile(tmp_path)["features"]["new"] == N
    assert load_tables(store).feature_names == FEATURE_NAMES
    assert profile(tmp_path, "--embedding")["features"]["new"] == N
    tables = load_tables(store)
    assert tables.feature_names == (*FEATURE_NAMES, *NAMES)
    assert tables.feature_costs.of(["embedding3"]) == tables.feature_costs.of(list(NAMES)) > 0
    assert profile(tmp_path)["features"]["new"] == 0
    assert load_tables(store).feature_names == FEATURE_NAMES, "the features of a profile are what it asked for"
    assert profile(tmp_path, "--embedding")["timings"]["timed"] == []

    bundle = embedding_bundle(tmp_path)
    version = read_bundle(bundle).extractor_version
    assert version == plain.with_embedding().features_version
    extractor = plain.with_embedding().extractor(["embedding1"])
    texts = (tmp_path / "source.en").read_text().splitlines()
    numbers = {text: float(extractor.extract(text)[0]) for text in texts}
    with premodel.load(bundle) as loaded:
        chosen = {text: loaded.predict(text).candidate for text in texts}
    assert set(chosen.values()) == {"short", "all"}
    low = [numbers[text] for text in texts if chosen[text] == "all"]
    assert max(low) < min(numbers[text] for text in texts if chosen[text] == "short")

    older, text = tmp_path / "older.premodel", texts[0]
    write_bundle(older, replace(read_bundle(bundle), extractor_version=plain.features_version), folder=tmp_path)
    with pytest.raises(BundleError, match=r"features are of another version; given: version .* embedding1"):
        read_bundle(older)
    install(tmp_path, monkeypatch, seed=1)
    assert "must be of wordllama 0.4.0.post1, table" in run("predict", bundle, "--text", text, code=2)
    assert "pip install --force-reinstall 'wordllama==0.4.0.post1'" in run("predict", bundle, "--text", text, code=2)
    install(tmp_path, monkeypatch, release="0.5.0")
    said = run("serve", bundle, "--port", "0", code=2)
    assert "given: wordllama 0.5.0, table" in said
    assert "pip install 'wordllama==0.4.0.post1'" in said
    assert said.count("\n") == 1
    uninstall(monkeypatch)
    assert "pip install '.[embeddings]'" in run("predict", bundle, "--text", text, code=2)
    words = ["--store", store, "--embedding", "--energy", "off"]
    said = run(
        "profile", tmp_path / "zoo.toml", tmp_path / "source.en", "--labels", tmp_path / "reference.de", *words, code=2
    )
    assert "pip install '.[embeddings]'" in said
    words = ["--policy", "select", "--cost-weight", "0.001"]
    run("train", store, "--out", tmp_path / "t.premodel", *words)  # numbers are read, no text is embedded
    assert load_tables(store).feature_names[-1] == NAMES[-1]
    assert site.is_dir()


def test_a_board_and_the_workstation_must_have_one_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_translations(tmp_path, N)
    install(tmp_path, monkeypatch)
    words = [tmp_path / "source.en", "--labels", tmp_path / "reference.de", "--store", tmp_path / "b.db"]
    words += ["--max-timing-seconds", "0.5", "--energy", "off"]
    with agent(tmp_path / "zoo.toml", embedding=True) as url:
        manifest = board_manifest(tmp_path / "zoo.toml", url)
        text = manifest.read_text()
        for name in ("short", "all"):
            digest = file_sha256(tmp_path / f"{name}.npz")
            text = text.replace(f'file = "{name}.npz"\n', f'file = "{name}.npz"\nsha256 = "{digest}"\n')
        manifest.write_text(text)
        said = run("profile", manifest, *words, code=2)
        assert "the board's extractor is of another version" in said
        assert "give --embedding to profile and to the board's agent or to neither" in said
        run("profile", manifest, *words, "--embedding")
    tables = load_tables(tmp_path / "b.db")
    assert tables.feature_names[-1] == NAMES[-1]
    assert tables.feature_costs.of(["embedding1"]) > 0


def test_a_node_without_the_package_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    domain = domain_of("translation").with_embedding()
    assert NodeWorker().open(FeatureJob(domain, 1), {}) == ""
    uninstall(monkeypatch)
    assert "'premodel[embeddings]'" in NodeWorker().open(FeatureJob(domain, 1), {})


def test_the_real_package_embeds_as_its_own_code_does() -> None:
    pytest.importorskip("tokenizers", reason="the embeddings extra is not installed")
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip("the embeddings extra is not installed")
    domain = domain_of("translation").with_embedding()
    found = domain.extractor(NAMES).extract("Two dogs run over a wide green field.")
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    near, far = (
        float(found @ domain.extractor(NAMES).extract(text))
        for text in ("A dog is running on grass.", "Quarterly revenue fell by 3 %.")
    )
    assert near > far + 0.2
    if package.version == "0.4.0.post1":  # as wordllama.inference.WordLlamaInference.embed(text, norm=True) gave
        assert domain.features_version.endswith(REAL_DIGEST)
        assert found[:4].tolist() == pytest.approx(REAL_VALUES, abs=1e-5)
    for text in ("", "\0" * 10_000, "x" * 1_000_000, "\ud800", "👩‍👩‍👧" * 200_000):
        assert np.isfinite(domain.extractor(NAMES).extract(text)).all()
