"""Data sets that are damaged or absurd: tables of any form, folders, shards, and their names."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faults.fuzzers.base import Case, Fuzzer
from faults.mutations import VALUES, WORDS, mutate_bytes, mutate_plain, mutate_text
from premodel.errors import PremodelError
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.progress import Silent
from premodel.profiling.samples import take_inventory

LABELS = ("cat", "dog", "very big horse")
NAMES = (
    "x" * 255, "x" * 300, "d/" * 400 + "x.png", "../" * 50 + "x.png", "/dev/zero", "", ".", "..", "a\0b", "\ud800.png",
    "a\nb.png", "C:\\x.png", "http://x/y.png", "é" * 130 + ".png", "\u202egnp.x", " ", "~", "#", "0.png",
)  # fmt: skip


def _bytes_of(seed: int) -> bytes:
    return bytes(cv2.imencode(".png", np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8))[1])


IMAGES = tuple(_bytes_of(seed) for seed in range(6))


def _files(root: Path) -> list[str]:
    for number, data in enumerate(IMAGES):
        (root / f"{number}.png").write_bytes(data)
    return [f"{number}.png" for number in range(len(IMAGES))]


def _value(rng: random.Random) -> Any:
    return rng.choice([*VALUES[:12], *NAMES, *WORDS[:8], rng.choice(LABELS), rng.randrange(-5, 5), b"\xff", 1.5])


def text_table(rng: random.Random, root: Path) -> tuple[Path, Path | None]:
    """A CSV, TSV or JSON table with wrong cells, columns, quoting and bytes."""
    names = _files(root)
    rows = [[rng.choice(NAMES) if rng.random() < 0.2 else name, rng.choice(LABELS)] for name in names]
    kind = rng.choice((".csv", ".tsv", ".jsonl", ".txt"))
    if kind == ".jsonl":
        records = [mutate_plain(rng, {"path": name, "label": label}) if rng.random() < 0.3 else
                   {"path": name, "label": label} for name, label in rows]  # fmt: skip
        data = "\n".join(json.dumps(one) for one in records).encode("utf-8", "surrogatepass")
    else:
        mark = {".csv": rng.choice((",", ";")), ".tsv": "\t", ".txt": " "}[kind]
        head = [rng.choice(("path", "file_name", "image", "x")), rng.choice(("label", "class", "y", "label"))]
        lines = [mark.join(row) for row in ([] if kind == ".txt" else [head]) + rows]
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.6:
        with contextlib.suppress(UnicodeDecodeError):
            data = mutate_text(rng, data)
    if rng.random() < 0.1:
        data = data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-7")))
    table = root / f"labels{kind}"
    table.write_bytes(data)
    return (root, table) if kind == ".txt" or rng.random() < 0.7 else (table, None)


def parquet(rng: random.Random, root: Path) -> tuple[Path, Path | None]:
    """A Parquet or Arrow file with columns of other types, lying metadata, or damaged bytes."""
    import pyarrow as pa
    from pyarrow import feather
    from pyarrow import parquet as pq

    n = len(IMAGES)
    images: list[Any] = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(IMAGES)]
    labels: list[Any] = [rng.choice(LABELS) for _ in IMAGES]
    kinds: list[Callable[[], Any]] = [
        lambda: pa.array(images), lambda: pa.array(list(IMAGES)), lambda: pa.array(_files(root)),
        lambda: pa.array(labels), lambda: pa.array(labels).dictionary_encode(), lambda: pa.array(range(n)),
        lambda: pa.array([1 << 62] * n), lambda: pa.array([0.5, float("nan"), float("inf"), 1e300, -1.0, None]),
        lambda: pa.nulls(n), lambda: pa.array([[1]] * n), lambda: pa.array([[[b"x"]]] * n),
        lambda: pa.array([{"bytes": None, "path": None}] * n), lambda: pa.array([{"bytes": b""}] * n),
        lambda: pa.array([{"path": rng.choice(NAMES[:3])}] * n), lambda: pa.array([None, *labels[1:]]),
        lambda: pa.array([True] * n), lambda: pa.array([b"\xff\xfe"] * n), lambda: pa.array([{"a": {"b": 1}}] * n),
        lambda: pa.array([10**20] * n, pa.decimal128(38)), lambda: pa.array([10**9] * n, pa.timestamp("s")),
        lambda: pa.array([10**17] * n, pa.timestamp("s")), lambda: pa.array([10**18] * n, pa.duration("us")),
        lambda: pa.array(["x" * 5000] * n), lambda: pa.array(["9" * 5000] * n),
        lambda: pa.array([10**5] * n, pa.date32()), lambda: pa.array([255] * n, pa.uint64()),
        lambda: pa.array([2**64 - 1] * n, pa.uint64()),
        lambda: pa.array([b"x"] * n, pa.large_binary()), lambda: pa.array([b"abcd"] * n, pa.binary(4)),
        lambda: pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())),
    ]  # fmt: skip
    names = ["image", "label", *rng.sample(["path", "img", "split", "file_name", "class", "x\0", "é", ""], 2)]
    columns = [rng.choice(kinds[:3])() if rng.random() < 0.6 else rng.choice(kinds)(),
               rng.choice(kinds[3:6])() if rng.random() < 0.4 else rng.choice(kinds)(),
               *(rng.choice(kinds)() for _ in range(2))]  # fmt: skip
    chosen = rng.sample(range(4), rng.randint(1, 4))
    table = pa.Table.from_arrays([columns[i] for i in chosen], names=[names[i] for i in chosen])
    features = {
        "info": {"features": {"label": {"names": list(LABELS), "_type": "ClassLabel"}, "image": {"_type": "Image"}}}
    }
    said = json.dumps(mutate_plain(rng, features)) if rng.random() < 0.7 else rng.choice(("{", "[" * 5000, "\xff", "3"))
    if rng.random() < 0.6:
        table = table.replace_schema_metadata({"huggingface": said.encode("utf-8", "surrogatepass")})
    if rng.random() < 0.1:
        table = table.slice(0, 0)
    stream = io.BytesIO()
    suffix = rng.choice((".parquet", ".parquet", ".arrow"))
    try:
        if suffix == ".parquet":
            pq.write_table(table, stream)
        else:
            feather.write_feather(table, stream, compression="uncompressed")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pq.write_table(pa.table({"image": images, "label": labels}), stream)
    data = stream.getvalue()
    if rng.random() < 0.4:
        data = mutate_bytes(rng, data)
        if rng.random() < 0.5:  # the footer is at the end
            at = len(data) - rng.randrange(1, min(400, len(data)) + 1) if data else 0
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    file = root / f"{rng.choice(('train', 'data', 'test-00000-of-00002'))}{suffix}"
    file.write_bytes(data)
    if rng.random() < 0.2:
        (root / "dataset_info.json").write_bytes(mutate_bytes(rng, said.encode("utf-8", "surrogatepass")))
        (root / "state.json").write_bytes(mutate_bytes(rng, b'{"_data_files": [{"filename": "data.arrow"}]}'))
    if rng.random() < 0.2:
        return root, file
    return (root, None) if rng.random() < 0.5 else (file, None)


def folders(rng: random.Random, root: Path) -> tuple[Path, Path | None]:
    """Folders per class with names, links, pipes and depths that nobody expects."""
    for label in (*LABELS, *rng.sample(NAMES, 4)):
        with contextlib.suppress(OSError, ValueError):
            place = root / label
            if not place.resolve().is_relative_to(root.resolve()):
                continue
            place.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(IMAGES[:2]):
                (place / f"{number}.png").write_bytes(mutate_bytes(rng, data) if rng.random() < 0.2 else data)
            kind = rng.randrange(8)
            if kind == 0:
                (place / "loop").symlink_to(root)
            elif kind == 1:
                os.mkfifo(place / "pipe.png")
            elif kind == 2:
                (place / "folder.png").mkdir()
            elif kind == 3:
                (place / "gone.png").symlink_to("nowhere.png")
            elif kind == 4:
                Path(os.fsdecode(os.fsencode(place) + b"/\xff\xfe.png")).write_bytes(IMAGES[0])
            elif kind == 5:
                deep = place
                for _ in range(60):
                    deep = deep / rng.choice(string.ascii_letters)
                deep.mkdir(parents=True)
                (deep / "x.png").write_bytes(IMAGES[1])
            elif kind == 6:
                (root / "metadata.csv").write_bytes(mutate_text(rng, b"file_name,label\n0.png,cat\n1.png,dog\n"))
            else:
                (place / "huge.png").write_bytes(b"")
    return root, None


KINDS = (text_table, parquet, parquet, folders)


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """A case writes a data set, reads it, and reads its inputs."""
    inside = folder / "inside"

    def case(rng: random.Random) -> str:
        shutil.rmtree(inside, ignore_errors=True)
        root = inside / "data"
        root.mkdir(parents=True)
        data, labels = rng.choice(KINDS)(rng, root)
        options = DatasetOptions(
            split=rng.choice((*(None,) * 9, "train", "x" * 5000)),
            image_column=rng.choice((*(None,) * 9, "image", "path", "\0")),
            label_column=rng.choice((*(None,) * 9, "label", "split")),
        )
        dataset = read_dataset(data, labels, label_names=LABELS, options=options)
        if not dataset.labels.size or not 0 <= dataset.labels.min() <= dataset.labels.max() < len(LABELS):
            raise AssertionError("a data set without rows, or with labels that there are not")
        found = take_inventory(dataset, list(range(len(dataset))), Silent())
        for _, reason in found.unreadable:
            if not PremodelError(reason).args[0].isprintable():
                raise AssertionError(f"not one clear line: {reason!r}")
        return "answered"

    yield case
    shutil.rmtree(inside, ignore_errors=True)


FUZZERS = (
    Fuzzer(
        "dataset",
        "Tables of text, Parquet and Arrow with columns of any type, lying metadata and damaged bytes; folders of "
        "absurd names, links, pipes and depths: read, every input with them",
        lay,
        1000,
        test_count=150,
        requires=("pyarrow",),
    ),
)
