"""Reliability diagrams: accuracy against confidence; on the diagonal both are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from premodel.evaluation.report.charts import Chart, add_hover, bokeh, finished, new_figure
from premodel.evaluation.report.colours import BASELINE, candidate_colour, premodel_colour
from premodel.evaluation.report.reliability import Calibration


def calibration(found: Sequence[Calibration]) -> Chart:
    """A line per premodel, with the interval of each bin, and a thin one per candidate."""
    figure = new_figure(
        420,
        tools="pan,box_zoom,reset,save",
        x_axis_label="confidence, % (mean of the bin)",
        y_axis_label="accuracy, %",
        x_range=(0, 102),
        y_range=(0, 102),
    )
    figure.line([0, 100], [0, 100], color=BASELINE, line_dash="dashed", line_width=1.5)
    shown = [one for one in found if one.samples]
    candidates = [one for one in shown if one.kind == "candidate"]
    premodels = [one for one in shown if one.kind == "premodel"]
    marks = [_line(figure, f"candidate-{i}", one, candidate_colour(i)) for i, one in enumerate(candidates)]
    marks += [_line(figure, f"premodel-{i}", one, premodel_colour(i)) for i, one in enumerate(premodels)]
    tips = [("", "@name"), ("said", "@x{0.0} %"), ("right", "@y{0.0} %, interval @ci"), ("samples", "@n")]
    add_hover(figure, marks, tips)
    groups = [(f"premodel-{i}", one.name, premodel_colour(i)) for i, one in enumerate(premodels)]
    groups += [(f"candidate-{i}", one.name, candidate_colour(i)) for i, one in enumerate(candidates)]
    return finished("calibration", figure, tuple(groups))


def _line(figure: Any, group: str, one: Calibration, colour: str) -> Any:
    bins = [part for part in one.diagram.bins if part.count]
    data = {
        "x": [100 * part.mean_score for part in bins],
        "y": [100 * part.share_right for part in bins],
        "low": [100 * part.ci[0] for part in bins],
        "high": [100 * part.ci[1] for part in bins],
        "ci": [f"{100 * part.ci[0]:.1f} to {100 * part.ci[1]:.1f} %" for part in bins],
        "n": [part.count for part in bins],
        "name": [one.name] * len(bins),
    }
    source = bokeh("models").ColumnDataSource(data)
    own = one.kind == "premodel"
    if own:
        figure.segment("x", "low", "x", "high", color=colour, line_width=2, source=source, name=group)
    figure.line("x", "y", color=colour, line_width=3 if own else 1.5, source=source, name=group)
    return figure.scatter("x", "y", color=colour, size=9 if own else 5, source=source, name=group)
