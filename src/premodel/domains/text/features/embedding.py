"""An embedding of the text: the mean of a table's vectors of its tokens, of a package that brings the table along.

The package is wordllama (MIT licence), the one found whose wheel holds all that is needed (16 MB, 256 numbers a token),
so that nothing is downloaded; of model2vec, of equal kind, the tables are downloaded. Its files are read here and its
code is not imported: `WordLlama.load` of 0.4.0.post1 looks for the tokenizer in a folder that the wheel does not have,
and then asks the network; its import sets the logging level of the process and takes 0.3 s; its `embed` takes twice as
long.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.text.features.parts import TextParts
from premodel.errors import MissingExtraError, ModelError

PACKAGE = "wordllama"
EXTRA = "embeddings"
TABLE_FILE = "wordllama/weights/l2_supercat_256.safetensors"
TOKENIZER_FILE = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
TENSOR = "embedding.weight"
DTYPES = {"F16": "<f2", "F32": "<f4"}
SIZE = 256
CHUNK = 1024
"""Tokens whose vectors are in memory at once."""
_DIGEST_LETTERS = 8


@dataclass(frozen=True)
class Source:
    """Where an embedding is from.

    Attributes
    ----------
    release:
        Version of the package.
    digest:
        First letters of a SHA-256 of its table and its tokenizer.

    Examples
    --------
    >>> Source.parse("1-wordllama-0.4.0.post1-0123abcd")
    Source(release='0.4.0.post1', digest='0123abcd')
    >>> Source.parse("1-wordllama-0.4.0.post1-0123abcd").key
    '1-wordllama-0.4.0.post1-0123abcd'
    """

    release: str
    digest: str

    @property
    def key(self) -> str:
        """Under what its values are stored: with the version of the family."""
        return f"{Embedding.version}-{PACKAGE}-{self.release}-{self.digest}"

    def __str__(self) -> str:
        return f"{PACKAGE} {self.release}, table {self.digest}"

    @classmethod
    def parse(cls, key: str) -> Source | None:
        """What a key states; None if it is none of this release of premodel."""
        pattern = rf"{Embedding.version}-{PACKAGE}-([0-9A-Za-z.+!]{{1,32}})-([0-9a-f]{{{_DIGEST_LETTERS}}})"
        found = re.fullmatch(pattern, key)
        return None if found is None else cls(*found.groups())


@dataclass(frozen=True, eq=False)
class Table:
    """A table and its tokenizer, as they are installed.

    Attributes
    ----------
    source:
        What they are.
    vectors:
        One of each token, (n, SIZE).
    cut:
        Gives the numbers of a text's tokens.
    """

    source: Source
    vectors: NDArray[np.floating]
    cut: Callable[[str], Sequence[int]]


def installed_table(wanted: Source | None = None) -> Table:
    """The table of the package that is installed; read once in a process.

    Parameters
    ----------
    wanted:
        What it must be; None for whatever there is.

    Raises
    ------
    MissingExtraError
        The package, or the tokenizers that it needs, is not installed.
    ModelError
        It is not the one that is wanted, or its files are not those that are known here.
    """
    from importlib import metadata  # here: it takes longer than all the rest of this module

    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError(PACKAGE if wanted is None else f"{PACKAGE} {wanted.release}", EXTRA) from error
    try:
        import_module("tokenizers")
    except ImportError as error:
        raise MissingExtraError("tokenizers", EXTRA) from error
    files = Path(str(package.locate_file(TABLE_FILE))), Path(str(package.locate_file(TOKENIZER_FILE)))
    table = _read_table(package.version, *files)
    if wanted is not None and table.source != wanted:
        anew = " --force-reinstall" if table.source.release == wanted.release else ""
        raise ModelError(
            f"the embedding must be of {wanted}", given=table.source,
            do=f"install it with: pip install{anew} '{PACKAGE}=={wanted.release}', or profile and train again",
        )  # fmt: skip
    return table


@cache
def _read_table(release: str, table: Path, tokenizer: Path) -> Table:
    try:
        data, about = table.read_bytes(), tokenizer.read_bytes()
    except OSError as error:
        given = f"{PACKAGE} {release}, {error.strerror}"
        do = f"install it anew: pip install --force-reinstall {PACKAGE}, or an older version of it"
        what = f"{PACKAGE} must hold a table and its tokenizer"
        raise ModelError(what, where=error.filename, given=given, do=do) from error
    vectors = _read_vectors(data, table)
    try:
        cutter = import_module("tokenizers").Tokenizer.from_str(about.decode())
        cutter.no_padding()
        cutter.no_truncation()
    except Exception as error:  # the package raises Exception itself
        raise ModelError(
            "tokenizer cannot be read", where=tokenizer, given=" ".join(str(error).split())[:200],
            allowed="a tokenizer.json",
        ) from error  # fmt: skip

    def cut(text: str) -> list[int]:
        numbers: list[int] = cutter.encode(text, add_special_tokens=False).ids
        return numbers

    digest = hashlib.sha256(hashlib.sha256(data).digest() + hashlib.sha256(about).digest()).hexdigest()
    return Table(Source(release, digest[:_DIGEST_LETTERS]), vectors, cut)


def _read_vectors(data: bytes, file: Path) -> NDArray[np.floating]:
    """The one tensor of a file of safetensors: the size of a JSON header in 8 bytes, that header, the numbers."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        entry = json.loads(data[8:start])[TENSOR]
        first, last = entry["data_offsets"]
        vectors = np.frombuffer(data[start + first : start + last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "table cannot be read", where=file, given=f"{type(error).__name__}: {error}"[:200],
            allowed=f"safetensors with {TENSOR} of {' or '.join(DTYPES)}",
        ) from error  # fmt: skip
    if vectors.ndim != 2 or vectors.shape[1] != SIZE or not vectors.shape[0]:
        raise ModelError(
            f"a table must hold {SIZE} numbers of each token", where=file, given="x".join(map(str, vectors.shape))
        )
    return vectors


class Embedding(FeatureFamily):
    """What the text is about, as far as its words say: `embedding1` .. `embedding256`.

    The vectors of the text's tokens, added up and divided by the length of their sum; a text without tokens, or of
    tokens that cancel each other out, gives zeros.

    Parameters
    ----------
    wanted:
        The table that it must be; None for the one that is installed.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    ModelError
        It is another table, or cannot be read.

    Notes
    -----
    As `WordLlama.embed(text, norm=True)`, to rounding; the order of the words plays no part.
    """

    name = "embedding"
    features = tuple(Feature(f"embedding{number}", "of a vector of length 1", -1, 1) for number in range(1, SIZE + 1))
    needs = ()

    def __init__(self, wanted: Source | None = None) -> None:
        self._table = installed_table(wanted)

    def compute(self, parts: TextParts) -> Sequence[float]:
        """All of them."""
        text, table = parts.text, self._table
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair
        numbers = table.cut(text)
        total = np.zeros(SIZE, np.float32)
        for start in range(0, len(numbers), CHUNK):
            chunk = table.vectors.take(numbers[start : start + CHUNK], axis=0, mode="clip")
            total += chunk.astype(np.float32).sum(axis=0)
        length = math.sqrt(float(total @ total))
        found: list[float] = (total / length if 1e-9 < length < math.inf else np.zeros(SIZE)).tolist()
        return found
