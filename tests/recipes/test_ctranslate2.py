"""The recipe of CTranslate2: one converted model as several candidates, with a probability of each answer."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from premodel.cli.main import main
from premodel.runtime.candidate import open_candidates
from premodel.zoo.manifest import read_zoo

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: recipes/ctranslate2")
tokenizers = pytest.importorskip("tokenizers", reason="the tokenizers extra is not installed")

RECIPE = Path(__file__).parents[2] / "recipes" / "ctranslate2"
WORDS = ("<unk>", "<s>", "</s>", *(f"w{number}" for number in range(20)))
WIDTH = 8


def place(spec: Any, path: str, value: Any) -> None:
    """Set a variable of a model's spec by its name."""
    *way, last = path.split("/")
    for part in way:
        if part.startswith("layer_") and part[6:].isdigit():
            spec = spec.layer[int(part[6:])]
        elif part == "embeddings_0":
            spec = spec.embeddings[0]
        elif part.startswith("linear_") and not hasattr(spec, part):
            spec = spec.linear[int(part[7:])]
        else:
            spec = getattr(spec, part)
    setattr(spec, last, value)


def shape_of(name: str) -> tuple[int, int]:
    if "embeddings" in name or "projection" in name:
        return len(WORDS), WIDTH
    for end, shape in (("ffn/linear_0", (2 * WIDTH, WIDTH)), ("ffn/linear_1", (WIDTH, 2 * WIDTH))):
        if end in name:
            return shape
    if "self_attention/linear_0" in name:
        return 3 * WIDTH, WIDTH
    return (2 * WIDTH, WIDTH) if "/attention/linear_1" in name else (WIDTH, WIDTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random transformer of one layer, its tokenizer, and the recipe's files with the digests stated."""
    made = tmp_path_factory.mktemp("translators")
    rng = np.random.default_rng(0)
    spec = ctranslate2.specs.TransformerSpec.from_config(num_layers=1, num_heads=2, pre_norm=True)
    for name, value in list(spec.variables(ordered=True)):
        if value is None:
            drawn = rng.normal(0, 0.5, shape_of(name))
            plain = {"beta": np.zeros(WIDTH), "gamma": np.ones(WIDTH)}.get(name.rpartition("/")[2], drawn)
            place(spec, name, plain.astype(np.float32))
    spec.register_source_vocabulary(list(WORDS))
    spec.register_target_vocabulary(list(WORDS))
    spec.validate()
    (made / "en-de").mkdir()
    spec.save(str(made / "en-de"))
    model = tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(made / "tokenizer.json"))
    shutil.copy(RECIPE / "translate.py", made)
    files = {
        str(file.relative_to(made)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (*sorted((made / "en-de").iterdir()), made / "tokenizer.json")
    }
    stated = ", ".join(f"{json.dumps(name)} = {json.dumps(digest)}" for name, digest in files.items())
    text = (RECIPE / "zoo.toml").read_text()
    text = text.replace("settings = {", f"files = {{ {stated} }}\nsettings = {{ max_length = 12,")
    (made / "zoo.toml").write_text(text)
    return made


def test_one_model_is_several_candidates_with_probabilities_of_their_own(folder: Path) -> None:
    zoo = read_zoo(folder / "zoo.toml", require_files=True, trust_python=True)
    assert len({one.prediction_key for one in zoo.candidates}) == 3
    opened = open_candidates(zoo.candidates)
    answers = {one.name: one.predict("w1 w2 w3") for one in opened}
    for answer in answers.values():
        assert set((answer.outcome or "").split()) <= set(WORDS)
        assert 0 < answer.probabilities[0] <= 1
    translator = ctranslate2.Translator(str(folder / "en-de"), compute_type="float32", intra_threads=1)
    said = (answers["beam4"].outcome or "").split()
    (scored,) = translator.score_batch([["w1", "w2", "w3", "</s>"]], [said])
    counted = scored.log_probs[: len(said)] if len(said) == 12 else scored.log_probs  # the end counts as a token
    assert answers["beam4"].probabilities[0] == pytest.approx(math.exp(np.mean(counted)), rel=1e-2)


def test_they_are_profiled_trained_and_packed(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the lab extra is not installed")
    rng = np.random.default_rng(1)
    texts = [" ".join(f"w{number}" for number in rng.integers(0, 20, rng.integers(2, 9))) for _ in range(60)]
    with (folder / "pairs.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("source", "target"), *((text, text) for text in dict.fromkeys(texts))])
    store, bundle = str(folder / "s.db"), tmp_path / "t.premodel"
    words = ["profile", str(folder / "zoo.toml"), str(folder / "pairs.csv"), "--store", store, "--energy", "off"]
    assert main([*words, "--trust-python", "--max-timing-seconds", "0.5"]) == 0
    assert main(["train", store, "--policy", "cascade", "--cost-weight", "0.001", "--out", str(bundle), "--embed"]) == 0
    moved = folder.rename(folder.with_name("moved"))
    try:
        with premodel.load(bundle, trust_python=True) as loaded:
            assert loaded.predict(texts[0]).outcome
    finally:
        moved.rename(folder)
