"""Networks of tokens: a tokenizer beside the model, cut once for all candidates that share it, packed with them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import premodel
from premodel.errors import MissingExtraError, ModelError
from premodel.runtime.candidate import open_candidates
from premodel.zoo.manifest import read_zoo

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "der", "ein", "hund", "the", "dog")
VOCABULARY = {word: number for number, word in enumerate(WORDS)}
GERMAN = {"der", "ein", "hund"}
TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {
        "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1],
    },
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "[UNK]"},
}  # fmt: skip


class StandIn:
    """Cuts as the tokenizer above does in the package itself, and counts how often."""

    calls = 0
    most = 0

    @classmethod
    def from_file(cls, file: str) -> StandIn:
        made = cls()
        made.vocabulary = json.loads(Path(file).read_text())["model"]["vocab"]  # type: ignore[attr-defined]
        return made

    def no_padding(self) -> None:
        """Nothing is padded."""

    def enable_truncation(self, max_length: int) -> None:
        self.most = max_length

    def encode(self, text: str) -> Any:
        StandIn.calls += 1
        numbers = [VOCABULARY.get(word, 3) for word in text.lower().split()]
        return SimpleNamespace(ids=[1, *numbers[: self.most - 2], 2])


@pytest.fixture(params=["stand-in", "tokenizers"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package, where it is installed, or what stands for it."""
    if request.param == "tokenizers":
        pytest.importorskip("tokenizers", reason="the tokenizers extra is not installed")
    else:
        module = ModuleType("tokenizers")
        module.Tokenizer = StandIn  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tokenizers", module)
        StandIn.calls = 0
    return str(request.param)


def write_network(file: Path, *, beside: bool, scale: float = 4.0) -> None:
    """A sum of word vectors, German against English; with a mask and types as transformers export them."""
    helper, proto = onnx.helper, onnx.TensorProto
    vectors = np.array([[scale, 0] if word in GERMAN else [0, scale] for word in WORDS], np.float32)
    vectors[:4] = 0
    nodes = [helper.make_node("Gather", ["vectors", "input_ids"], ["each"])]
    inputs = [helper.make_tensor_value_info("input_ids", proto.INT64, [1, "n"])]
    last = "each"
    if beside:
        for name in ("attention_mask", "token_type_ids"):
            inputs.append(helper.make_tensor_value_info(name, proto.INT64, [1, "n"]))
        nodes += [
            helper.make_node("Sub", ["attention_mask", "token_type_ids"], ["counts"]),
            helper.make_node("Cast", ["counts"], ["as_float"], to=proto.FLOAT),
            helper.make_node("Unsqueeze", ["as_float", "last_axis"], ["column"]),
            helper.make_node("Mul", ["each", "column"], ["masked"]),
        ]
        last = "masked"
    nodes.append(helper.make_node("ReduceSum", [last, "axis"], ["logits"], keepdims=0))
    weights = [
        helper.make_tensor("vectors", proto.FLOAT, vectors.shape, vectors.reshape(-1).tolist()),
        helper.make_tensor("axis", proto.INT64, [1], [1]),
        helper.make_tensor("last_axis", proto.INT64, [1], [2]),
    ]
    outputs = [helper.make_tensor_value_info("logits", proto.FLOAT, [1, 2])]
    graph = helper.make_graph(nodes, "words", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(file))


def make_zoo(folder: Path, *, state_files: bool = True) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    text = 'name = "words"\ntask = "text-classification"\nlabels = ["de", "en"]\n'
    for name, beside in (("plain", False), ("masked", True)):
        write_network(folder / f"{name}.onnx", beside=beside)
        sha256 = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
        files = f'files = {{ "tokenizer.json" = "{digest}" }}\n' if state_files else ""
        padded = ", padding = 0" if beside else ""
        text += (
            f'\n[[models]]\nname = "{name}"\nfile = "{name}.onnx"\nsha256 = "{sha256}"\nruntime = "onnx"\n{files}'
            f'output = {{ activation = "none" }}\n'
            f'input = {{ format = "tokens", tokenizer = "tokenizer.json", length = 8{padded} }}\n'
        )
        if beside:
            text += 'settings = { input = "input_ids", mask = "attention_mask", types = "token_type_ids" }\n'
    (folder / "zoo.toml").write_text(text)
    return folder / "zoo.toml"


