"""The families of features. Eleven features are those of the paper's follow-up; the rest is a bag of words.

Source: V. S. Marco, B. Taylor, Z. Wang, Y. Elkhatib, "Optimizing Deep Learning Inference on Embedded Systems Through
Adaptive Model Selection", ACM TECS 19(1), 2020, which names eleven features of a sentence and defines none of them in
what is public; the definitions here are ours, and say so.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from zlib import crc32

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.text.features.parts import MAX_CHARACTERS, TextParts
from premodel.domains.text.features.tagger import ADJECTIVE, ADVERB, DESCRIPTIVE, NOUN, VERB

BUCKETS = 16
"""Of the bag of words."""


class Lengths(FeatureFamily):
    """How long the text and its words are.

    `n_words`: what white space separates. `avg_word_length`: characters of a word without punctuation at its ends; a
    word that is nothing else counts 0.
    """

    name = "lengths"
    features = (
        Feature("n_words", "words", 0, MAX_CHARACTERS),
        Feature("avg_word_length", "characters", 0, MAX_CHARACTERS),
    )
    needs = ("words",)

    def compute(self, parts: TextParts) -> Sequence[float]:
        """Both."""
        words = parts.words
        characters = sum(len(word.strip(string.punctuation)) for word in words)
        return len(words), characters / max(1, len(words))


class Subwords(FeatureFamily):
    """How many pieces the words fall into: rare words into many.

    `n_bpe_chars`: pieces of the text. `avg_bpe`: pieces of a word.

    Notes
    -----
    Pieces are those of a vocabulary of our own (`subwords.pieces`), cut greedily instead of by the order of merges: as
    many on most words, in a tenth of the time. A translator's vocabulary gives other numbers.
    """

    name = "subword_counts"
    features = (
        Feature("n_bpe_chars", "pieces", 0, MAX_CHARACTERS),
        Feature("avg_bpe", "pieces a word", 0, MAX_CHARACTERS),
    )
    needs = ("words", "subwords")

    def compute(self, parts: TextParts) -> Sequence[float]:
        """Both."""
        return parts.subwords, parts.subwords / max(1, len(parts.words))


class Tokens(FeatureFamily):
    """Tokens, and how much of the text is punctuation.

    `n_tokens`: words, numbers, the endings of contracted words, other signs. `avg_punc`: ASCII
    punctuation signs a word.
    """

    name = "token_counts"
    features = (
        Feature("n_tokens", "tokens", 0, MAX_CHARACTERS),
        Feature("avg_punc", "signs a word", 0, MAX_CHARACTERS),
    )
    needs = ("words", "tokens")

    def compute(self, parts: TextParts) -> Sequence[float]:
        """Both."""
        signs = sum(token in string.punctuation for token in parts.tokens)
        return len(parts.tokens), signs / max(1, len(parts.words))


class PartsOfSpeech(FeatureFamily):
    """Share of the tokens that are nouns, verbs, adjectives, descriptive adjectives and adverbs, in English.

    `avg_sat_adj` stands in for the satellite adjectives of WordNet, which the name means: adjectives derived from nouns
    and verbs (careful, endless, boyish), most of which WordNet lists as satellites. `avg_adj` counts all adjectives.

    Notes
    -----
    The tagger of the source is not named; `tagger` is a small one of our own.
    """

    name = "parts_of_speech"
    features = tuple(
        Feature(name, "fraction of tokens", 0, 1)
        for name in ("avg_noun", "avg_verb", "avg_adj", "avg_sat_adj", "avg_adverb")
    )
    needs = ("tokens", "tags")

    def compute(self, parts: TextParts) -> Sequence[float]:
        """All five."""
        tags, count = parts.tags, max(1, len(parts.tags))
        descriptive = tags.count(DESCRIPTIVE)
        adjectives = tags.count(ADJECTIVE) + descriptive
        return (
            tags.count(NOUN) / count, tags.count(VERB) / count, adjectives / count, descriptive / count,
            tags.count(ADVERB) / count,
        )  # fmt: skip


class BagOfWords(FeatureFamily):
    """Tokens by the hash of their small letters: `word1` .. `word16`, fractions of the tokens.

    Notes
    -----
    CRC-32 modulo the number of buckets. A chosen vocabulary (chi-square, 1,500 words in a replication of the source)
    would have to be chosen anew in every fold; hashing chooses nothing, so nothing leaks, and costs a tenth.
    """

    name = "bag_of_words"
    features = tuple(Feature(f"word{number}", "fraction of tokens", 0, 1) for number in range(1, BUCKETS + 1))
    needs = ("tokens",)

    def compute(self, parts: TextParts) -> Sequence[float]:
        """All of them."""
        counts, tokens = [0] * BUCKETS, parts.tokens
        for token in tokens:
            counts[crc32(token.lower().encode()) % BUCKETS] += 1
        total = max(1, len(tokens))
        return [count / total for count in counts]


class Letters(FeatureFamily):
    """Which signs the text is written with: what tells scripts, and short or shouted messages.

    `n_chars`: characters. `avg_capital`, `avg_digit`: shares of capital letters and of digits. `avg_accented`: share of
    letters beyond ASCII below U+0250, as in European languages. `avg_foreign`: share of characters from U+0250 on, of
    other scripts.
    """

    name = "letters"
    features = (
        Feature("n_chars", "characters", 0, MAX_CHARACTERS),
        *(
            Feature(name, "fraction of characters", 0, 1)
            for name in ("avg_capital", "avg_digit", "avg_accented", "avg_foreign")
        ),
    )
    needs = ()

    def compute(self, parts: TextParts) -> Sequence[float]:
        """All five."""
        text = parts.text
        count = max(1, len(text))
        beyond = [sign for sign in text if sign > "\x7f"] if not text.isascii() else []
        foreign = sum(sign >= "\u0250" for sign in beyond)
        capitals, digits = sum(map(str.isupper, text)), sum(map(str.isdigit, text))
        accented = sum(sign < "\u0250" and sign.isalpha() for sign in beyond)
        return len(text), capitals / count, digits / count, accented / count, foreign / count


FAMILIES: tuple[type[FeatureFamily], ...] = (Lengths, Subwords, Tokens, PartsOfSpeech, Letters, BagOfWords)
"""All of them, in the order of a full vector."""
