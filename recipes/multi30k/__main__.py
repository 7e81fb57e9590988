"""`python -m recipes.multi30k --data FOLDER --out FOLDER`: train, convert, test and describe the translators.

Stopped at any moment, the same command goes on from the last whole epoch. The test sentences are read only after all
networks are trained.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import tokenizers
import torch
from recipes.multi30k.convert import check, convert, translate
from recipes.multi30k.data import Batches, divide_train, encode, learn_tokenizer, read_pairs
from recipes.multi30k.manifest import describe, write_zoo
from recipes.multi30k.plan import PLANS, Plan
from recipes.multi30k.training import train

CHECKED = 20
"""Held-out pairs on which a converted network is compared with PyTorch."""


def log(text: str) -> None:
    """One line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def tokenizer_of(data: Path, out: Path) -> tokenizers.Tokenizer:
    """The tokenizer of the training sentences, learnt once."""
    file = out / "tokenizer.json"
    if not file.is_file():
        learnt = learn_tokenizer([text for pair in divide_train(data)[0] for text in pair])
        learnt.save(str(file.with_suffix(".partial")))
        file.with_suffix(".partial").replace(file)
    return tokenizers.Tokenizer.from_file(str(file))


def vocabulary_of(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """The pieces in the order of their numbers."""
    return [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]


def write_kept_back(data: Path, out: Path) -> None:
    """Write the pairs that no network learns from, `profile.en` and `profile.de`: what to profile on."""
    english, german = zip(*divide_train(data)[1], strict=True)
    for language, lines in (("en", english), ("de", german)):
        (out / f"profile.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def train_one(plan: Plan, data: Path, out: Path, work: Path, bfloat16: bool) -> None:
    """Train the network of `plan` and convert it, but for what is done."""
    folder = out / plan.name
    if (folder / "model.bin").is_file():
        return
    tokenizer = tokenizer_of(data, out)
    english, german = zip(*divide_train(data)[0], strict=True)
    batches = Batches(tokenizer, english, german, plan.batch_tokens, plan.seed)
    held_english, held_german = read_pairs(data, "val")
    held_out = Batches(tokenizer, held_english, held_german, plan.batch_tokens, 0)
    torch.manual_seed(plan.seed)
    network = plan.build(tokenizer.get_vocab_size())
    network = train(
        plan, network, batches, held_out, work / f"{plan.name}.pt", lambda text: log(f"{plan.name}: {text}"), bfloat16
    )
    vocabulary = vocabulary_of(tokenizer)
    pairs = zip(encode(tokenizer, held_english[:CHECKED]), encode(tokenizer, held_german[:CHECKED]), strict=True)
    log(f"{plan.name}: within {check(network, vocabulary, list(pairs)):.2g} nats of PyTorch")
    convert(network, vocabulary, folder)


def answers(folder: Path, english: list[str], tokenizer: tokenizers.Tokenizer, beam: int) -> list[str]:
    """Translations of sentences by a converted network."""
    numbers = encode(tokenizer, english)
    pieces = [[str(tokenizer.id_to_token(number)) for number in row] for row in numbers]
    found = translate(folder, pieces, beam, torch.get_num_threads())
    numbered = tokenizer.get_vocab()
    return [tokenizer.decode([numbered[piece] for piece in row]) for row in found]


def main() -> None:
    """Run what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.multi30k", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="train, val, test_2016_flickr: .en.gz and .de.gz")
    parser.add_argument("--out", type=Path, required=True, help="where the zoo is written; checkpoints in its `work`")
    parser.add_argument("--only", action="append", help="train this network alone; may repeat")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bfloat16", action="store_true", help="products in bfloat16 on a CPU too, as on a GPU")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = options.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    known = {plan.name: plan for plan in PLANS}
    unknown = [name for name in options.only or [] if name not in known]
    if unknown:
        parser.error(f"--only must be one of {', '.join(known)}; given {unknown[0]}")
    for name in options.only or known:
        train_one(known[name], options.data, options.out, work, options.bfloat16)
    if options.only:
        return
    write_zoo(options.out)
    write_kept_back(options.data, options.out)
    tokenizer = tokenizers.Tokenizer.from_file(str(options.out / "tokenizer.json"))
    english, german = read_pairs(options.data, "test_2016_flickr")
    networks = {plan.name: plan.build(tokenizer.get_vocab_size()) for plan in PLANS}
    describe(options.out, networks, lambda name, beam: answers(options.out / name, english, tokenizer, beam), german)


if __name__ == "__main__":
    main()
