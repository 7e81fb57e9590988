"""How near a translation is to its reference: sentence BLEU, chrF, ROUGE-L and their F1, each in [0, 1].

Sources: K. Papineni et al., "BLEU", ACL 2002, as M. Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018,
fixes its details (13a tokens, exponential smoothing of C. Chen and C. Cherry, effective order for sentences);
M. Popovic, "chrF", WMT 2015; C.-Y. Lin, "ROUGE", 2004; the F1 of BLEU and ROUGE is that of Marco et al., ACM TECS
19(1), 2020.

A score of one sentence is what a premodel chooses by. Corpus figures are no means of them, and are given apart.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2
EPSILON = 1e-16
_PUNCTUATION = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_WORD = re.compile(r"\w+")
Counts = list[tuple[int, int, int]]
"""Of each order: n-grams of the hypothesis, of the reference, and those in both."""


def tokens_13a(text: str) -> list[str]:
    """Words and signs, as the tokenizer 13a of the WMT evaluation cuts them."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for entity, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
            text = text.replace(entity, sign)
    text = f" {text} "
    for pattern, apart in _PUNCTUATION:
        text = pattern.sub(apart, text)
    return text.split()


def bleu(hypothesis: str, reference: str) -> float:
    """Sentence BLEU with effective order and exponential smoothing.

    Examples
    --------
    >>> bleu("a dog runs", "a dog runs")
    1.0
    """
    counts, lengths = _bleu_counts(hypothesis, reference)
    return _bleu(counts, *lengths, effective=True)


def corpus_bleu(pairs: Iterable[tuple[str, str]]) -> float:
    """BLEU of a corpus of (hypothesis, reference), in [0, 1]; 0 if no sentence has four words in a row right."""
    total = [[0, 0, 0] for _ in range(BLEU_ORDER)]
    said = wanted = 0
    for hypothesis, reference in pairs:
        counts, (one, other) = _bleu_counts(hypothesis, reference)
        said, wanted = said + one, wanted + other
        _add(total, counts)
    return _bleu([(row[0], row[1], row[2]) for row in total], said, wanted, effective=False)


def chrf(hypothesis: str, reference: str) -> float:
    """Sentence chrF2: F-score, recall weighted twice, of character n-grams up to six, without white space.

    Examples
    --------
    >>> chrf("ein Hund", "ein Hund"), chrf("xyz", "ein Hund")
    (1.0, 0.0)
    """
    return _chrf(_chrf_counts(hypothesis, reference))


def corpus_chrf(pairs: Iterable[tuple[str, str]]) -> float:
    """chrF2 of a corpus of (hypothesis, reference), in [0, 1]."""
    total = [[0, 0, 0] for _ in range(CHRF_ORDER)]
    for hypothesis, reference in pairs:
        _add(total, _chrf_counts(hypothesis, reference))
    return _chrf([(row[0], row[1], row[2]) for row in total])


def rouge(hypothesis: str, reference: str) -> float:
    """ROUGE-L: F-score of the longest common subsequence of words in small letters, without punctuation.

    Examples
    --------
    >>> round(rouge("a big dog", "a dog runs"), 3)
    0.667
    """
    said, wanted = _WORD.findall(hypothesis.lower()), _WORD.findall(reference.lower())
    common = _common_subsequence(said, wanted)
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def f1(hypothesis: str, reference: str) -> float:
    """Harmonic mean of BLEU and ROUGE-L."""
    first, second = bleu(hypothesis, reference), rouge(hypothesis, reference)
    return 2 * first * second / (first + second) if first + second else 0.0


SCORES: dict[str, Callable[[str, str], float]] = {"chrf": chrf, "bleu": bleu, "rouge": rouge, "f1": f1}
CORPUS_SCORES: dict[str, Callable[[Iterable[tuple[str, str]]], float]] = {"chrf": corpus_chrf, "bleu": corpus_bleu}


def _bleu_counts(hypothesis: str, reference: str) -> tuple[Counts, tuple[int, int]]:
    said, wanted = tokens_13a(hypothesis), tokens_13a(reference)
    orders = range(1, BLEU_ORDER + 1)
    return [_matches(_grams(said, order), _grams(wanted, order)) for order in orders], (len(said), len(wanted))


def _bleu(counts: Counts, said: int, wanted: int, *, effective: bool) -> float:
    if not counts[0][2]:
        return 0.0
    smooth, logs = 1.0, []
    for total, _, right in counts:
        if not total:
            break
        if not right:
            smooth *= 2
        logs.append(math.log(right / total if right else 1 / (smooth * total)))
    if len(logs) < BLEU_ORDER and not effective:
        return 0.0
    brevity = min(0.0, 1 - wanted / said)
    return min(1.0, math.exp(brevity + sum(logs) / (len(logs) if effective else BLEU_ORDER)))


def _chrf_counts(hypothesis: str, reference: str) -> Counts:
    said, wanted = "".join(hypothesis.split()), "".join(reference.split())
    return [_matches(_pieces(said, order), _pieces(wanted, order)) for order in range(1, CHRF_ORDER + 1)]


def _chrf(counts: Counts) -> float:
    precision = recall = 0.0
    orders = 0
    for said, wanted, right in counts:
        if said and wanted:
            orders += 1
            precision += right / said
            recall += right / wanted
    if not precision + recall:
        return 0.0
    precision, recall = precision / orders, recall / orders
    weight = CHRF_BETA**2
    return min(1.0, (1 + weight) * precision * recall / (weight * precision + recall))


def _grams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _pieces(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))


def _matches(said: Counter[Any], wanted: Counter[Any]) -> tuple[int, int, int]:
    return said.total(), wanted.total(), (said & wanted).total()


def _add(total: list[list[int]], counts: Counts) -> None:
    for row, found in zip(total, counts, strict=True):
        for column, number in enumerate(found):
            row[column] += number


def _common_subsequence(said: Sequence[str], wanted: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits: O(n) words of m bits."""
    places: dict[str, int] = {}
    for place, word in enumerate(wanted):
        places[word] = places.get(word, 0) | 1 << place
    row, full = (1 << len(wanted)) - 1, (1 << len(wanted)) - 1
    ones = row
    for word in said:
        match = places.get(word, 0) & ones
        ones = ((ones + match) | (ones - match)) & full
    return len(wanted) - ones.bit_count()
