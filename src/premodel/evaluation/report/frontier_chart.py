"""Accuracy against latency: single candidates, the random mix, other baselines, peers and premodels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from premodel.evaluation.peer_curves import PeerCurve
from premodel.evaluation.report.charts import WIDE_RANGE, Chart, add_hover, bokeh, finished, log_ticks, new_figure
from premodel.evaluation.report.colours import BASELINE, PEERS, PREMODEL, SINGLE, TEXT
from premodel.evaluation.report.label_places import Place, place_labels, point_box
from premodel.evaluation.rows import Row
from premodel.stats import upper_hull
from premodel.verdict import interval, points

MIX_POINTS = 40
GROUPS = {
    "single": ("Single candidates", SINGLE),
    "mix": ("Random mix", BASELINE),
    "baseline": ("Other baselines", BASELINE),
    "premodel": ("Premodels", PREMODEL),
}
PEER_DASHES = ("solid", "dotdash", "dotted", "dashdot")


def frontier(rows: Sequence[Row], peers: Sequence[PeerCurve] = ()) -> Chart:
    """One point per row, one curve per peer; the random-mix line lies over the single candidates."""
    singles = [row for row in rows if row.kind == "single"]
    baselines = [row for row in rows if row.kind == "baseline" and row.policy != "random-mix"]
    premodels = [row for row in rows if row.kind == "premodel"]
    shown = [*singles, *baselines, *premodels]
    x_range, y_range, log = _ranges([*shown, *(row for peer in peers for row in peer.rows)])
    figure = new_figure(
        460,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_type="log" if log else "linear",
        x_axis_label="latency, ms (mean, end to end)",
        y_axis_label="accuracy, %",
        x_range=x_range,
        y_range=y_range,
    )
    if log:
        log_ticks(figure, *x_range)
    _mix_line(figure, singles)
    curves = [_peer(figure, index, peer) for index, peer in enumerate(peers)]
    at = _unit(x_range, y_range, log=log)
    taken = [point_box(*at(row)) for row in shown]
    drawn = {"premodel": (premodels, "star"), "single": (singles, "circle"), "baseline": (baselines, "diamond")}
    places = {
        name: place_labels([(*at(row), row.name) for row in of_kind], taken, drop=name == "baseline")
        for name, (of_kind, _) in drawn.items()
    }
    for name in ("single", "baseline", "premodel"):
        _points(figure, drawn[name][0], name, drawn[name][1], places[name])
    groups = [(name, title, colour) for name, (title, colour) in GROUPS.items()]
    return finished("frontier", figure, (*groups, *curves))


def _ranges(rows: Sequence[Row]) -> tuple[tuple[float, float], tuple[float, float], bool]:
    """Ranges of both axes, and whether that of latency is logarithmic."""
    low, high = min(row.latency_ms for row in rows), max(row.latency_ms for row in rows)
    log = high > WIDE_RANGE * low
    x_range = (low / 1.45, high * 1.45) if log else (low - 0.12 * (high - low), high + 0.12 * (high - low))
    bottom, top = min(row.accuracy_ci[0] for row in rows), max(row.accuracy_ci[1] for row in rows)
    return x_range, (100 * bottom - 3, 100 * top + 3), log


def _peer(figure: Any, index: int, peer: PeerCurve) -> tuple[str, str, str]:
    """A curve through a peer's points; its name, title and colour as a group."""
    group, colour = f"peer-{index}", PEERS[index % len(PEERS)]
    data = {
        "x": [row.latency_ms for row in peer.rows],
        "y": [100 * row.accuracy for row in peer.rows],
        "name": [row.name for row in peer.rows],
        "asked": [row.extra["asked"] for row in peer.rows],
        **_said(peer.rows),
    }
    source = bokeh("models").ColumnDataSource(data)
    dash = PEER_DASHES[index % len(PEER_DASHES)]
    figure.line("x", "y", color=colour, line_width=1.5, line_dash=dash, source=source, name=group)
    marks = figure.scatter("x", "y", color=colour, size=6, line_color="white", source=source, name=group)
    tips = [
        ("peer", "@name"),
        ("asked for", "@asked"),
        ("accuracy", "@y{0.0} %, interval @ci"),
        ("latency", "@x{0.00} ms, @speedup"),
        ("against the best single", "@gain points"),
    ]
    add_hover(figure, [marks], tips)
    return group, f"Peer: {peer.name}", colour


def _said(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What hovering over a point states besides the figures that are drawn."""
    return {
        "ci": [f"{100 * row.accuracy_ci[0]:.1f} to {100 * row.accuracy_ci[1]:.1f} %" for row in rows],
        "gain": [f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}" for row in rows],
        "speedup": [f"speed-up {row.speedup_vs_best:.2f}" for row in rows],
    }


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
        **_said(rows),
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
        ("accuracy", "@y{0.0} %, interval @ci"),
        ("latency", "@x{0.00} ms, @speedup"),
        ("against the best single", "@gain points"),
        ("verdict", "@verdict"),
    ]
    add_hover(figure, [marks], tips)


def _mix_line(figure: Any, singles: Sequence[Row]) -> None:
    """The upper hull of the single candidates; sampled, because it is curved on a logarithmic axis."""
    latency = np.array([row.latency_ms for row in singles])
    accuracy = np.array([100 * row.accuracy for row in singles])
    hull = upper_hull(latency, accuracy)
    corners = [np.linspace(latency[a], latency[b], MIX_POINTS, endpoint=False) for a, b in pairwise(hull)]
    x = np.concatenate([*corners, latency[hull[-1:]]])
    y = np.interp(x, latency[hull], accuracy[hull])
    figure.line(x, y, color=BASELINE, line_width=2, line_dash="dashed", name="mix")
