"""Sentences to classify that are on every machine with the demo's packages: whose documentation they are from.

The documentation of numpy, scipy and scikit-learn lies in their source files, which are read as text and never run.
A file's sentences are in one split alone: those that models are fitted on, those of the profile, those of real runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import numpy as np

from premodel.demo import text_models
from premodel.errors import MissingExtraError, OptionError
from premodel.files import write_whole

PACKAGES = {"numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn"}
"""Label -> module."""
SPLITS = ("fit", "fit", "fit", "fit", "fit", "profile", "profile", "profile", "profile", "bench")
"""Of tenths of the files."""
FILES = 400
"""Of each package, at most."""
FITTED = 3_000
"""Sentences of each package that models are fitted on, at most."""
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
SENTENCE = re.compile(r"[A-Z][^.!?>|=`:\\]{25,240}[.]")
GIVES_AWAY = re.compile(r"numpy|scipy|sklearn|scikit|\bnp\b|\bsp\b", re.IGNORECASE)
CANDIDATES = {"words": ["words"], "letters": ["letters"], "both": ["words", "letters"]}
"""Name of each candidate -> the pieces it reads."""
MODELS = "models.py"
ZOO = "zoo.toml"


@dataclass(frozen=True)
class Sentences:
    """Distinct sentences of one split with their labels, in an order that only the seed decides."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


def collect(seed: int) -> dict[str, Sentences]:
    """The sentences of every split.

    Raises
    ------
    MissingExtraError
        One of the packages is not installed.
    """
    found: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for label, module in PACKAGES.items():
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise MissingExtraError(label, "demo")
        root = Path(spec.origin).parent
        files = sorted(file for file in root.rglob("*.py") if "tests" not in file.parts)
        by_chance = sorted(files, key=lambda file: crc32(file.relative_to(root).as_posix().encode()))
        for number, file in enumerate(by_chance[:FILES]):
            split = SPLITS[number % len(SPLITS)]
            for text in _sentences(file):
                found[split].setdefault(text, label)
    seen: set[str] = set()
    splits = {}
    for split, texts in found.items():
        own = {text: label for text, label in texts.items() if text not in seen}
        seen |= set(own)
        drawn = np.random.default_rng(seed).permutation(len(own)).tolist()
        pairs = list(own.items())
        splits[split] = Sentences(tuple(pairs[one][0] for one in drawn), tuple(pairs[one][1] for one in drawn))
    return splits


def _sentences(file: Path) -> list[str]:
    """Sentences of the docstrings of a file that name no package."""
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    texts = (" ".join(doc.split()) for doc in DOCSTRING.findall(source))
    return [one for text in texts for one in SENTENCE.findall(text) if not GIVES_AWAY.search(one)]


def write_split(folder: Path, sentences: Sentences, count: int) -> None:
    """So many sentences, of each package as many, as files by class; files that are there already stay.

    Raises
    ------
    OptionError
        There are fewer.
    """
    for label in PACKAGES:
        own = [text for text, named in zip(sentences.texts, sentences.labels, strict=True) if named == label]
        wanted = -(-count // len(PACKAGES))
        if len(own) < wanted:
            raise OptionError(
                "too many texts for this demo", given=count, allowed=f"{len(own) * len(PACKAGES)}", do="ask for fewer"
            )
        (folder / label).mkdir(parents=True, exist_ok=True)
        for text in own[:wanted]:
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            write_whole(folder / label / f"{name}.txt", text.encode())


def write_zoo(folder: Path, sentences: Sentences) -> Path:
    """Fit the models, and write their tables, their code and the manifest that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    names, labels = list(PACKAGES), np.array(sentences.labels)
    least = min(FITTED, *(int((labels == name).sum()) for name in names))
    kept = np.concatenate([np.flatnonzero(labels == name)[:least] for name in names])
    texts, numbers = [sentences.texts[row] for row in kept.tolist()], np.repeat(np.arange(len(names)), least)
    write_whole(folder / MODELS, Path(text_models.__file__).read_bytes())
    digests = {}
    for kind in text_models.PIECES:
        file = folder / f"{kind}.npy"
        np.save(file, text_models.fit(texts, numbers, len(names), kind))
        digests[kind] = hashlib.sha256(file.read_bytes()).hexdigest()
    quoted = ", ".join(f'"{name}"' for name in names)
    manifest = f'name = "documentation"\ntask = "text-classification"\nlabels = [{quoted}]\n'
    for name, kinds in CANDIDATES.items():
        files = ", ".join(f'"{kind}.npy" = "{digests[kind]}"' for kind in kinds)
        manifest += (
            f'\n[[models]]\nname = "{name}"\nruntime = "python"\ncallable = "{MODELS}:NaiveBayes"\n'
            f"files = {{ {files} }}\nsettings = {{ kinds = {json.dumps(kinds)} }}\n"
        )
    write_whole(folder / ZOO, manifest.encode())
    return folder / ZOO
