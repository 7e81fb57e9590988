"""How a text becomes a model's input: the `input` table of a manifest entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from premodel.backends.base import Tensor
from premodel.backends.texts import text_tensor
from premodel.fields import Fields

FORMATS = ("text", "bytes", "tokens")
TOKEN_DTYPES = ("int64", "int32")
MAX_TOKENS = 1 << 16
DTYPES = ("uint8", "int32", "int64", "float32")
MAX_LENGTH = 1 << 20


@dataclass(frozen=True)
class TextSpec:
    """How a text becomes a model's input, as the manifest states.

    Attributes
    ----------
    format:
        "text": all of it, as its UTF-8 bytes, whatever their number; "bytes": its first `length` bytes in UTF-8, zeros
        after them, as byte-level networks take them; "tokens": the numbers of its tokens, at most `length`.
    dtype:
        Of the tensor; uint8 for "text".
    length:
        Of the tensor; 0 for "text", where it is that of the text.
    tokenizer:
        Of "tokens": the file beside the model's that cuts the text, as the package tokenizers writes it.
    padding:
        Of "tokens": the number that fills a tensor of `length`; None where it is as long as the text.

    Examples
    --------
    >>> TextSpec("bytes", "int64", 256).shape
    (1, 256)
    """

    format: str = "text"
    dtype: str = "uint8"
    length: int = 0
    tokenizer: str | None = None
    padding: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, batch 1; 0 where every length will do."""
        return (1, self.length)


@dataclass(frozen=True)
class TextView:
    """The one view there is: a text is looked at in one way."""

    name: str = ""


def read_text_spec(fields: Fields) -> TextSpec:
    """The `input` table of a manifest entry; ZooError, or the error class of `fields`, if a field is wrong."""
    format_ = fields.text("format", "text", FORMATS)
    if format_ == "text":
        fields.text("dtype", "uint8", ("uint8",))  # as stores and bundles state them
        fields.integer("length", 0, 0, 0)
        spec = TextSpec()
    elif format_ == "tokens":
        tokenizer = fields.text("tokenizer")
        if PurePosixPath(tokenizer).name != tokenizer:
            raise fields.fail("tokenizer", "the name of a file beside the model's")
        dtype, length = fields.text("dtype", "int64", TOKEN_DTYPES), fields.integer("length", 2, MAX_TOKENS)
        spec = TextSpec(
            format_, dtype, length, tokenizer, fields.integer("padding", 0, 1 << 31) if fields.has("padding") else None
        )
    else:
        spec = TextSpec(format_, fields.text("dtype", "uint8", DTYPES), fields.integer("length", 1, MAX_LENGTH))
    fields.done()
    return spec


@dataclass(frozen=True)
class TokenSpec(TextSpec):
    """A spec of tokens with its tokenizer.

    Attributes
    ----------
    cut:
        Cuts a text into the numbers of its tokens, at most `length`.
    key:
        Equal where the tokens are: what another model has cut this way is not cut again.
    """

    cut: Any = field(default=None, compare=False)
    key: str = ""


def to_tensor(text: str, spec: TextSpec, shared: dict[str, list[int]] | None = None) -> Tensor:
    """The tensor of a text, of the shape and type of the spec.

    Parameters
    ----------
    shared:
        Tokens of this very text by `TokenSpec.key`; written to.

    Examples
    --------
    >>> to_tensor("né", TextSpec("bytes", "int32", 5)).tolist()
    [[110, 195, 169, 0, 0]]
    """
    if spec.format == "text":
        return text_tensor(text)
    if isinstance(spec, TokenSpec):
        return _tokens(text, spec, {} if shared is None else shared)
    data = np.frombuffer(text[: spec.length].encode()[: spec.length], np.uint8)
    tensor = np.zeros(spec.shape, spec.dtype)
    tensor[0, : data.size] = data
    return tensor


def _tokens(text: str, spec: TokenSpec, shared: dict[str, list[int]]) -> Tensor:
    """int (1, n), the numbers of the tokens; (1, length) where they are padded."""
    numbers = shared.get(spec.key)
    if numbers is None:
        numbers = shared[spec.key] = spec.cut(text)
    if spec.padding is None:
        return np.array([numbers], spec.dtype)
    tensor = np.full(spec.shape, spec.padding, spec.dtype)
    tensor[0, : len(numbers)] = numbers
    return tensor
