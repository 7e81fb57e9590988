"""The charts of the report, drawn by Bokeh and embedded as JSON. Each is shown in the page as a table as well."""

from __future__ import annotations

import importlib
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
    PREMODEL,
    SINGLE,
    TEXT,
    candidate_colour,
)
from premodel.evaluation.report.label_places import Place, place_labels, point_box
from premodel.evaluation.report.reliability import Reliability
from premodel.evaluation.report.text import short_label
from premodel.evaluation.report.timings import Spread
from premodel.evaluation.report.verdict import interval, points
from premodel.evaluation.rows import Row
from premodel.metrics import upper_hull

WIDE_RANGE = 4.0
"""Latencies are drawn on a logarithmic axis when they are further apart than this factor."""
NARROW_RANGE = 20.0
"""Below this factor there is room for more ticks in a decade."""
MIX_POINTS = 40
SHOWN_CLASSES = 12
ROW_PIXELS = 34
LONGEST_NAME = 48
NAME_WIDTH = 20
"""Characters of a line of a name."""
GROUPS = {
    "single": ("Single candidates", SINGLE),
    "mix": ("Random mix", BASELINE),
    "baseline": ("Other baselines", BASELINE),
    "premodel": ("Premodels", PREMODEL),
}


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


def frontier(rows: Sequence[Row]) -> Chart:
    """Accuracy against latency: single candidates, the random-mix line over them, other baselines, premodels."""
    singles = [row for row in rows if row.kind == "single"]
    baselines = [row for row in rows if row.kind == "baseline" and row.policy != "random-mix"]
    premodels = [row for row in rows if row.kind == "premodel"]
    every = [row.latency_ms for row in (*singles, *baselines, *premodels)]
    log = max(every) > WIDE_RANGE * min(every)
    low, high = min(every), max(every)
    x_range = (low / 1.45, high * 1.45) if log else (low - 0.12 * (high - low), high + 0.12 * (high - low))
    figure = new_figure(
        430,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_type="log" if log else "linear",
        x_axis_label="latency, ms per image (mean, end to end)",
        y_axis_label="right, %",
        x_range=x_range,
    )
    if log:
        _log_ticks(figure, *x_range)
    _mix_line(figure, singles)
    tops = [100 * row.accuracy_ci[1] for row in (*singles, *baselines, *premodels)]
    bottoms = [100 * row.accuracy_ci[0] for row in (*singles, *baselines, *premodels)]
    y_range = (min(bottoms) - 3, max(tops) + 3)
    figure.y_range.start, figure.y_range.end = y_range
    at = _unit(x_range, y_range, log=log)
    taken = [point_box(*at(row)) for row in (*singles, *baselines, *premodels)]
    drawn = {"premodel": (premodels, "star"), "single": (singles, "circle"), "baseline": (baselines, "diamond")}
    places = {
        name: place_labels([(*at(row), row.name) for row in of_kind], taken, drop=name == "baseline")
        for name, (of_kind, _) in drawn.items()
    }
    for name in ("single", "baseline", "premodel"):
        _points(figure, drawn[name][0], name, drawn[name][1], places[name])
    groups = tuple((name, title, colour) for name, (title, colour) in GROUPS.items())
    return finished("frontier", figure, groups)


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
        90 + ROW_PIXELS * len(shown), y_range=list(reversed(names)), x_axis_label="points, premodel - best single"
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
        _log_ticks(figure, low, high)
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


def calibration(found: Sequence[Reliability]) -> Chart:
    """Share right against the candidate's own top probability; on the diagonal it means what it says."""
    figure = new_figure(
        400, tools="pan,box_zoom,reset,save", x_axis_label="top probability, %", y_axis_label="right, %"
    )
    figure.line([0, 100], [0, 100], color=BASELINE, line_dash="dashed", line_width=1.5)
    groups, marks = [], []
    for index, one in enumerate(found):
        colour, name = candidate_colour(index), f"candidate-{index}"
        data = {
            "x": [100 * value for value in one.sure],
            "y": [100 * value for value in one.right],
            "n": list(one.samples),
            "name": [one.name] * len(one.sure),
        }
        source = bokeh("models").ColumnDataSource(data)
        figure.line("x", "y", color=colour, line_width=2, source=source, name=name)
        marks.append(figure.scatter("x", "y", color=colour, size=6, source=source, name=name))
        groups.append((name, one.name, colour))
    tips = [("", "@name"), ("top probability", "@x{0.0} %"), ("right", "@y{0.0} %"), ("samples", "@n")]
    add_hover(figure, marks, tips)
    return finished("calibration", figure, tuple(groups))


