"""A small picture of accuracy against latency, in plain characters, for a terminal."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 10
MIN_WIDTH, MAX_WIDTH = 40, 100
PREMODELS = "*+#%"
NAMES = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Point:
    """One way of answering: its name, mean latency in ms, accuracy as a share, and is it a premodel."""

    name: str
    latency_ms: float
    accuracy: float
    premodel: bool = False


def terminal_picture(points: Sequence[Point]) -> list[str]:
    """The picture as wide as the terminal, with an empty line before it; nothing where stdout is no terminal."""
    if not sys.stdout.isatty():
        return []
    lines = draw(points, shutil.get_terminal_size().columns)
    return ["", *lines] if lines else []


def draw(points: Sequence[Point], width: int) -> list[str]:
    """Accuracy upward, latency to the right on a logarithmic scale, each point a letter, then what the letters mean.

    Nothing for fewer than two points that have a latency, or for a width below MIN_WIDTH. Where two points fall on one
    place the premodel is drawn, else the first.
    """
    shown = [one for one in points if math.isfinite(one.latency_ms) and one.latency_ms > 0]
    if len(shown) < 2 or width < MIN_WIDTH:
        return []
    width = min(width, MAX_WIDTH)
    marks = _marks(shown)
    low, high = min(one.accuracy for one in shown), max(one.accuracy for one in shown)
    first, last = (math.log(pick(one.latency_ms for one in shown)) for pick in (min, max))
    columns = width - len("100.0 % |") - 1
    grid = [[" "] * columns for _ in range(HEIGHT)]
    for one, mark in sorted(zip(shown, marks, strict=True), key=lambda pair: pair[0].premodel):
        x = round((math.log(one.latency_ms) - first) / (last - first) * (columns - 1)) if last > first else 0
        y = round((high - one.accuracy) / (high - low) * (HEIGHT - 1)) if high > low else 0
        if one.premodel or grid[y][x] == " ":
            grid[y][x] = mark
    lines = []
    for row, cells in enumerate(grid):
        label = f"{100 * (high - (high - low) * row / (HEIGHT - 1)):5.1f} %" if row in (0, HEIGHT - 1) else " " * 7
        lines.append(f"{label} |{''.join(cells)}".rstrip())
    left, right = f"{math.exp(first):.3g} ms", f"{math.exp(last):.3g} ms"
    lines.append(" " * 8 + "+" + "-" * columns)
    lines.append(" " * 9 + left + right.rjust(columns - len(left)))
    for one, mark in zip(shown, marks, strict=True):
        lines.append(f"  {mark}  {one.name}: {100 * one.accuracy:.1f} % at {one.latency_ms:.2f} ms"[:width])
    return lines


def _marks(points: Sequence[Point]) -> list[str]:
    premodels = candidates = 0
    marks = []
    for one in points:
        if one.premodel:
            marks.append(PREMODELS[min(premodels, len(PREMODELS) - 1)])
            premodels += 1
        else:
            marks.append(NAMES[candidates] if candidates < len(NAMES) else ".")
            candidates += 1
    return marks
