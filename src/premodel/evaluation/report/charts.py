"""The charts of the report, drawn by Bokeh and embedded as JSON. Each is shown in the page as a table as well."""

from __future__ import annotations

import importlib
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from premodel.errors import MissingExtraError
from premodel.evaluation.report.classes import ClassGain
from premodel.evaluation.report.colours import (
    ABSTAINED,
    BASELINE,
    FUSED,
    GAIN,
    GRID,
    LOSS,
    SINGLE,
    TEXT,
    candidate_colour,
)
from premodel.evaluation.report.text import short_label
from premodel.evaluation.report.timings import Spread
from premodel.evaluation.rows import Row
from premodel.verdict import interval, points

WIDE_RANGE = 4.0
"""Latencies are drawn on a logarithmic axis when they are further apart than this factor."""
NARROW_RANGE = 20.0
"""Below this factor there is room for more ticks in a decade."""
SHOWN_CLASSES = 12
ROW_PIXELS = 34
LONGEST_NAME = 48
NAME_WIDTH = 20
"""Characters of a line of a name."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes
    ----------
    id:
        Of its place in the page.
    item:
        What Bokeh's `embed_item` takes.
    groups:
        (name of the glyphs, title, colour) of what can be shown and hidden.
    """

    id: str
    item: Mapping[str, Any]
    groups: tuple[tuple[str, str, str], ...] = ()


