"""A package like the one that embeds texts, with a small table of its own: no test needs the real one.

`from embeddings import install, uninstall` in any test.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from premodel.domains.text.features.embedding import PACKAGE, SIZE, TABLE_FILE, TENSOR, TOKENIZER_FILE
from text_models import WORDS

VOCABULARY = {word: number for number, word in enumerate(sorted({w for text in WORDS.values() for w in text.split()}))}
RELEASE = "0.4.0.post1"
DISTRIBUTION = metadata.distribution


class Tokenizer:
    """Cuts at white space; what it has never seen has no number."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def from_str(cls, text: str) -> Tokenizer:
        return cls(json.loads(text)["vocabulary"])

    def no_padding(self) -> None:
        """Nothing is padded."""

    def no_truncation(self) -> None:
        """Nothing is cut off."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        assert not add_special_tokens
        text.encode()  # as the real one, which takes no half of a surrogate pair
        return SimpleNamespace(ids=[self.vocabulary[word] for word in text.split() if word in self.vocabulary])


def vectors(seed: int = 0) -> np.ndarray[Any, Any]:
    """A table, one row for each word."""
    return np.random.default_rng(seed).normal(size=(len(VOCABULARY), SIZE)).astype(np.float16)


def safetensors(table: np.ndarray[Any, Any], dtype: str = "F16", name: str = TENSOR) -> bytes:
    """A file that holds it."""
    data = table.tobytes()
    head = json.dumps({name: {"dtype": dtype, "shape": table.shape, "data_offsets": [0, len(data)]}}).encode()
    return len(head).to_bytes(8, "little") + head + data


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, release: str = RELEASE, seed: int = 0) -> Path:
    """Install it, in place of what there was; gives the folder of its packages."""
    site = folder / f"site-{release}-{seed}"
    about = site / f"{PACKAGE}-{release}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {release}\n")
    for name, content in (
        (TABLE_FILE, safetensors(vectors(seed))),
        (TOKENIZER_FILE, json.dumps({"vocabulary": VOCABULARY}).encode()),
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(site))
    module = ModuleType("tokenizers")
    module.Tokenizer = Tokenizer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tokenizers", module)
    monkeypatch.setattr(metadata, "distribution", DISTRIBUTION)
    importlib.invalidate_caches()
    return site


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no such package, here or in the test's environment."""

    def distribution(name: str) -> metadata.Distribution:
        if name == PACKAGE:
            raise metadata.PackageNotFoundError(name)
        return DISTRIBUTION(name)

    # Not by sys.path: the folder that holds this package holds all others of the environment.
    monkeypatch.setattr(metadata, "distribution", distribution)
