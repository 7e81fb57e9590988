"""Bundles with wrong contents under a right seal: numbers, arrays, tables and zip records that no training writes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import random
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles import Made, make_bundle
from faults.fuzzers.base import Case, Fuzzer
from faults.mutations import VALUES, mutate_plain
from policy_makers import MAKERS
from premodel.arrays import pack_arrays, unpack_arrays
from premodel.container import DIGITS, SEAL, open_sealed, write_members
from premodel.errors import OptionError, RunError
from premodel.records import CRITERIA
from premodel.runtime.answer import Answer
from premodel.runtime.bundle import ARRAYS, HEADER, read_bundle, write_bundle
from premodel.runtime.engine import Premodel

BUDGETS_MS = (None, 3.0, 1e9)
WEIGHTS = (None, 0.0, 1e6)
EXTREMES: tuple[Any, ...] = (
    -5, 99, 0, 1, 2, -1, 1e38, -1e38, 3.4e38, 1e308, 5e-324, 2**31, 2**63, 2**64, 500_000_000, 1e-40, 0.5, 1.5, True,
)  # fmt: skip
ELEMENTS = (
    0.0,
    -1.0,
    1.0,
    1e-45,
    1e18,
    3e38,
    -3e38,
    1e154,
    -1e300,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
    255,
    2**31 - 1,
)
KINDS = ("<f4", "<f8", "<i1", "<i4", "<i8", "<u8", "|b1", "<f2", "<U3")
PARTS = ("header", "number", "element", "array", "zip", "labels", "candidates")


@dataclass(frozen=True)
class _Whole:
    made: Made
    members: dict[str, bytes]


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """One whole bundle of each kind of policy, one of them with its models inside."""
    (folder / "inside").mkdir()
    wholes = []
    for index, maker in enumerate(MAKERS.values()):
        made = make_bundle(folder / f"made{index}", maker, embed=index == 1)
        with open_sealed(made.path) as container:
            wholes.append(_Whole(made, {name: container.read(name) for name in container.sizes}))
    path, again = folder / "inside" / "resealed.premodel", folder / "inside" / "again.premodel"

    def case(rng: random.Random) -> str:
        whole = rng.choice(wholes)
        path.write_bytes(resealed(damaged(whole.members, rng)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a number beyond its type is seen on opening, not on the way
            return _try(path, again, whole.made, rng)

    yield case


def _try(path: Path, again: Path, made: Made, rng: random.Random) -> str:
    """Open it and ask it; where it answers, it is a bundle like any other, and one written anew answers the same."""
    bundle = read_bundle(path)
    zoo = made.small.zoo.parent
    images = rng.sample(made.small.images, 3)
    options = {"max_latency_ms": rng.choice(BUDGETS_MS), "cost_weight": rng.choice(WEIGHTS)}
    with Premodel(path, zoo=zoo) as premodel:
        try:
            answers = [premodel.predict(image, **options) for image in images]
        except (OptionError, RunError):
            return "refused"
        for answer in answers:
            check(answer, len(bundle.label_names), premodel.candidates)
        assert list(map(reported, premodel.predict_batch(images, **options))) == list(map(reported, answers))
    if bundle.embedded:  # its models may be nowhere else
        return "answered"
    write_bundle(again, replace(bundle, embedded=frozenset()), folder=zoo)
    with Premodel(again, zoo=zoo) as premodel:
        assert [reported(premodel.predict(image, **options)) for image in images] == list(map(reported, answers))
    return "answered"


def check(answer: Answer, n_labels: int, candidates: tuple[str, ...]) -> None:
    """An answer that can be one."""
    if answer.abstained:
        return
    assert answer.label is not None
    assert 0 <= answer.label < n_labels
    assert answer.probability is not None
    assert 0 <= answer.probability <= 1
    assert math.isnan(answer.confidence) or 0 <= answer.confidence <= 1, f"confidence {answer.confidence}"
    assert set(answer.ran) <= set(candidates)


def reported(answer: Answer) -> tuple[Any, ...]:
    """The decision of an answer."""
    return answer.label, answer.candidate, answer.ran, answer.probability, str(answer.confidence)


def damaged(members: dict[str, bytes], rng: random.Random) -> bytes:
    """The bytes of a zip of these members, something in it wrong; what is signed comes at the end."""
    members = dict(members)
    part = rng.choice(PARTS)
    if part in ("element", "array"):
        arrays = unpack_arrays(members[ARRAYS], "arrays")
        if arrays:
            name = rng.choice(sorted(arrays))
            change = change_element if part == "element" else change_array
            arrays[name] = change(arrays[name], rng)
            if rng.random() < 0.1:
                del arrays[rng.choice(sorted(arrays))]
            members[ARRAYS] = pack_arrays(arrays)
        else:
            part = "number"
    if part in ("header", "number", "labels", "candidates"):
        header = json.loads(members[HEADER])
        for _ in range(rng.randint(1, 2)):
            change_header(header, part, rng)
        members[HEADER] = json.dumps(header).encode("utf-8", "replace")
    stream = io.BytesIO()
    write_members(stream, members, comment=SEAL + b"0" * DIGITS)
    data = stream.getvalue()
    return change_zip(data, rng) if part == "zip" else data


def resealed(data: bytes) -> bytes:
    """With the digest of what is there."""
    return data[:-DIGITS] + hashlib.sha256(data[:-DIGITS]).hexdigest().encode()


def change_header(header: dict[str, Any], part: str, rng: random.Random) -> None:
    """Something in the table of settings, or one number anywhere."""
    if part == "labels":
        labels = header["labels"] or ["one"]
        header["labels"] = rng.choice((labels[:-1], labels * 2, [], labels[:1], [*labels, ""]))
        if rng.random() < 0.5:
            for candidate in header["candidates"]:
                candidate["labels"] = len(header["labels"])
        return
    if part == "candidates":
        candidate = rng.choice(header["candidates"])
        name = rng.choice(sorted(candidate))
        if rng.random() < 0.5:
            candidate.pop(name)
        else:
            candidate[name] = rng.choice((*VALUES, *EXTREMES))
        return
    if part == "number":
        spots = list(numbers(header["policy"] if rng.random() < 0.7 else header))
        if spots:
            holder, key = rng.choice(spots)
            holder[key] = rng.choice(EXTREMES)
        return
    for name in rng.sample(sorted(header), 2):
        if rng.random() < 0.5:
            header[name] = mutate_plain(rng, {"x": header[name]}).get("x")
    header["policy"] = mutate_plain(rng, {"x": header["policy"]}).get("x", header["policy"])
    if rng.random() < 0.1:
        header["criterion"] = rng.choice(CRITERIA)


def numbers(data: Any) -> Iterator[tuple[Any, Any]]:
    """Where numbers are in nested tables and lists: (holder, key)."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if isinstance(value, int | float):
            yield data, key
        else:
            yield from numbers(value)