def test_a_text_becomes_the_numbers_of_its_tokens(package: str, tmp_path: Path) -> None:
    zoo = read_zoo(make_zoo(tmp_path), require_files=True)
    opened = open_candidates(zoo.candidates)
    assert opened[0].prepare("Der Hund sleeps").tolist() == [[1, 4, 6, 3, 2]]
    assert opened[1].prepare("Der Hund").tolist() == [[1, 4, 6, 2, 0, 0, 0, 0]]
    assert opened[0].prepare("the dog " * 50).shape == (1, 8)
    assert opened[0].prepare("hund " * 200_000).tolist()[0][-1] == 2
    for one in opened:
        assert one.predict("ein Hund").labels[0] == 0
        assert one.predict("the dog").labels[0] == 1


def test_it_is_cut_once_for_all_candidates_of_one_tokenizer(package: str, tmp_path: Path) -> None:
    zoo = read_zoo(make_zoo(tmp_path), require_files=True)
    opened, shared = open_candidates(zoo.candidates), zoo.domain.shared("the dog")
    before = StandIn.calls
    first, second = (one.prepare("the dog", shared) for one in opened)
    assert first[0].tolist() == second[0, :4].tolist()
    if package == "stand-in":
        assert StandIn.calls == before + 1
        opened[0].prepare("the dog")
        assert StandIn.calls == before + 2, "what is timed alone is not shared"


def test_the_tokenizer_is_a_file_of_the_model(package: str, tmp_path: Path) -> None:
    zoo = read_zoo(make_zoo(tmp_path), require_files=True)
    before = [one.prediction_key for one in zoo.candidates]
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({**TOKENIZER, "normalizer": None}))
    with pytest.raises(ModelError, match="further file of plain has the wrong sha256"):
        open_candidates(zoo.candidates)
    with pytest.raises(ModelError, match=r'reads further files.*tokenizer.json.*state files = \{ "tokenizer.json" = '):
        read_zoo(make_zoo(tmp_path, state_files=False), require_files=True)
    assert [one.prediction_key for one in read_zoo(make_zoo(tmp_path)).candidates] == before
    assert set(zoo.candidates[0].model.all_files()) == {tmp_path / "plain.onnx", file}


def test_what_is_no_tokenizer_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the tokenizers extra is not installed")
    from premodel.domains.text.tokenizer import open_tokenizer

    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer cannot be read.*tokenizer\.json"):
        open_tokenizer(tmp_path / "tokenizer.json", 8)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    zoo = read_zoo(make_zoo(tmp_path), require_files=True)
    with pytest.raises(MissingExtraError, match=r"premodel\[tokenizers\]"):
        open_candidates(zoo.candidates)


def test_a_bundle_takes_the_tokenizer_along(package: str, tmp_path: Path) -> None:
    from premodel.cli.main import main

    pytest.importorskip("sklearn", reason="the lab extra is not installed")
    home = tmp_path / "home"
    home.mkdir()
    zoo = make_zoo(home)
    rng = np.random.default_rng(0)
    texts = [(f"{'der' if side else 'the'} {rng.integers(1 << 30)}", "de" if side else "en") for side in (0, 1) * 40]
    (home / "texts.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in texts))
    words = ["profile", str(zoo), str(home / "texts.csv"), "--store", str(home / "s.db"), "--energy", "off"]
    assert main([*words, "--workers", "1", "--max-timing-seconds", "0.5"]) == 0
    bundle = tmp_path / "own.premodel"
    assert main(["train", str(home / "s.db"), "--out", str(bundle), "--policy", "single", "--embed"]) == 0
    home.rename(tmp_path / "away")
    with premodel.load(bundle) as loaded:
        assert loaded.predict("der hund").class_name == "de"
