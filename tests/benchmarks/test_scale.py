"""The figures of docs/scaling.md, worked out by hand from made-up measurements."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks" / "scale" / "measured.json"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("scale.page")


def run(whole_s: float, start_s: float, driver_cpu_s: float) -> dict[str, float]:
    return {
        "whole_s": whole_s,
        "start_s": start_s,
        "steady_s": whole_s - start_s,
        "driver_cpu_s": driver_cpu_s,
    }


@pytest.fixture
def found() -> dict[str, Any]:
    return {
        "date": "2026-01-01", "seconds": 100, "images": 1000, "candidates": 14, "rounds": 3, "other_cores": 1.5,
        "conditions": {"device": "board", "cores": 2},
        "medians": {
            "here": run(20.0, 0.0, 20.0),
            "one node": run(25.0, 3.0, 1.0),
            "two nodes": run(14.0, 3.0, 1.2),
            "two nodes, images sent": run(15.0, 3.0, 1.5),
        },
        "objects": {"put_mb_per_s": 1000.0, "take_mb_per_s": 500.0, "call_ms": 0.5},
        "stores": {"SQLite": {"500": 20_000.0, "2000": 50_000.0}, "MariaDB": "not installed here"},
        "image_reads": {"image_bytes": 100_000, "images_per_s": 2_000.0},
    }  # fmt: skip


def test_verdicts(page: ModuleType, found: dict[str, Any]) -> None:
    assert page.speedup(found) == pytest.approx(2.0)  # 22 s against 11 s
    assert page.overhead(found) == pytest.approx(0.1)  # 22 s against 20 s
    text = page.render(found)
    assert "against one node: 2.00x; wanted 1.8x: **met**" in text
    assert "Against the pass here: 1.82x" in text
    assert "+10.0 %; wanted less than 10 % from 1,000 images: **not met**" in text
    assert "the same for any number of images: +25.0 %" in text


def test_the_large_run(page: ModuleType, found: dict[str, Any]) -> None:
    text = page.render(found)
    for row in (
        "| inventory: driver reads and hashes every image | 8.3 |",  # a million at 2,000/s: 500 s
        "| driver's processor, images read by the nodes (rows into SQLite included) | 20.0 |",  # 1.2 ms each
        "| rows into SQLite alone, by 2,000 | 5.0 |",  # 15 million at 50,000/s
        "| all images through the driver's network, 1 Gbit/s (computed) | 13.3 |",  # 100 GB at 125 MB/s: 800 s
        "| 20.0 | 1 | 3.3 | 20.0 | the driver |",  # a million times 20 ms on 100 cores: 200 s
        "| 100.0 | 1 | 16.7 | 20.0 | the driver |",
        "| rows into MariaDB | not measured: not installed here |",
    ):
        assert row in text, row
    assert "17 with these small networks (20.0 ms per image), 17 at 20 ms, 83 at 100 ms" in text


@pytest.mark.skipif(not MEASURED.is_file(), reason="scripts/scale has not been run")
def test_the_page_is_that_of_the_measurements(page: ModuleType) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    shown = text.split(page.BEGIN)[1].split(page.END)[0].strip()
    assert shown == page.render(json.loads(MEASURED.read_text()))
