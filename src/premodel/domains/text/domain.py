"""Texts as a domain: what is read, what models get, and what their answers are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.backends.texts import unpack_answer
from premodel.domains.base import TEXT_TASK, TRANSLATION_TASK, Domain, FeatureExtractor, FeatureGroup
from premodel.domains.text.decode import check_bytes, decode, read_file
from premodel.domains.text.spec import TextSpec, TextView, TokenSpec, read_text_spec, to_tensor
from premodel.errors import RunError
from premodel.fields import Fields
from premodel.records import Prediction

if TYPE_CHECKING:
    from premodel.domains.text.features.embedding import Source

SYNTHETIC = ("A short text to begin with.", "Ein kurzer Text.", "Two dogs run over a wide green field.")
TEXT_COLUMNS = (
    "text", "sentence", "message", "utterance", "content", "document", "review", "tweet", "query", "question", "prompt",
    "input", "source", "src",
)  # fmt: skip
TRUTH_COLUMNS = ("target", "translation", "reference", "tgt", "trg", "ref", "output", "label")


class TextDomain(Domain):
    """Texts that are classified: an answer is one of the zoo's labels.

    Parameters
    ----------
    embedding:
        The table whose embedding is among the features; None for none.
    """

    task = TEXT_TASK
    version = 1
    noun = "text"
    plural = "texts"
    suffixes = frozenset({".txt"})
    inline = TEXT_COLUMNS
    latency_varies = True
    lengths = ("n_words", "n_chars")

    def __init__(self, embedding: Source | None = None) -> None:
        self._embedding = embedding

    def read_file(self, path: Path) -> bytes:
        """See `decode.read_file`."""
        return read_file(path, self.noun)

    def decode(self, source: Any) -> str:
        """See `decode.decode`: a str is the text itself."""
        return decode(source, self.noun)

    def size(self, sample: str) -> Mapping[str, int]:
        """Characters and UTF-8 bytes."""
        return {"characters": len(sample), "bytes": len(sample.encode())}

    def length(self, sample: str, measure: str) -> float:
        """Words or characters, of all the text: a feature of that name reads its beginning."""
        return float(len(sample.split()) if measure == "n_words" else len(sample))

    def check_encoded(self, data: bytes, max_size: int, where: str) -> None:
        """By its bytes."""
        del max_size
        check_bytes(len(data), self.noun, where)

    def prepare(
        self,
        sample: str,
        spec: TextSpec,
        view: TextView,
        shared: Any = None,
        quantisation: TensorSpec | None = None,
    ) -> Tensor:
        """See `spec.to_tensor`."""
        del view, quantisation
        return to_tensor(sample, spec, shared)

    def shared(self, sample: str) -> dict[str, list[int]]:
        """Tokens, which are cut once for all candidates of one tokenizer."""
        del sample
        return {}

    def spec_files(self, spec: TextSpec) -> tuple[str, ...]:
        """The tokenizer."""
        tokenizer = getattr(spec, "tokenizer", None)  # a callable takes the text itself
        return () if tokenizer is None else (tokenizer,)

    def opened_spec(self, spec: TextSpec, file: Path) -> TextSpec:
        """With its tokenizer opened, where it has one."""
        names = self.spec_files(spec)
        if not names:
            return spec
        from premodel.domains.text.tokenizer import open_tokenizer

        cut, key = open_tokenizer(file.parent / names[0], spec.length)
        return TokenSpec(spec.format, spec.dtype, spec.length, spec.tokenizer, spec.padding, cut, key)

    def input_key(self, spec: TextSpec) -> Mapping[str, Any]:
        """What of it is stated, so that the key of other formats is what it was before there were tokens."""
        found = {"format": spec.format, "dtype": spec.dtype, "length": spec.length}
        return {**found, "tokenizer": spec.tokenizer, "padding": spec.padding} if spec.tokenizer is not None else found

    def read_spec(self, fields: Fields) -> TextSpec:
        """Format, type and length."""
        return read_text_spec(fields)

    def plain_view(self, name: str = "") -> TextView:
        """The one."""
        return TextView(name)

    def read_view(self, fields: Fields, name: str) -> TextView:
        """The one: a text has no other, so that a view in a manifest is refused as one that changes nothing."""
        fields.done()
        return TextView(name)

    def answer_key(self, view: TextView) -> Mapping[str, Any]:
        """Task and version."""
        del view
        return {"domain": self.task, "version": self.version}

    def describe(self, spec: TextSpec) -> str:
        """Format and shape."""
        if spec.format == "tokens":
            return f"up to {spec.length} tokens of a text"
        return "the UTF-8 bytes of a text" if spec.format == "text" else f"{spec.length} bytes of a text"

    def summary(self, spec: TextSpec) -> str:
        """Format, type and length."""
        unit = "tokens" if spec.format == "tokens" else "bytes"
        return "text" if spec.format == "text" else f"{spec.dtype} {spec.length} {unit}"

    @property
    def feature_groups(self) -> tuple[FeatureGroup, ...]:
        """Those of the families of features."""
        from premodel.domains.text.features.extractor import feature_groups

        return feature_groups(self._embedding)

    @property
    def features_version(self) -> str:
        """That of the extractor."""
        from premodel.domains.text.features.extractor import version_with

        return version_with(self._embedding)

    def with_embedding(self) -> Self:
        """With the table that is installed here."""
        from premodel.domains.text.features.embedding import installed_table

        return type(self)(installed_table().source)

    def with_features(self, version: str) -> Self:
        """With the table that the version states, whether it is installed here or not."""
        _, _, key = version.partition("@")
        if not key:
            return self if self._embedding is None else type(self)()
        from premodel.domains.text.features.embedding import Source

        return type(self)(Source.parse(key))

    def extractor(self, names: Sequence[str] | None = None) -> FeatureExtractor:
        """Computes the features named."""
        from premodel.domains.text.features.extractor import Extractor

        return Extractor(names, self._embedding)

    def synthetic(self, seed: int = 0) -> bytes:
        """A short text."""
        return SYNTHETIC[seed % len(SYNTHETIC)].encode()


class TranslationDomain(TextDomain):
    """Texts that are translated: an answer is a text, and scores say how good it is."""

    task = TRANSLATION_TASK
    answers_labels = False
    truth_columns = TRUTH_COLUMNS
    graded = ("chrf", "bleu", "rouge", "f1")

    def outcome(self, raw: Tensor, output: TensorSpec, spec: Any) -> Prediction:
        """The text that a model answered, see `backends.texts`; RunError if it is none, or empty."""
        del output, spec
        text, probability = unpack_answer(raw)
        self.check_outcome(text)
        if math.isnan(probability):
            probability = 1.0
        said: NDArray[np.float32] = np.array([probability], np.float32)
        return Prediction(np.zeros(1, np.int32), said, -math.log(probability), text)

    def check_outcome(self, outcome: str) -> None:
        """RunError if it is empty."""
        if not outcome.strip():
            raise RunError("translation is empty")

    def score(self, prediction: Prediction, truth: int | str, criterion: str) -> float:
        """How near a translation is to its reference, see `scores`."""
        from premodel.domains.text.scores import SCORES

        return SCORES[criterion](prediction.outcome or "", str(truth))

    def corpus_scores(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, float]:
        """BLEU and chrF2 of the corpus, in [0, 1], as papers report them times 100."""
        from premodel.domains.text.scores import CORPUS_SCORES

        return {name: score(pairs) for name, score in CORPUS_SCORES.items()}
