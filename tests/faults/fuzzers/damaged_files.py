"""Bundles, manifests, images, labels and requests, damaged as bytes, as text and as plain data."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults.fuzzers.base import Case, Fuzzer
from faults.hostile import KINDS, lay_ground, serve_ground

COUNTS = {"bundle": 3000, "zoo.toml": 1000, "image": 2500, "labels": 500, "request": 1500}


def _lay(kind: str) -> Callable[[Path], contextlib.AbstractContextManager[Case]]:
    @contextlib.contextmanager
    def lay(folder: Path) -> Iterator[Case]:
        ground = lay_ground(folder)
        more: tuple[Any, ...]
        with serve_ground(ground) if kind == "request" else contextlib.nullcontext() as client:
            more = (client,) if client else ()

            def case(rng: random.Random) -> str:
                KINDS[kind](ground, rng, *more)
                return "answered"

            yield case

    return lay


FUZZERS = tuple(
    Fuzzer(
        kind,
        (KINDS[kind].__doc__ or "").split("\n")[0].rstrip("."),
        _lay(kind),
        count,
        test_count=300,
        requires=("starlette", "prometheus_client", "httpx2") if kind == "request" else (),
    )
    for kind, count in COUNTS.items()
)
