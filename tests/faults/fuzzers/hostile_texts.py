"""Texts that nobody would write: tables and lines of them, bytes that are none, and requests that carry them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from faults.fuzzers.base import Case, Fuzzer
from faults.mutations import mutate_bytes, mutate_plain, mutate_text
from premodel.domains.registry import domain_of
from premodel.domains.text.decode import MAX_BYTES
from premodel.domains.text.scores import SCORES
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.progress import Silent
from premodel.profiling.samples import take_inventory
from premodel.serving.limits import Limits
from premodel.serving.request import Asked, read_request

LABELS = ("good", "bad")
PIECES = (
    "a", "Grüße", " ", "\n", "\0", "\u202e\u05e9\u05dc", "e\u0301" * 50, "\U0001f469\u200d\U0001f467", "日本", "n't",
    "1,5", "&quot;", "'", '"', ",", "\ud800", "\ufeff", "\u2028", "x" * 3000, "a1" * 2000, "{", "$(ls)", "%s",
    "\x1b[2J",
)  # fmt: skip


def a_text(rng: random.Random) -> str:
    """Pieces of any kind; now and then a very long one."""
    text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(12)))
    return text * rng.choice((1, 1, 1, 1, 100)) if len(text) < MAX_BYTES // 400 else text


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def tables(rng: random.Random, root: Path) -> None:
    """A table of texts or two files of lines, damaged or not, read with every input in it."""
    task = rng.choice(("text-classification", "translation"))
    rows = [(a_text(rng)[:5000], rng.choice(LABELS) if task != "translation" else a_text(rng)[:500]) for _ in range(6)]
    kind = rng.choice((".csv", ".tsv", ".jsonl", "lines"))
    first = rng.choice(("text", "source", "file", "x"))
    if kind == ".jsonl":
        records = [{first: text, "label": truth} for text, truth in rows]
        data = "\n".join(json.dumps(mutate_plain(rng, one) if rng.random() < 0.2 else one) for one in records).encode()
    elif kind == "lines":
        data = bytes_of("\n".join(text for text, _ in rows))
    else:
        mark = "\t" if kind == ".tsv" else ","
        cells = [[first, "label"], *([one.replace('"', '""') for one in row] for row in rows)]
        data = bytes_of("\n".join(mark.join(f'"{cell}"' for cell in row) for row in cells))
    if rng.random() < 0.4:
        data = mutate_bytes(rng, data)
    packed = gzip.compress(data) if rng.random() < 0.3 else data
    if packed is not data and rng.random() < 0.3:
        packed = mutate_bytes(rng, packed)
    file = root / ("t.en" if kind == "lines" else f"t{kind}{'.gz' if packed is not data else ''}")
    file.write_bytes(packed)
    labels = None
    if kind == "lines":
        labels = root / "t.de"
        labels.write_bytes(bytes_of("\n".join(truth for _, truth in rows)))
    dataset = read_dataset(file, labels, label_names=LABELS, options=DatasetOptions(task=task))
    for _, reason in take_inventory(dataset, list(range(len(dataset))), Silent()).unreadable:
        if not reason.isprintable():
            raise AssertionError(f"not one clear line: {reason!r}")


def inputs(rng: random.Random, root: Path) -> None:
    """Bytes or a str, decoded, with all features, and scored against another."""
    del root
    domain, text = domain_of("translation"), a_text(rng)
    source = rng.choice(
        (text, bytes_of(text), mutate_bytes(rng, bytes_of(text)), mutate_text(rng, b"a text, not long"))
    )
    sample = domain.decode(source)
    for value in domain.extractor().extract(sample).tolist():
        if not math.isfinite(value):
            raise AssertionError(f"a feature of {sample[:50]!r} is {value}")
    other = a_text(rng)[:3000]
    for name, score in SCORES.items():
        if not 0 <= score(sample[:3000], other) <= 1:
            raise AssertionError(f"{name} of {sample[:50]!r} and {other[:50]!r} is not in [0, 1]")


def requests(rng: random.Random, root: Path) -> None:
    """A request in one of the forms that carry texts, damaged or not."""
    del root
    texts = [a_text(rng) for _ in range(rng.randrange(1, 4))]
    kind = rng.choice(("application/json", "text/plain", "", "multipart/form-data; boundary=b"))
    if kind.startswith("multipart"):
        body = b"--b\r\nContent-Disposition: form-data; name=text\r\n\r\n" + bytes_of(texts[0]) + b"\r\n--b--"
    elif kind == "application/json":
        coded = rng.random() < 0.3
        data = [base64.b64encode(bytes_of(text)).decode() for text in texts] if coded else texts
        tensor = {"name": "text", "datatype": "BYTES", "shape": [len(data)], "data": data}
        request = {"inputs": [tensor | ({"parameters": {"content_type": "base64"}} if coded else {})]}
        body = json.dumps(mutate_plain(rng, request) if rng.random() < 0.3 else request).encode(
            "utf-8", "surrogatepass"
        )
    else:
        body = bytes_of(texts[0])
    if rng.random() < 0.3:
        body = mutate_bytes(rng, body)
    asked = Asked(rng.choice((None, None, None, 0)), kind)
    domain = domain_of("text-classification")
    for one in read_request(body, asked, Limits(), domain.task).images:
        domain.decode(one)


KINDS = (tables, inputs, inputs, requests)


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """A case is a data set, an input or a request."""
    inside = folder / "inside"

    def case(rng: random.Random) -> str:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(parents=True)
        rng.choice(KINDS)(rng, inside)
        return "answered"

    yield case
    shutil.rmtree(inside, ignore_errors=True)


FUZZERS = (
    Fuzzer(
        "text",
        "Texts with zeros, halves of surrogate pairs, mixed direction, marks and great lengths, in tables, lines, "
        "bytes and requests, damaged or not: read, decoded, all features and scores",
        lay,
        2000,
        test_count=150,
    ),
)
