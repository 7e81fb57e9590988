"""The samples of a store: what is known of each, by the digest of its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, update

from premodel.fields import shown
from premodel.store.damage import damaged, whole, whole_column
from premodel.store.rows import fetch_plain, merge
from premodel.store.schema import CALIBRATION, LEFT_OUT, SAMPLES, TRUTHS
from premodel.store.store import Store

NO_LABEL = -1
"""The label of a sample whose truth is a text."""
MAX_LABEL = 2**31 - 1


@dataclass(frozen=True)
class Entry:
    """One distinct sample.

    Attributes
    ----------
    row:
        Its first row in the data set.
    sample:
        SHA-256 of its bytes, hexadecimal.
    label:
        The true label that its first row has.
    bytes:
        Their number.
    truth:
        The truth of its first row, where it is no label; the label is then -1.
    """

    row: int
    sample: str
    label: int
    bytes: int
    truth: str = ""


@dataclass(frozen=True)
class Opening:
    """How opening a sample went.

    Attributes
    ----------
    width, height:
        In pixels; 0 if it could not be opened.
    reason:
        Why it could not be; empty if it was.
    changed:
        The bytes were not those of the sample, so that nothing is known about the sample itself.
    """

    width: int = 0
    height: int = 0
    reason: str = ""
    changed: bool = False


def sample_row(entry: Entry, name: str, opening: Opening | None) -> dict[str, Any]:
    """The sample's row in the store; `opening` is None before anyone tried."""
    return {
        "sample": entry.sample,
        "label": entry.label,
        "name": name,
        "bytes": entry.bytes,
        "status": "new" if opening is None else "unreadable" if opening.reason else "ok",
        "reason": opening.reason if opening else "",
        "width": opening.width if opening else 0,
        "height": opening.height if opening else 0,
    }


def register_samples(store: Store, names: Sequence[str], entries: Sequence[Entry]) -> int:
    """Store the samples that are new, and labels and names that changed.

    Parameters
    ----------
    names:
        Of the rows of the data set.

    Returns
    -------
    Number of samples whose label is not the one stored before.
    """
    query = select(SAMPLES.c.sample, SAMPLES.c.label, SAMPLES.c.name, SAMPLES.c.status)
    with store.reading() as connection:
        rows = fetch_plain(connection, query)
        texts = dict(fetch_plain(connection, select(TRUTHS.c.sample, TRUTHS.c.truth)))
    known = {
        str(sample): (whole(label, "samples", sample, "label", NO_LABEL, MAX_LABEL), str(name))
        for sample, label, name, _ in rows
    }
    set_aside = {str(sample) for sample, _, _, status in rows if status == CALIBRATION}
    new, returned, changed, relabelled = [], [], [], 0
    truths = [
        {"sample": entry.sample, "truth": entry.truth}
        for entry in entries
        if entry.label < 0 and texts.get(entry.sample) != entry.truth
    ]
    for entry in entries:
        name = names[entry.row]
        before = known.get(entry.sample)
        if before is None:
            new.append(sample_row(entry, name, None))
        elif entry.sample in set_aside:  # of another zoo, or of an earlier manifest of this one
            returned.append(sample_row(entry, name, None))
            relabelled += before[0] != entry.label
        elif before != (entry.label, name):
            changed.append({"sample": entry.sample, "label": entry.label, "name": name})
            relabelled += before[0] != entry.label
    relabelled += sum(row["sample"] in texts for row in truths)

    def work(connection: Connection) -> None:
        merge(connection, SAMPLES, [*new, *returned])
        merge(connection, TRUTHS, truths)
        for row in changed:
            change = update(SAMPLES).where(SAMPLES.c.sample == row["sample"])
            connection.execute(change.values(label=row["label"], name=row["name"]))

    if new or returned or changed or truths:
        store.write(work)
    return relabelled


def set_aside(store: Store, names: Sequence[str], entries: Sequence[Entry]) -> None:
    """Mark samples as those that models were calibrated on; their answers are kept and not read.

    Parameters
    ----------
    names:
        Of the rows of the data set.
    """
    rows = [{**sample_row(entry, names[entry.row], None), "status": CALIBRATION} for entry in entries]
    if rows:
        store.write(lambda connection: merge(connection, SAMPLES, rows))


def sample_names(store: Store) -> dict[str, str]:
    """Where each sample was last seen."""
    with store.reading() as connection:
        return {str(sample): str(name) for sample, name in connection.execute(select(SAMPLES.c.sample, SAMPLES.c.name))}


def read_samples(connection: Connection, n_labels: int) -> tuple[list[str], NDArray[np.int32]]:
    """Samples that are readable as far as is known, in the order of their digests, and their labels.

    Raises
    ------
    StoreError
        A label is none of the `n_labels`, or not -1 where there are none, or the status is unknown.
    """
    c = SAMPLES.c
    query = select(c.sample, c.label, c.status).where(*(c.status != status for status in LEFT_OUT)).order_by(c.sample)
    rows = fetch_plain(connection, query)
    samples, labels, states = zip(*rows, strict=True) if rows else ((), (), ())
    if set(states) - {"ok", "new"}:
        at = next(index for index, status in enumerate(states) if status not in ("ok", "new"))
        raise damaged("samples", samples[at], f"status is {shown(states[at])}", "new, ok, unreadable, calibration")
    truth = whole_column(labels, "samples", samples, "label", 0 if n_labels else NO_LABEL, n_labels - 1)
    return [str(sample) for sample in samples], truth.astype(np.int32)
