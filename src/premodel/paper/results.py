"""What an experiment gives: comparisons with the paper, tables, figures as plain data, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from premodel.paper.paper import Published

Cell = str | float | int | None
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """One value of ours beside the paper's.

    Attributes
    ----------
    what:
        What is compared.
    ours:
        Our value in `unit`, or words; None if it was not measured.
    ci:
        Its 95 % interval, None where there is none.
    unit:
        "%", "points", "ms", "MB", "times" or "".
    definition:
        What our value is.
    published:
        The paper's value with its definition and place; None if the paper has none.
    explanation:
        What explains the difference.
    """

    what: str
    ours: float | str | None
    unit: str
    definition: str
    published: Published | None = None
    explanation: str = ""
    ci: Interval | None = None


@dataclass(frozen=True)
class DataTable:
    """A table of raw values; units are in the header, and `absent` is what people read in place of None."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    absent: str = "not measured"


@dataclass(frozen=True)
class Series:
    """Values of one colour; `low` and `high` are the bounds of intervals, empty for none."""

    name: str
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class BarFigure:
    """Horizontal bars: for each category one bar of each series."""

    name: str
    label: str
    axis: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Point:
    """One point with the interval of its y value."""

    name: str
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class PointFigure:
    """Points in groups.

    Attributes
    ----------
    joined:
        Draw a line through each group's points, in order.
    mix:
        Draw the random mix: the upper hull of the first group.
    """

    name: str
    label: str
    x_axis: str
    y_axis: str
    groups: tuple[tuple[str, tuple[Point, ...]], ...]
    joined: bool = False
    mix: bool = False


Figure = BarFigure | PointFigure


@dataclass(frozen=True)
class Result:
    """All of one experiment.

    Attributes
    ----------
    id:
        Its name in files and links.
    title:
        Its heading.
    source:
        Figures, tables and sections of the paper it repeats.
    finding:
        What came out, in a sentence.
    samples:
        (SHA-256, caption) of images to show, where they are found.
    """

    id: str
    title: str
    source: str
    finding: str
    comparisons: Sequence[Comparison] = ()
    tables: Sequence[DataTable] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    samples: Sequence[tuple[str, str]] = ()
