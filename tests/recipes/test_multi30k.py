"""The recipe of Multi30k: batches, the network, its conversion for CTranslate2, and a zoo that premodel runs."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from premodel.runtime.candidate import open_candidates
from premodel.zoo.manifest import read_zoo

torch = pytest.importorskip("torch", reason="PyTorch is not installed: recipes/multi30k")
pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: recipes/multi30k")
pytest.importorskip("tokenizers", reason="the tokenizers extra is not installed")
pytest.importorskip("sacrebleu", reason="sacrebleu is not installed: recipes/multi30k")

from recipes.multi30k import __main__ as recipe  # noqa: E402
from recipes.multi30k import convert, data, manifest, plan, training  # noqa: E402

ENGLISH = ("a man walks", "two dogs run", "a woman sings", "the child sleeps (outside)", "people wait.")
GERMAN = ("ein Mann geht", "zwei Hunde laufen", "eine Frau singt", "das Kind schläft (draußen)", "Leute warten.")
PLANS = (plan.Plan("first", 16, 32, 2, 1, 1, 0.1, 2, 1e-2), plan.Plan("second", 32, 64, 4, 2, 1, 0.1, 1, 1e-2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of some sentences, many times."""
    draw = random.Random(0)
    for split, count in (("train", 200), ("val", 30), ("test_2016_flickr", 20)):
        rows = [draw.randrange(len(ENGLISH)) for _ in range(count)]
        for language, lines in (("en", ENGLISH), ("de", GERMAN)):
            text = "".join(f"{lines[row]}\n" for row in rows)
            (tmp_path / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


@pytest.fixture(autouse=True)
def few_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of 200 pairs keeps back 40."""
    monkeypatch.setattr(data, "KEPT_BACK", 40)


@pytest.fixture
def small_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks that take a second."""
    for module in (recipe, manifest):
        monkeypatch.setattr(module, "PLANS", PLANS)


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Path:
    """The command on `folder`; returns where it wrote."""
    out = folder / "out"
    monkeypatch.setattr("sys.argv", ["recipe", "--data", str(folder), "--out", str(out), "--threads", "1", *options])
    recipe.main()
    return out


def test_every_pair_is_in_one_batch_of_each_epoch_and_no_batch_has_more_pieces_than_allowed(folder: Path) -> None:
    english, german = data.read_pairs(folder, "train")
    tokenizer = data.learn_tokenizer([*english, *german], 120)
    batches = data.Batches(tokenizer, english, german, tokens=64, seed=0)
    for epoch in (0, 1):
        seen = []
        for source, target in batches.of_epoch(epoch):
            assert source.shape[1] % data.LENGTH_STEP == 0
            assert target.shape[1] == source.shape[1] + 1
            assert source.numel() <= 64
            seen += [tuple(row[row != 0].tolist()) for row in source]
        expected = [(*numbers, 2) for numbers in data.encode(tokenizer, english)]
        assert sorted(seen) == sorted(expected)


def test_the_tokenizer_gives_back_what_it_cut() -> None:
    tokenizer = data.learn_tokenizer([*ENGLISH, *GERMAN], 120)
    for line in (*ENGLISH, *GERMAN):
        assert tokenizer.decode(tokenizer.encode(line).ids) == line


def test_splits_of_unequal_length_are_refused(folder: Path) -> None:
    (folder / "val.de.gz").write_bytes(gzip.compress(b"eine Zeile\n"))
    with pytest.raises(ValueError, match=r"val must be pairs; given 30 English and 1 German lines"):
        data.read_pairs(folder, "val")


def test_the_pairs_kept_back_and_those_learnt_from_are_all_of_train_and_share_no_line(folder: Path) -> None:
    for language in ("en", "de"):
        text = "".join(f"{language} {number}\n" for number in range(200))
        (folder / f"train.{language}.gz").write_bytes(gzip.compress(text.encode()))
    learnt, kept = data.divide_train(folder)
    assert len(kept) == 40
    assert sorted(learnt + kept) == sorted((f"en {number}", f"de {number}") for number in range(200))
    assert kept != sorted(learnt + kept)[-40:]
    assert (learnt, kept) == data.divide_train(folder)


def test_a_data_set_with_too_few_pairs_to_keep_some_back_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(data, "KEPT_BACK", 200)
    with pytest.raises(ValueError, match=r"train must have more than 200 pairs; given 200"):
        data.divide_train(folder)


def test_padding_and_later_pieces_change_nothing_of_an_answer() -> None:
    torch.manual_seed(0)
    network = PLANS[1].build(50).eval()
    source, target = torch.tensor([[5, 6, 7, 2]]), torch.tensor([[1, 8, 9]])
    logits = network(source, target)
    padded = network(torch.tensor([[5, 6, 7, 2, 0, 0]]), torch.tensor([[1, 8, 9, 30]]))
    torch.testing.assert_close(padded[:, :3], logits)
    other = network(torch.tensor([[5, 6, 40, 2]]), target)
    assert not torch.allclose(other, logits)


def test_a_converted_network_scores_as_pytorch_does_and_its_own_weights_stay(folder: Path) -> None:
    english, german = data.read_pairs(folder, "val")
    tokenizer = data.learn_tokenizer([*english, *german], 120)
    torch.manual_seed(0)
    network = PLANS[1].build(tokenizer.get_vocab_size()).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    vocabulary = recipe.vocabulary_of(tokenizer)
    pairs = list(zip(data.encode(tokenizer, english), data.encode(tokenizer, german), strict=True))
    assert convert.check(network, vocabulary, pairs[:5]) < 1e-4
    convert.convert(network, vocabulary, folder / "made")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_conversion_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    english, german = data.read_pairs(folder, "val")
    tokenizer = data.learn_tokenizer([*english, *german], 120)
    network = PLANS[1].build(tokenizer.get_vocab_size()).eval()
    pairs = list(zip(data.encode(tokenizer, english), data.encode(tokenizer, german), strict=True))
    monkeypatch.setattr(convert, "copy_feed_forward", lambda made, layer: zero(made, layer))
    with pytest.raises(ValueError, match=r"from PyTorch's, allowed 0\.001"):
        convert.check(network, recipe.vocabulary_of(tokenizer), pairs[:5])


def zero(made: Any, layer: Any) -> None:
    """The parts of a layer with the second matrix left at zero."""
    convert.copy_norm(made.layer_norm, layer.norm)
    convert.copy_linear(made.linear_0, layer.first)
    convert.copy_linear(made.linear_1, layer.second)
    made.linear_1.weight = made.linear_1.weight * 0


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_the_zoo_is_one_that_premodel_opens_and_asks(
    monkeypatch: pytest.MonkeyPatch, folder: Path, small_plans: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(monkeypatch, folder)
    zoo = read_zoo(out / "zoo.toml", require_files=True, trust_python=True)
    beams = ("", "-beam2", "-beam4")
    assert [one.name for one in zoo.candidates] == [name + beam for name in ("first", "second") for beam in beams]
    for one in open_candidates(zoo.candidates):
        for text in ("two dogs run", "two dogs run " * 1_000):
            answer = one.predict(text)
            assert isinstance(answer.outcome, str)
            assert 0 < answer.probabilities[0] <= 1
    assert '"name": "second-beam4"' in capsys.readouterr().out
    for language, side in (("en", 0), ("de", 1)):
        lines = (out / f"profile.{language}").read_text(encoding="utf-8").splitlines()
        assert lines == [pair[side] for pair in data.divide_train(folder)[1]]


@pytest.mark.parametrize("options", [(), ("--bfloat16",)])
def test_training_lowers_the_loss_on_sentences_that_were_not_learnt(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    longer = (plan.Plan("first", 32, 64, 4, 1, 1, 0.0, 12, 1e-2, warmup_steps=5),)
    for module in (recipe, manifest):
        monkeypatch.setattr(module, "PLANS", longer)
    run(monkeypatch, folder, "--only", "first", *options)
    lines = [line for line in capsys.readouterr().out.splitlines() if "held-out loss" in line]
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.2


def test_a_run_that_was_broken_off_goes_on_from_the_last_whole_epoch(
    monkeypatch: pytest.MonkeyPatch, folder: Path, small_plans: None, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(monkeypatch, folder, "--only", "first")
    expected = torch.load(whole / "work" / "first.pt", weights_only=True)["averaged"]
    whole.rename(folder / "whole")
    saved = training.save
    monkeypatch.setattr(training, "save", lambda *given: (saved(*given), interrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, folder, "--only", "first")
    monkeypatch.setattr(training, "save", saved)
    out = run(monkeypatch, folder, "--only", "first")
    assert capsys.readouterr().out.count("epoch 1/2") == 1
    resumed = torch.load(out / "work" / "first.pt", weights_only=True)["averaged"]
    for name, value in resumed.items():
        torch.testing.assert_close(value, expected[name])