def change_element(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    """One number, one row or all of them; as far as the type holds them."""
    changed = array.copy()
    flat = changed.reshape(-1)
    if not flat.size or changed.dtype.kind not in "biuf":
        return changed
    share = rng.choice((1, 1, max(1, flat.size // 4), flat.size))
    value = rng.choice(ELEMENTS)
    with np.errstate(all="ignore"):
        if changed.dtype.kind in "iub":
            if not math.isfinite(value):
                return changed.astype("<f8")
            limits = (0, 1) if changed.dtype.kind == "b" else (np.iinfo(changed.dtype).min, np.iinfo(changed.dtype).max)
            value = int(min(max(value, limits[0]), limits[1]))
        start = rng.randrange(flat.size - share + 1)
        flat[start : start + share] = np.asarray(value).astype(changed.dtype)
    return changed


def change_array(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    """Another type or another shape."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = rng.randrange(5)
        if kind == 0:
            return array.astype(rng.choice(KINDS))
        if kind == 1 and array.ndim:
            axis = rng.randrange(array.ndim)
            return np.delete(array, slice(rng.randrange(array.shape[axis] + 1), None), axis)
        if kind == 2 and array.ndim:
            return np.concatenate([array, array], rng.randrange(array.ndim))
        if kind == 3:
            return array.reshape(-1)
        return array[None] if rng.random() < 0.5 else array.T


def change_zip(data: bytes, rng: random.Random) -> bytes:
    """The zip's own records: its directory and its end, also in the form for large files, which names other places."""
    out = bytearray(data)
    end = len(out) - len(SEAL) - DIGITS - 22
    (count, size, start) = struct.unpack_from("<HII", out, end + 10)
    far = rng.choice((0, 1, start, len(out), 2**31, 2**32 - 2, 2**40, 2**63 - 1, 2**64 - 1))
    kind = rng.randrange(4)
    if kind == 0:  # one field of the end
        struct.pack_into(rng.choice(("<H", "<I")), out, end + rng.choice((4, 6, 8, 10, 12, 16)), far & 0xFFFF)
    elif kind == 1:  # one field of an entry of the directory
        entries = [place for place in range(start, end) if out[place : place + 4] == b"PK\1\2"]
        at = rng.choice(entries) + rng.choice((6, 8, 10, 16, 20, 24, 28, 30, 32, 34, 38, 42))
        out[at : at + 4] = struct.pack("<I", far & 0xFFFFFFFF)
    elif kind == 2:  # a header of a member
        at = rng.choice((0, 4, 6, 8, 14, 18, 22, 26, 28))
        out[at : at + 4] = struct.pack("<I", far & 0xFFFFFFFF)
    else:  # the records for large files, before the end
        entries64 = rng.choice((count, far))
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries64 % 2**64, count, size, far)
        if rng.random() < 0.5:
            record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, far, start)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, rng.choice((end, far)) % 2**64, 1)
        out[end:end] = record + locator
        tail = end + len(record) + len(locator)
        struct.pack_into("<HHII", out, tail + 8, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    return bytes(out)


FUZZERS = (
    Fuzzer(
        "resealed bundle",
        "a number, an array, a table or a record of the zip is wrong, and the seal right again; opened and asked, "
        "alone and in a batch, and where it answers written anew and asked again: no warning, the same decisions",
        lay,
        10_000,
        test_count=300,
        peak_mb=500,
        wall_s=20.0,
        refused_share=0.4,
        requires=("sklearn",),
    ),
)
