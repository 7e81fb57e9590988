"""The page of a reproduction: one HTML file that opens from disk, offline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.evaluation.report.charts import Chart
from premodel.evaluation.report.page import fill, script_json, static_parts
from premodel.evaluation.report.text import TextTable, conditions_table
from premodel.paper.charts import draw, drawable
from premodel.paper.reproduce import Reproduction
from premodel.paper.results import Comparison, DataTable, PointFigure, Result
from premodel.version import __version__

MAKER = "premodel reproduce"
PACKAGE = "premodel.paper"
FindImage = Callable[[str], bytes | None]


@dataclass(frozen=True)
class ShownFigure:
    """A figure's place in the page."""

    id: str
    label: str
    zoom: bool


@dataclass(frozen=True)
class ShownTable:
    """A table as text."""

    caption: str
    text: TextTable


@dataclass(frozen=True)
class Section:
    """One experiment in the page."""

    result: Result
    beside: TextTable
    figures: tuple[ShownFigure, ...]
    tables: tuple[ShownTable, ...]
    pictures: tuple[tuple[str, str], ...]


def render(found: Reproduction, title: str, find: FindImage | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    title:
        Its heading.
    find:
        Gives encoded images by SHA-256, for the pictures of the motivation; None for none.

    Raises
    ------
    MissingExtraError
        Bokeh or Jinja is not installed.
    """
    charts: dict[str, Chart] = {}
    sections = [_section(result, charts, find) for result in found.results]
    context: dict[str, Any] = {
        "title": title,
        "maker": MAKER,
        "version": __version__,
        "found": found,
        "outcome": "" if found.comparison is None else found.comparison.outcome.replace(" ", "-"),
        "sections": sections,
        "charts": charts,
        "items": script_json({name: chart.item for name, chart in charts.items()}),
        "conditions": conditions_table(found.conditions),
        **static_parts(),
    }
    return fill("page.html.j2", context, PACKAGE)


def _section(result: Result, charts: dict[str, Chart], find: FindImage | None) -> Section:
    figures = []
    for figure in result.figures:
        if drawable(figure):
            id_ = f"{result.id}-{figure.name}"
            charts[id_] = draw(id_, figure)
            figures.append(ShownFigure(id_, figure.label, isinstance(figure, PointFigure)))
    return Section(
        result,
        TextTable(("what", "here", "", "paper", "whose", "", "why"), tuple(map(_beside, result.comparisons))),
        tuple(figures),
        tuple(ShownTable(table.caption, text_table(table)) for table in result.tables),
        pictures_of(result, find),
    )


def pictures_of(result: Result, find: FindImage | None) -> tuple[tuple[str, str], ...]:
    """Small copies with captions, of those that are found."""
    found = []
    for sample, caption in result.samples:
        data = None if find is None else find(sample)
        uri = None if data is None else domain_of(IMAGE_TASK).preview(data)
        if uri is not None:
            found.append((uri, caption))
    return tuple(found)


def _beside(one: Comparison) -> tuple[str, ...]:
    published = one.published
    theirs = ("no number", "", "")
    if published is not None:
        theirs = (published.text, published.whose, f"{published.definition} ({published.where})")
    return (one.what, value_text(one), one.definition, *theirs, one.explanation)


def value_text(one: Comparison) -> str:
    """Our value with unit and interval, as people read it."""
    if one.ours is None or (isinstance(one.ours, float) and not math.isfinite(one.ours)):
        return "not measured"
    if isinstance(one.ours, str):
        return one.ours
    signed = "+" if one.unit == "points" else ""
    text = f"{one.ours:{signed}{_digits(one.unit, one.ours)}} {one.unit}".strip()
    if one.ci is None:
        return text
    low, high = (f"{bound:{signed}{_digits(one.unit, one.ours)}}" for bound in one.ci)
    return f"{text} [{low}, {high}]"


def _digits(unit: str, value: float) -> str:
    if unit in ("%", "points"):
        return ".1f"
    return ".0f" if unit == "" and float(value).is_integer() else ".2f"


def text_table(table: DataTable) -> TextTable:
    """A table's values as people read them."""
    rows = tuple(
        tuple(
            table.absent if cell is None else _cell(cell, title) for cell, title in zip(row, table.header, strict=True)
        )
        for row in table.rows
    )
    return TextTable(table.header, rows)


def _cell(cell: float | str, title: str) -> str:
    if isinstance(cell, float):
        return f"{cell:.1f}" if title.endswith("%") else f"{cell:.2f}"
    return str(cell)
