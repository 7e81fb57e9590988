"""Where the names of points go on a chart, so that they do not lie on one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WIDTH, HEIGHT = 1000.0, 330.0
"""Assumed inner size of the chart, pixels; the page places names anew for the size that the chart really has."""
CHARACTER, LINE, GAP = 6.6, 14.0, 9.0
"""Pixels."""
Align = Literal["left", "right", "center"]


@dataclass(frozen=True)
class Place:
    """Where a name is drawn relative to its point: alignment and offsets in pixels; nowhere if not `shown`."""

    align: Align
    x_offset: float
    y_offset: float
    shown: bool = True


Box = tuple[float, float, float, float]
_TRIES: tuple[tuple[Align, float], ...] = (
    ("right", -11.0),
    ("left", -11.0),
    ("left", 13.0),
    ("right", 13.0),
    ("center", -34.0),
    ("center", 34.0),
    ("right", -26.0),
    ("left", -26.0),
    ("left", 28.0),
    ("right", 28.0),
)


def place_labels(points: Sequence[tuple[float, float, str]], taken: list[Box], *, drop: bool) -> list[Place]:
    """Place names one after the other, each where it touches nothing in `taken`, which grows.

    Parameters
    ----------
    points:
        (x, y, name), with x and y in [0, 1] over the ranges of the chart, y upwards.
    taken:
        Boxes (left, top, right, bottom) in pixels that are occupied.
    drop:
        Leave out a name for which there is no room, instead of drawing it over something.
    """
    places = []
    for x, y, name in points:
        left, top, width = x * WIDTH, (1 - y) * HEIGHT, CHARACTER * len(name)
        found = Place("right", -GAP, _TRIES[0][1], shown=not drop)
        for align, down in _TRIES:
            aside = {"left": GAP, "right": -GAP, "center": 0.0}[align]
            start = left + aside - {"left": 0.0, "right": width, "center": width / 2}[align]
            box = (start, top + down - LINE / 2, start + width, top + down + LINE / 2)
            inside = box[0] >= -20 and box[2] <= WIDTH + 10 and box[1] >= 0
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found = Place(align, aside, down)
                break
        places.append(found)
    return places


def point_box(x: float, y: float) -> Box:
    """The box that a point itself occupies."""
    left, top = x * WIDTH, (1 - y) * HEIGHT
    return left - 5, top - 7, left + 5, top + 7


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
