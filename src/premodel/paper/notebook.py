"""Results in a Jupyter notebook: tables as HTML, figures by Bokeh, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import import_module
from typing import Any

from premodel.errors import MissingExtraError
from premodel.evaluation.report.charts import bokeh
from premodel.paper.charts import drawable, plot
from premodel.paper.page import FindImage, pictures_of, text_table, value_text
from premodel.paper.results import DataTable, Figure, Result


def prepare() -> None:
    """Load the charting scripts into the notebook, from this installation.

    Raises
    ------
    MissingExtraError
        Bokeh or IPython is not installed.
    """
    _ipython()
    bokeh("io").output_notebook(resources=bokeh("resources").INLINE, hide_banner=True)


def show(result: Result, find: FindImage | None = None) -> None:
    """Show an experiment: its finding, its pictures if `find` gives them, ours beside the paper's, figures, tables."""
    pictures = "".join(
        f"<figure style='display:inline-block;margin:0 1em 0 0'><img src='{uri}' alt=''>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for uri, caption in pictures_of(result, find)
    )
    show_html(f"<h3>{escape(result.title)}</h3><p>{escape(result.finding)}</p>{pictures}{beside_html(result)}")
    for figure in result.figures:
        show_figure(figure)
    for table in result.tables:
        show_table(table)


def show_table(table: DataTable) -> None:
    """Show a table of raw values."""
    text = text_table(table)
    words = [any(isinstance(row[column], str) for row in table.rows) for column in range(len(table.header))]
    show_html(_table(table.caption, text.header, text.rows, ["left" if one else "right" for one in words]))


def show_figure(figure: Figure) -> None:
    """Draw a figure with its legend and caption; nothing where a value is missing."""
    if not drawable(figure):
        return
    drawing, groups = plot(figure)
    if groups:
        models = bokeh("models")
        items = [
            models.LegendItem(label=title, renderers=[one for one in drawing.renderers if one.name == name])
            for name, title, _ in groups
        ]
        drawing.add_layout(models.Legend(items=items, orientation="horizontal", click_policy="hide"), "above")
    bokeh("io").show(drawing)
    show_html(f"<p><small>{escape(figure.label)}</small></p>")


def show_html(text: str) -> None:
    """Show HTML in the cell's output."""
    _ipython().display(_ipython().HTML(text))


def beside_html(result: Result) -> str:
    """Our values beside the paper's, as an HTML table."""
    rows = [
        (
            one.what,
            f"{value_text(one)} ({one.definition})",
            "no number" if one.published is None else f"{one.published.text} ({one.published.definition})",
        )
        for one in result.comparisons
    ]
    return _table("Beside the paper", ("what", "here", "paper"), rows, ["left"] * 3)


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], sides: Sequence[str]) -> str:
    """A table whose columns stand to these sides; JupyterLab would put them all to the right."""
    styles = [f" style='text-align:{side}'" for side in sides]
    head = "".join(f"<th{style}>{escape(cell)}</th>" for style, cell in zip(styles, header, strict=True))
    lines = [
        "".join(f"<td{style}>{escape(cell)}</td>" for style, cell in zip(styles, row, strict=True)) for row in rows
    ]
    caption = f"<caption style='text-align:left'>{escape(caption)}</caption>"
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _ipython() -> Any:
    try:
        return import_module("IPython.display")
    except ModuleNotFoundError as error:
        raise MissingExtraError("IPython", "notebook") from error
