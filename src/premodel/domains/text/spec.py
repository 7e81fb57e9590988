"""How a text becomes a model's input: the `input` table of a manifest entry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from premodel.backends.base import Tensor
from premodel.backends.texts import text_tensor
from premodel.fields import Fields

FORMATS = ("text", "bytes")
DTYPES = ("uint8", "int32", "int64", "float32")
MAX_LENGTH = 1 << 20


@dataclass(frozen=True)
class TextSpec:
    """How a text becomes a model's input, as the manifest states.

    Attributes
    ----------
    format:
        "text": all of it, as its UTF-8 bytes, whatever their number; "bytes": its first `length` bytes in UTF-8, zeros
        after them, as byte-level networks take them.
    dtype:
        Of the tensor; uint8 for "text".
    length:
        Of the tensor; 0 for "text", where it is that of the text.

    Examples
    --------
    >>> TextSpec("bytes", "int64", 256).shape
    (1, 256)
    """

    format: str = "text"
    dtype: str = "uint8"
    length: int = 0

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
        spec = TextSpec()
    else:
        spec = TextSpec(format_, fields.text("dtype", "uint8", DTYPES), fields.integer("length", 1, MAX_LENGTH))
    fields.done()
    return spec


def to_tensor(text: str, spec: TextSpec) -> Tensor:
    """The tensor of a text, of the shape and type of the spec.

    Examples
    --------
    >>> to_tensor("né", TextSpec("bytes", "int32", 5)).tolist()
    [[110, 195, 169, 0, 0]]
    """
    if spec.format == "text":
        return text_tensor(text)
    data = np.frombuffer(text[: spec.length].encode()[: spec.length], np.uint8)
    tensor = np.zeros(spec.shape, spec.dtype)
    tensor[0, : data.size] = data
    return tensor
