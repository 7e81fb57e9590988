"""`premodel label`: what to label of a record store, and the truths of its records."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from premodel.cli.common import add_seed
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, OptionError, StoreError
from premodel.files import encoding_of, read_regular, write_whole, wrong_byte
from premodel.profiling.datasets.labels import LabelList
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Counts, Record

EXAMPLE = """examples:
  premodel label records.db                          # what it holds
  premodel label records.db --next 50 --out to-label # 50 inputs as files, and labels.csv to be filled in
  premodel label records.db to-label/labels.csv      # add the truths

The list has a column of records (their numbers) and one of labels, by name or by number; rows without a label are
passed over. What is listed by --next is drawn at random, and the chance is kept, so that an update can weight what was
labelled. The same command lists what was drawn before and has no label yet, first.
"""
COLUMNS = ("record", "path", "answer", "label")
MAX_LIST_BYTES = 256 << 20
STARTS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"GIF8": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("store", metavar="STORE", help="what premodel serve --record made")
    parser.add_argument("labels", metavar="LABELS.csv", nargs="?", type=Path, help="truths to be added")
    parser.add_argument("--next", type=int, metavar="N", help="draw N records to be labelled; with --out")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where their inputs and labels.csv are written")
    add_seed(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Do what is asked, and state what the store holds then."""
    if (args.next is None) != (args.out is None) or (args.next is not None and args.labels is not None):
        raise OptionError("--next N and --out FOLDER go together, and without a list of labels")
    if args.next is not None and args.next < 1:
        raise OptionError("wrong number of records", given=args.next, allowed="1 or more")
    done: dict[str, Any] = {}
    with RecordStore(args.store) as store:
        if args.next is not None:
            done = _write_next(store, args.next, args.out, args.seed)
        elif args.labels is not None:
            truths = read_truths(args.labels, store)
            done = {"labelled": len(truths), "changed": store.label(truths)}
        counts = store.counts()
    if args.json:
        print(json.dumps({"store": str(args.store), **done, "counts": asdict(counts)}))
        return 0
    if "listed" in done:
        print(f"{done['listed']} records written to {args.out}; fill in the column label of {done['list']}")
    elif done:
        changed = f", {done['changed']} of them changed" if done["changed"] else ""
        print(f"{done['labelled']} records labelled{changed}")
    print("\n".join(_lines(counts)))
    return 0


def read_truths(path: Path, store: RecordStore) -> dict[int, int | str]:
    """Truths by record, of a list with columns `record` and `label`; rows without a label are left out.

    Raises
    ------
    DatasetError
        It cannot be read, lacks a column, has no label, names a record twice with two labels, or no label of the store.
    """
    rows = [row for row in _rows(path) if row["label"]]
    if not rows:
        raise DatasetError("no row has a label", where=path, do="fill in the column label")
    numbers = []
    for row in rows:
        text = row["record"]
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise DatasetError("record must be a number", where=f"{path}, line {row['line']}", given=repr(text[:40]))
        numbers.append(int(text))
    stated = [row["label"] for row in rows]
    names = store.labels
    truths: list[int | str] = list(stated)
    if names:
        found = LabelList(names).resolve(stated, lambda index: f"{path}, line {rows[index]['line']}")
        truths = [int(one) for one in found]
    by_record: dict[int, int | str] = {}
    for row, number, truth in zip(rows, numbers, truths, strict=True):
        if by_record.setdefault(number, truth) != truth:
            raise DatasetError("a record has two labels", where=f"{path}, line {row['line']}", given=number)
    return by_record


def _rows(path: Path) -> list[Mapping[str, str]]:
    try:
        raw = read_regular(path, MAX_LIST_BYTES)
    except OSError as error:
        raise DatasetError(f"list of labels cannot be read ({error.strerror})", where=path) from error
    try:
        text = raw.decode(encoding_of(raw))
    except UnicodeDecodeError as error:
        raise DatasetError("list of labels must be UTF-8", where=path, given=wrong_byte(error)) from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    names = {name.strip().lower(): name for name in reader.fieldnames or () if name}
    missing = [name for name in ("record", "label") if name not in names]
    if missing:
        raise DatasetError(
            f"list of labels must have a column {missing[0]}", where=path, given=", ".join(map(str, names))[:200],
            do="write one with: premodel label STORE --next 50 --out FOLDER",
        )  # fmt: skip
    try:
        return [
            {name: str(row[names[name]] or "").strip() for name in ("record", "label")} | {"line": str(reader.line_num)}
            for row in reader
        ]
    except csv.Error as error:
        raise DatasetError(f"list of labels cannot be read ({error})", where=path) from error


def _write_next(store: RecordStore, count: int, out: Path, seed: int) -> dict[str, Any]:
    """Draw records and write their inputs and the list beside them."""
    numbers = store.draw(count, seed)
    if not numbers:
        raise StoreError(
            "no record is left to be labelled", where=store.path, do="record more: premodel serve --record"
        )
    task = store.about().get("task", "")
    names, written = store.labels, []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for record in store.records(numbers=numbers):
            name = f"{record.record:08}{_suffix(record, task)}"
            write_whole(out / name, record.data, durable=False)
            written.append((record.record, name, _answer(record, names), ""))
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\n").writerows([COLUMNS, *written])
        write_whole(out / "labels.csv", table.getvalue().encode())
    except OSError as error:
        raise OptionError(f"records cannot be written ({error.strerror})", where=out) from error
    return {"listed": len(written), "list": str(out / "labels.csv")}


def _suffix(record: Record, task: str) -> str:
    if task and not domain_of(task).takes_pixels:
        return ".txt"
    data = record.data
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in STARTS.items() if data.startswith(start)), ".image")


def _answer(record: Record, names: tuple[str, ...]) -> str:
    """What was answered, for the eye."""
    label, outcome = record.answer.get("label"), record.answer.get("outcome")
    if isinstance(label, int) and 0 <= label < len(names):
        return names[label]
    return str(outcome or "")


def _lines(counts: Counts) -> list[str]:
    lines = [
        f"{counts.records} records, {counts.labelled} of them labelled, {counts.drawn} drawn and not labelled yet; "
        f"{counts.disk_bytes / 1e6:.1f} MB"
    ]
    if counts.oldest is not None and counts.newest is not None:
        lines.append(f"from {_utc(counts.oldest)} to {_utc(counts.newest)}")
    if counts.compared:
        lines.append(f"shadow comparisons: {counts.compared}, {counts.agreed} with the same answer")
    return lines


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