def bokeh(module: str) -> Any:
    """A module of Bokeh, loaded when first needed.

    Raises
    ------
    MissingExtraError
        Bokeh is not installed.
    """
    try:
        return importlib.import_module(f"bokeh.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "bokeh":
            raise
        raise MissingExtraError("bokeh", "report") from error


def shares(rows: Sequence[Row], candidates: Sequence[str]) -> Chart:
    """Who answered: one bar per method, one part per candidate."""
    shown = [row for row in rows if row.served and (row.kind == "premodel" or row.policy == "oracle")]
    parts = [*candidates, *(name for name in ("fused", "abstained") if any(name in row.served for row in shown))]
    colours = [*map(candidate_colour, range(len(candidates))), FUSED, ABSTAINED]
    colour_of = dict(zip([*candidates, "fused", "abstained"], colours, strict=True))
    names = unique([wrapped(row.name) for row in shown])
    figure = new_figure(90 + 2 * ROW_PIXELS * len(shown), y_range=list(reversed(names)), x_axis_label="answers, %")
    left = np.zeros(len(shown))
    groups = []
    for index, part in enumerate(parts):
        width = 100 * np.array([row.served.get(part, 0.0) for row in shown])
        data = {
            "y": names,
            "left": left,
            "right": left + width,
            "part": [part] * len(shown),
            "share": [f"{value:.1f} %" for value in width],
        }
        source = bokeh("models").ColumnDataSource(data)
        name, colour = f"part-{index}", colour_of[part]
        figure.hbar(
            y="y", left="left", right="right", height=0.62, color=colour, line_width=0, source=source, name=name
        )
        groups.append((name, part, colour))
        left = left + width
    add_hover(figure, None, [("answered by", "@part"), ("of all samples", "@share")])
    figure.x_range.start, figure.x_range.end = 0, 100
    figure.ygrid.visible = False
    return finished("shares", figure, tuple(groups))


def classes(gains: Sequence[ClassGain]) -> Chart:
    """Points won and lost per class, the worst first; of many classes those at both ends."""
    few = len(gains) <= 2 * SHOWN_CLASSES
    shown = list(gains) if few else [*gains[:SHOWN_CLASSES], *gains[-SHOWN_CLASSES:]]
    names = unique([wrapped(f"{short_label(one.name)} ({one.samples})") for one in shown])
    figure = new_figure(
        90 + ROW_PIXELS * len(shown), y_range=list(reversed(names)), x_axis_label="accuracy difference, points"
    )
    data = {
        "y": names,
        "name": [one.name for one in shown],
        "points": [one.points for one in shown],
        "low": [one.ci[0] if one.ci else one.points for one in shown],
        "high": [one.ci[1] if one.ci else one.points for one in shown],
        "colour": [GAIN if one.points > 0 else LOSS if one.points < 0 else BASELINE for one in shown],
        "said": [f"{points(one.points)} {interval(one.ci) if one.ci else ''}" for one in shown],
        "samples": [one.samples for one in shown],
    }
    source = bokeh("models").ColumnDataSource(data)
    bars = figure.hbar(y="y", left=0, right="points", height=0.55, color="colour", line_width=0, source=source)
    figure.segment("low", "y", "high", "y", color=TEXT, line_width=1.5, source=source)
    figure.scatter("points", "y", size=6, color="colour", line_color=TEXT, source=source)
    add_hover(figure, [bars], [("class", "@name"), ("points", "@said"), ("samples", "@samples")])
    figure.ygrid.visible = False
    return finished("classes", figure)


def timings(spreads: Sequence[Spread]) -> Chart:
    """How much single runs differ: median, middle half, and the range from the 1st to the 99th percentile."""
    names = unique([wrapped(one.name) for one in spreads])
    low, high = min(one.low_ms for one in spreads), max(one.p99_ms for one in spreads)
    log = high > WIDE_RANGE * low
    figure = new_figure(
        90 + ROW_PIXELS * len(spreads),
        y_range=list(reversed(names)),
        x_axis_type="log" if log else "linear",
        x_axis_label="preprocess + run, ms",
    )
    if log:
        log_ticks(figure, low, high)
    data = {
        "y": names,
        "name": [one.name for one in spreads],
        "low": [one.low_ms for one in spreads],
        "q1": [one.q1_ms for one in spreads],
        "median": [one.median_ms for one in spreads],
        "q3": [one.q3_ms for one in spreads],
        "p99": [one.p99_ms for one in spreads],
        "colour": [SINGLE if one.valid else LOSS for one in spreads],
        "verdict": ["VALID" if one.valid else f"INVALID: {one.reason}" for one in spreads],
        "runs": [one.runs for one in spreads],
    }
    source = bokeh("models").ColumnDataSource(data)
    figure.segment("low", "y", "p99", "y", color="colour", line_width=2, source=source)
    boxes = figure.hbar(y="y", left="q1", right="q3", height=0.5, color="colour", source=source)
    figure.scatter("median", "y", size=9, color="white", line_color=TEXT, line_width=1.5, source=source)
    tips = [
        ("candidate", "@name"),
        ("median", "@median{0.000} ms"),
        ("99th percentile", "@p99{0.000} ms"),
        ("runs", "@runs"),
        ("record", "@verdict"),
    ]
    add_hover(figure, [boxes], tips)
    figure.ygrid.visible = False
    return finished("timings", figure)


def new_figure(height: int, *, tools: str = "reset,save", **options: Any) -> Any:
    """A figure without ground of its own, so that it lies on the page's; text and grid in colours of the page."""
    figure = bokeh("plotting").figure(
        height=height,
        sizing_mode="stretch_width",
        tools=tools,
        toolbar_location="above",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=GRID,
        min_border_right=16,
        **options,
    )
    figure.toolbar.logo = None
    for axis in figure.axis:
        axis.axis_label_text_color = axis.major_label_text_color = TEXT
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = BASELINE
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
    for grid in figure.grid:
        grid.grid_line_color = GRID
    return figure


def finished(id_: str, figure: Any, groups: tuple[tuple[str, str, str], ...] = ()) -> Chart:
    """The figure as a chart of the page."""
    return Chart(id_, bokeh("embed").json_item(figure), groups)


def add_hover(figure: Any, renderers: list[Any] | None, tips: list[tuple[str, str]]) -> None:
    """Show these (title, field) pairs where the pointer is; `renderers` None for all."""
    options = {} if renderers is None else {"renderers": renderers}
    figure.add_tools(bokeh("models").HoverTool(tooltips=tips, **options))


def log_ticks(figure: Any, low: float, high: float) -> None:
    """Ticks at round numbers: Bokeh's own leave most of an axis of one decade without any."""
    steps = (1, 2, 5) if high > NARROW_RANGE * low else (1, 1.5, 2, 3, 4, 5, 7)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    figure.xaxis.ticker = bokeh("models").FixedTicker(
        ticks=[float(f"{step}e{decade}") for decade in decades for step in steps],
        minor_ticks=[float(f"{step}e{decade}") for decade in decades for step in range(1, 10)],
    )
    figure.xgrid.ticker = figure.xaxis[0].ticker
    figure.xaxis.formatter = bokeh("models").PrintfTickFormatter(format="%g")


def wrapped(name: str) -> str:
    """A name over several lines, for a narrow axis; broken at spaces and underscores."""
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    lines = textwrap.wrap(short.replace("_", "_ "), NAME_WIDTH) or [""]
    return "\n".join(line.replace("_ ", "_") for line in lines)


def unique(names: Sequence[str]) -> list[str]:
    """An axis cannot hold a name twice, and a list of labels may: the later ones are numbered."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