def new_figure(height: int, *, tools: str = "reset,save", **options: Any) -> Any:
    """A figure without ground of its own, so that it lies on the page's; text and grid in colours the page knows."""
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


def _unit(
    x_range: tuple[float, float], y_range: tuple[float, float], *, log: bool
) -> Callable[[Row], tuple[float, float]]:
    """Row -> its place in the unit square of the chart."""
    of = math.log if log else float

    def at(row: Row) -> tuple[float, float]:
        x = (of(row.latency_ms) - of(x_range[0])) / max(of(x_range[1]) - of(x_range[0]), 1e-9)
        return x, (100 * row.accuracy - y_range[0]) / (y_range[1] - y_range[0])

    return at


def _points(figure: Any, rows: Sequence[Row], group: str, marker: str, places: Sequence[Place]) -> None:
    """One point per row with its interval and its name."""
    if not rows:
        return
    colour = GROUPS[group][1]
    data = {
        "x": [row.latency_ms for row in rows],
        "y": [100 * row.accuracy for row in rows],
        "low": [100 * row.accuracy_ci[0] for row in rows],
        "high": [100 * row.accuracy_ci[1] for row in rows],
        "name": [row.name for row in rows],
        "full": [row.name for row in rows],
        "label": [row.name if place.shown else "" for row, place in zip(rows, places, strict=True)],
        "align": [place.align for place in places],
        "aside": [place.x_offset for place in places],
        "down": [place.y_offset for place in places],
        "ci": [f"{100 * row.accuracy_ci[0]:.1f} to {100 * row.accuracy_ci[1]:.1f} %" for row in rows],
        "gain": [f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}" for row in rows],
        "speedup": [f"{row.speedup_vs_best:.2f} times as fast as the best single" for row in rows],
        "verdict": [row.verdict or "single candidate" for row in rows],
    }
    source = bokeh("models").ColumnDataSource(data)
    figure.segment("x", "low", "x", "high", color=colour, line_width=2, source=source, name=group)
    size = 20 if marker == "star" else 12
    marks = figure.scatter(
        "x", "y", marker=marker, size=size, color=colour, line_color="white", source=source, name=group
    )
    figure.text(
        "x",
        "y",
        text="label",
        text_align="align",
        text_baseline="middle",
        x_offset="aside",
        y_offset="down",
        text_font_size="11px" if group == "baseline" else "12px",
        text_font_style="bold" if group == "premodel" else "normal",
        text_color=TEXT if group == "single" else colour,
        source=source,
        name=f"{group}-label",
    )
    tips = [
        ("", "@name"),
        ("right", "@y{0.0} %, interval @ci"),
        ("latency", "@x{0.00} ms, @speedup"),
        ("against the best single", "@gain points"),
        ("verdict", "@verdict"),
    ]
    add_hover(figure, [marks], tips)


def _log_ticks(figure: Any, low: float, high: float) -> None:
    """Ticks at round numbers: Bokeh's own leave most of an axis of one decade without any."""
    steps = (1, 2, 5) if high > NARROW_RANGE * low else (1, 1.5, 2, 3, 4, 5, 7)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    figure.xaxis.ticker = bokeh("models").FixedTicker(
        ticks=[float(f"{step}e{decade}") for decade in decades for step in steps],
        minor_ticks=[float(f"{step}e{decade}") for decade in decades for step in range(1, 10)],
    )
    figure.xgrid.ticker = figure.xaxis[0].ticker
    figure.xaxis.formatter = bokeh("models").PrintfTickFormatter(format="%g")


def _mix_line(figure: Any, singles: Sequence[Row]) -> None:
    """The upper hull of the single candidates; sampled, because it is curved on a logarithmic axis."""
    latency = np.array([row.latency_ms for row in singles])
    accuracy = np.array([100 * row.accuracy for row in singles])
    hull = upper_hull(latency, accuracy)
    corners = [np.linspace(latency[a], latency[b], MIX_POINTS, endpoint=False) for a, b in pairwise(hull)]
    x = np.concatenate([*corners, latency[hull[-1:]]])
    y = np.interp(x, latency[hull], accuracy[hull])
    figure.line(x, y, color=BASELINE, line_width=2, line_dash="dashed", name="mix")


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
