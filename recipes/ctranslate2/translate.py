"""A translator that CTranslate2 runs, as a callable for premodel.

This file lies beside the manifest; the folder of the converted model and its tokenizer lie beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Translator:
    """One converted model under one way to decode.

    Parameters
    ----------
    model:
        Folder of the converted model.
    tokenizer:
        A `tokenizer.json` for source and target.
    beam:
        Hypotheses kept; 1 is greedy.
    compute_type:
        Of the weights as they are run: "default", "float32", "int8", ...
    threads:
        Of one translation.
    max_length:
        Tokens of an answer, at most.
    suffix:
        Tokens behind each source, as the model was trained.

    Notes
    -----
    An answer's probability is exp of the mean log probability of its tokens, which `length_penalty=1` makes of
    CTranslate2's score.
    """

    def __init__(
        self,
        model: str,
        tokenizer: str = "tokenizer.json",
        beam: int = 1,
        compute_type: str = "default",
        threads: int = 1,
        max_length: int = 256,
        suffix: Sequence[str] = ("</s>",),
    ) -> None:
        import tokenizers

        import ctranslate2

        here = Path(__file__).parent
        self._translator: Any = ctranslate2.Translator(
            str(here / model), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(here / tokenizer))
        self._suffix = list(suffix)
        self._decoding = {"beam_size": beam, "max_decoding_length": max_length, "length_penalty": 1.0}

    def __call__(self, text: str) -> tuple[str, float]:
        """The translation and its probability."""
        source = self._tokenizer.encode(text, add_special_tokens=False).tokens + self._suffix
        (found,) = self._translator.translate_batch([source], return_scores=True, **self._decoding)
        numbers = [self._tokenizer.token_to_id(token) for token in found.hypotheses[0]]
        said = self._tokenizer.decode([number for number in numbers if number is not None], skip_special_tokens=True)
        return said, min(1.0, max(math.exp(found.scores[0]), 1e-9))
