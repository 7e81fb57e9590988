"""Seeded damage to bytes, text and plain data: what hostile files are made of."""

from __future__ import annotations

import copy
import random
import struct
from typing import Any

NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80", struct.pack("<f", float("nan")))
WORDS = (
    "nan", "inf", "-inf", "-1", "0", "1e999", "9" * 5000, "0x" + "f" * 300, "''", '"""', "null", "true", "[]", "{}",
    "../../../../escaped", "/dev/zero", "/dev/null", "/", "~/escaped", "C:\\escaped", "a\\u0000b", "\ud7ff\U0001f642",
    "[" * 3000, '{"a":' * 3000, "a." * 3000 + "a=1", "1979-05-27T07:32:00Z", "file:///etc/passwd", "%s%n", "=",
    "\n[[models]]\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 70, 1e308, -0.0, "", "nan", "../../escaped", "/dev/zero", "a\0b", "\ud800", "x" * 100_000,
    [], {}, [[]], [None], {"": {}}, float("nan"), float("inf"), [0] * 1000, 10**400,
)  # fmt: skip


def mutate_bytes(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """One to four changes: bytes flipped, cut, doubled, inserted, overwritten, or taken from `other`."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        # Headers matter most, so half of all changes lie in the first hundred bytes.
        at = rng.randrange(len(out) if rng.random() < 0.5 else min(len(out), 100))
        length = min(rng.choice((1, 2, 4, 16, 256)), len(out) - at)
        kind = rng.randrange(7)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + length] * rng.choice((1, 2, 50))
        elif kind == 4:
            out[at : at + 4] = rng.choice(NUMBERS)
        elif kind == 5:
            del out[at:]
        else:
            start = rng.randrange(len(other)) if other else 0
            out[at : at + length] = other[start : start + length]
    return bytes(out)


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """A value, a word or a line replaced, doubled or taken out; sometimes bytes, too."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data)
    lines = data.decode().split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0 and "=" in lines[at]:
            lines[at] = lines[at].split("=")[0] + "= " + quoted(rng, rng.choice(WORDS))
        elif kind == 1:
            parts = lines[at].split(" ")
            parts[rng.randrange(len(parts))] = rng.choice(WORDS)
            lines[at] = " ".join(parts)
        elif kind == 2:
            lines.insert(at, rng.choice((lines[at], rng.choice(WORDS))))
        elif len(lines) > 1:
            del lines[at]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def quoted(rng: random.Random, word: str) -> str:
    """As text half of the time."""
    return f'"{word}"' if rng.random() < 0.5 else word


def mutate_plain(rng: random.Random, data: Any) -> Any:
    """One to three spots of nested tables and lists replaced, removed, or copied from elsewhere."""
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, 3)):
        spots = list(_spots(data))
        if not spots:
            return data
        holder, key = rng.choice(spots)
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            source, name = rng.choice(spots)
            holder[key] = copy.deepcopy(source[name])
        elif kind == 2 and isinstance(holder, dict):
            holder[rng.choice(WORDS)] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice((-holder[key], holder[key] * 10**6, holder[key] + 1, 1e-320))
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return data


def _spots(data: Any) -> Any:
    if isinstance(data, dict):
        for key, value in list(data.items()):
            yield data, key
            yield from _spots(value)
    elif isinstance(data, list):
        for key, value in enumerate(data[:50]):
            yield data, key
            yield from _spots(value)
