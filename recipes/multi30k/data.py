"""Sentence pairs, their pieces, and batches of them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tokenizers
import torch
from torch import Tensor

PAD, START, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SPECIAL = (PAD, START, END, UNKNOWN)
VOCABULARY = 4_000
LONGEST = 96
"""Pieces of a sentence that training reads, at most; the longest of Multi30k has half as many."""
KEPT_BACK = 4_000
"""Pairs of `train` that no network learns from: a profile is measured on them."""
LENGTH_STEP = 4
"""Batches are as long as a multiple of this: few shapes, which GPUs are faster at."""

Pieces = list[list[int]]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file of one sentence a line, packed by gzip where its name ends in .gz."""
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    return text.removesuffix("\n").split("\n")


def read_pairs(folder: Path, split: str) -> tuple[list[str], list[str]]:
    """English and German sentences of a split: `SPLIT.en.gz` and `SPLIT.de.gz`.

    Raises ValueError where they differ in number.
    """
    english, german = (read_lines(folder / f"{split}.{language}.gz") for language in ("en", "de"))
    if len(english) != len(german):
        raise ValueError(
            f"{folder}: {split} must be pairs; given {len(english)} English and {len(german)} German lines"
        )
    return english, german


def divide_train(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs of `train` to learn from, and `KEPT_BACK` drawn from it (seed 0), each in the order of the files.

    Raises ValueError where there are too few.
    """
    pairs = list(zip(*read_pairs(folder, "train"), strict=True))
    if len(pairs) <= KEPT_BACK:
        raise ValueError(f"{folder}: train must have more than {KEPT_BACK} pairs; given {len(pairs)}")
    kept = np.zeros(len(pairs), bool)
    kept[np.random.default_rng(0).permutation(len(pairs))[:KEPT_BACK]] = True
    return (
        [pair for pair, back in zip(pairs, kept, strict=True) if not back],
        [pair for pair, back in zip(pairs, kept, strict=True) if back],
    )


def learn_tokenizer(lines: Sequence[str], size: int = VOCABULARY) -> tokenizers.Tokenizer:
    """Byte pair encoding of both languages together, of `size` pieces; spaces belong to the words behind them."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Metaspace(), tokenizers.pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def encode(tokenizer: tokenizers.Tokenizer, lines: Sequence[str]) -> Pieces:
    """Numbers of the pieces of each line, without special ones."""
    return [found.ids[:LONGEST] for found in tokenizer.encode_batch(list(lines), add_special_tokens=False)]


class Batches:
    """Batches of sentence pairs of like length.

    Parameters
    ----------
    sources, targets:
        English and German sentences.
    tokens:
        Pieces of a batch, padding included, at most, on either side.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        sources: Sequence[str],
        targets: Sequence[str],
        tokens: int,
        seed: int,
    ) -> None:
        self._sources, self._targets = encode(tokenizer, sources), encode(tokenizer, targets)
        self._tokens, self._seed = tokens, seed

    def of_epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Sources (N, S) and targets (N, T) with start and end, int64, padded by 0; in the order of `epoch`'s draw."""
        pairs = zip(self._sources, self._targets, strict=True)
        rng = np.random.default_rng((self._seed, epoch))
        longest = np.array([max(len(source) + 1, len(target) + 2) for source, target in pairs])
        longest = -(-longest // LENGTH_STEP) * LENGTH_STEP
        order = np.lexsort((rng.random(len(longest)), longest))
        starts, first = [], 0
        for place in range(1, len(order) + 1):
            length = longest[order[first]]
            if place == len(order) or longest[order[place]] != length or place - first == self._tokens // length:
                starts.append((first, place))
                first = place
        for start, end in (starts[number] for number in rng.permutation(len(starts))):
            rows, length = order[start:end], int(longest[order[start]])
            yield (
                padded([[*self._sources[row], 2] for row in rows], length),
                padded([[1, *self._targets[row], 2] for row in rows], length + 1),
            )


def padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Rows (N, `length`), int64, filled up with 0, the number of `PAD`."""
    filled = np.zeros((len(rows), length), np.int64)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return torch.from_numpy(filled)
