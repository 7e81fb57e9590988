"""Zoos of texts that need no download: linear networks of bytes, and recorded translations.

`from text_models import make_languages, make_translations` in any test.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from premodel.backends.base import Tensor
from premodel.backends.replay import record
from premodel.backends.texts import pack_answer
from premodel.domains.registry import domain_of
from premodel.domains.text.spec import TextSpec
from tiny_models import write_onnx

LANGUAGES = ("de", "en")
LENGTH = 64
WORDS = {
    "en": "the a dog man woman child house street runs sees walks red green small old over under with",
    "de": "der ein hund mann frau kind haus weg läuft sieht geht rot grün klein alt über unter mit",
}
"""A word of one language and its translation have one place."""


def sentences(language: str, n: int, seed: int) -> list[list[int]]:
    """Places of words, from 2 to 10 of them."""
    del language
    rng = np.random.default_rng(seed)
    return [rng.integers(0, len(WORDS["en"].split()), rng.integers(2, 11)).tolist() for _ in range(n)]


def say(language: str, places: list[int], number: int) -> str:
    """The sentence in one language; its number makes it unlike any other."""
    words = WORDS[language].split()
    return " ".join(words[place] for place in places) + f" {number}"


def make_languages(folder: Path, n: int = 120) -> Path:
    """A manifest of two networks that tell German from English, and `messages.csv`.

    The cheap one counts letters of some use, the other has its weights from a fit; both take 64 bytes.
    """
    rows = [
        (say(language, places, number), language)
        for number, (language, places) in enumerate(
            (language, places) for language in LANGUAGES for places in sentences(language, n // 2, 1)
        )
    ]
    with (folder / "messages.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    domain, spec = domain_of("text-classification"), TextSpec("bytes", "float32", LENGTH)
    inputs = np.concatenate([domain.prepare(text, spec, domain.plain_view()) for text, _ in rows])
    signs = np.array([1.0 if language == "en" else -1.0 for _, language in rows], np.float32)
    for name, ridge in (("fine", 1e2), ("rough", 1e7)):
        gram = inputs.T @ inputs + ridge * np.eye(LENGTH, dtype=np.float32)
        weights = np.linalg.solve(gram, inputs.T @ signs).astype(np.float32)
        write_onnx(folder / f"{name}.onnx", np.stack([-weights, weights], axis=1), np.zeros(2, np.float32), (1, LENGTH))
    models = "".join(
        f'\n[[models]]\nname = "{name}"\nfile = "{name}.onnx"\nruntime = "onnx"\noutput = {{ activation = "none" }}\n'
        f'input = {{ format = "bytes", length = {LENGTH}, dtype = "float32" }}\n'
        for name in ("fine", "rough")
    )
    head = 'name = "languages"\ntask = "text-classification"\nlabels = ["de", "en"]\n'
    (folder / "zoo.toml").write_text(head + models)
    return folder / "zoo.toml"


def packed(text: str, probability: float) -> Tensor:
    """An answer as a row of a recording."""
    row = np.zeros(128, np.uint8)
    data = pack_answer(text, probability).reshape(-1)
    row[: data.size] = data
    return row


def make_translations(folder: Path, n: int = 120) -> Path:
    """A manifest of two recorded translators, and `source.en` with `reference.de`.

    "short" translates sentences of up to four words as well as it can be done, and loses every second word of longer
    ones; "all" takes ten times as long and loses the last word of each. Longer sentences take longer.
    """
    domain, spec = domain_of("translation"), TextSpec("bytes", "uint8", LENGTH)
    places = [one[:8] for one in sentences("en", n, 2)]
    sources = [say("en", one, number) for number, one in enumerate(places)]
    references = [say("de", one, number) for number, one in enumerate(places)]
    (folder / "source.en").write_text("\n".join(sources) + "\n", encoding="utf-8")
    (folder / "reference.de").write_text("\n".join(references) + "\n", encoding="utf-8")
    said = {
        "short": [
            (text, 0.9) if len(one) <= 4 else (" ".join(text.split()[::2]), 0.3)
            for one, text in zip(places, references, strict=True)
        ],
        "all": [(text.rpartition(" ")[0], 0.8) for text in references],
    }
    inputs = [*sources, domain.decode(domain.synthetic())]
    tensors = [domain.prepare(text, spec, domain.plain_view()) for text in inputs]
    models = ""
    for name, factor in (("short", 1.0), ("all", 10.0)):
        outputs = np.stack([packed(*one) for one in (*said[name], ("nichts", 0.5))])
        took_ms = [factor * (0.3 + 0.1 * len(text.split())) for text in inputs]
        record(folder / f"{name}.npz", tensors, outputs, latency_ms=took_ms)
        models += f'\n[[models]]\nname = "{name}"\nfile = "{name}.npz"\nruntime = "replay"\n'
        models += f'input = {{ format = "bytes", length = {LENGTH} }}\n'
    (folder / "zoo.toml").write_text('name = "translators"\ntask = "translation"\n' + models)
    return folder / "zoo.toml"
