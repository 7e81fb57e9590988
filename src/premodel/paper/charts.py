"""Figures of results drawn by the report's charting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from premodel.evaluation.report.charts import Chart, add_hover, bokeh, finished, new_figure, unique, wrapped
from premodel.evaluation.report.colours import BASELINE, SINGLE, TEXT, candidate_colour
from premodel.evaluation.report.label_places import place_labels, point_box
from premodel.paper.results import BarFigure, Figure, Point, PointFigure, Series
from premodel.stats import upper_hull

BAR_PIXELS = 22
MIX_POINTS = 60
MAX_NAMES, MAX_JOINED_NAMES = 14, 10
"""Points up to which names are drawn."""
WIDE_RANGE = 8.0
"""Above this ratio of greatest to least the x axis is logarithmic."""


Groups = tuple[tuple[str, str, str], ...]


def draw(id_: str, figure: Figure) -> Chart:
    """A figure as a chart of the page."""
    return finished(id_, *plot(figure))


def plot(figure: Figure) -> tuple[Any, Groups]:
    """A figure as Bokeh's own, and what can be shown and hidden in it (see `Chart.groups`)."""
    return _bars(figure) if isinstance(figure, BarFigure) else _points(figure)


def _bars(wanted: BarFigure) -> tuple[Any, Groups]:
    names = unique([wrapped(name) for name in wanted.categories])
    count = len(wanted.series)
    height = 90 + len(names) * max(BAR_PIXELS * count, 15 * max(name.count("\n") + 1 for name in names) + 6)
    figure = new_figure(height, y_range=list(reversed(names)), x_axis_label=wanted.axis)
    if all(value >= 0 for one in wanted.series for value in one.values):
        figure.x_range.start = 0
    groups = []
    for index, series in enumerate(wanted.series):
        colour = candidate_colour(index)
        _bar_series(figure, names, series, index, count, colour)
        groups.append((f"series-{index}", series.name, colour))
    figure.ygrid.visible = False
    return figure, tuple(groups) if count > 1 else ()


def _bar_series(figure: Any, names: list[str], series: Series, index: int, count: int, colour: str) -> None:
    dodge = bokeh("transform").dodge
    step = 0.8 / count
    at = dodge("y", 0.4 - step * (index + 0.5), range=figure.y_range)
    low, high = series.low or series.values, series.high or series.values
    data = {
        "y": names,
        "name": [name.replace("\n", " ") for name in names],
        "value": list(series.values),
        "low": list(low),
        "high": list(high),
        "said": [_said(*one) for one in zip(series.values, low, high, strict=True)],
        "series": [series.name] * len(names),
    }
    source = bokeh("models").ColumnDataSource(data)
    name = f"series-{index}"
    bars = figure.hbar(
        y=at, left=0, right="value", height=0.85 * step, color=colour, line_width=0, source=source, name=name
    )
    if series.low:
        figure.segment("low", at, "high", at, color=TEXT, line_width=1.5, source=source, name=name)
    add_hover(figure, [bars], [("", "@name"), ("@series", "@said")])


def _said(value: float, low: float, high: float) -> str:
    return f"{value:.2f}" if low == value == high else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _points(wanted: PointFigure) -> tuple[Any, Groups]:
    every = [point for _, points in wanted.groups for point in points]
    low, high = min(point.x for point in every), max(point.x for point in every)
    log = low > 0 and high > WIDE_RANGE * low and not wanted.joined
    margin = 0.08 * (high - low) or 1.0
    x_range = (low / 1.3, high * 1.3) if log else (low - margin, high + margin)
    figure = new_figure(
        400,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_label=wanted.x_axis,
        y_axis_label=wanted.y_axis,
        x_axis_type="log" if log else "linear",
        x_range=x_range,
    )
    figure.toolbar.active_scroll = None
    if wanted.mix:
        _mix_line(figure, wanted.groups[0][1])
    groups = []
    for index, (title, points) in enumerate(wanted.groups):
        colour = SINGLE if index == 0 and not wanted.joined else candidate_colour(index + (not wanted.joined))
        _group(figure, points, index, colour, wanted)
        groups.append((f"group-{index}", title, colour))
    if len(every) <= (MAX_JOINED_NAMES if wanted.joined else MAX_NAMES):
        _names(figure, wanted, x_range, log=log)
    return figure, tuple(groups) if len(groups) > 1 else ()


def _group(figure: Any, points: Sequence[Point], index: int, colour: str, wanted: PointFigure) -> None:
    data = {
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
        "name": [point.name for point in points],
        "said": [_said(point.y, point.low, point.high) for point in points],
    }
    source, name = bokeh("models").ColumnDataSource(data), f"group-{index}"
    if wanted.joined:
        figure.line("x", "y", color=colour, line_width=2, source=source, name=name)
    figure.segment("x", "low", "x", "high", color=colour, line_width=1.5, alpha=0.6, source=source, name=name)
    marks = figure.scatter("x", "y", size=10, color=colour, line_color="white", source=source, name=name)
    add_hover(figure, [marks], [("", "@name"), (wanted.y_axis, "@said"), (wanted.x_axis, "@x{0.00}")])


def _mix_line(figure: Any, points: Sequence[Point]) -> None:
    """The upper hull of points; sampled, because it is curved on a logarithmic axis."""
    x, y = np.array([point.x for point in points]), np.array([point.y for point in points])
    hull = upper_hull(x, y)
    at = np.unique(np.concatenate([x[hull], np.linspace(x[hull[0]], x[hull[-1]], MIX_POINTS)]))
    figure.line(at, np.interp(at, x[hull], y[hull]), color=BASELINE, line_width=2, line_dash="dashed")


def _names(figure: Any, wanted: PointFigure, x_range: tuple[float, float], *, log: bool) -> None:
    """Names of the points of each group, where they find room; hovering shows the others."""
    of = math.log if log else float
    every = [point for _, points in wanted.groups for point in points]
    low, high = min(point.low for point in every), max(point.high for point in every)
    span_x, span_y = of(x_range[1]) - of(x_range[0]), (high - low) or 1.0

    def at(point: Point) -> tuple[float, float]:
        return (of(point.x) - of(x_range[0])) / span_x, (point.y - low) / span_y

    taken = [point_box(*at(point)) for point in every]
    for index, (_, points) in enumerate(wanted.groups):
        places = place_labels([(*at(point), point.name) for point in points], taken, drop=True)
        data: dict[str, list[Any]] = {
            "x": [point.x for point in points],
            "y": [point.y for point in points],
            "full": [point.name for point in points],
            "label": [point.name if place.shown else "" for point, place in zip(points, places, strict=True)],
            "align": [place.align for place in places],
            "aside": [place.x_offset for place in places],
            "down": [place.y_offset for place in places],
        }
        figure.text(
            "x",
            "y",
            text="label",
            text_align="align",
            text_baseline="middle",
            x_offset="aside",
            y_offset="down",
            text_font_size="11px",
            text_color=TEXT,
            source=bokeh("models").ColumnDataSource(data),
            name=f"group-{index}-label",
        )


def drawable(figure: Figure) -> bool:
    """Has it anything to draw, and nothing that is not a number."""
    if isinstance(figure, BarFigure):
        values = [value for one in figure.series for value in (*one.values, *one.low, *one.high)]
    else:
        values = [value for _, points in figure.groups for p in points for value in (p.x, p.y, p.low, p.high)]
    return bool(values) and all(math.isfinite(value) for value in values)
