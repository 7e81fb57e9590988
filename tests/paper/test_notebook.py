"""What a notebook shows of a result: text that cannot break out of its cell, and figures where values are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from premodel.paper import notebook
from premodel.paper.reproduce import Reproduction
from premodel.paper.results import BarFigure, DataTable, Series

pytest.importorskip("bokeh", reason="the extra report is not installed")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(notebook, "show_html", found.append)
    monkeypatch.setattr(notebook.bokeh("io"), "show", found.append)
    return found


def test_every_result_is_shown_with_its_tables_and_figures(found: Reproduction, shown: list[Any]) -> None:
    for result in found.results:
        shown.clear()
        notebook.show(result)
        drawn = [one for one in shown if not isinstance(one, str)]
        assert len(drawn) == len(result.figures)
        text = "".join(one for one in shown if isinstance(one, str))
        assert text.count("<table>") == 1 + len(result.tables)
        assert "<script>" not in text
        assert "<img src=x" not in text


def test_a_figure_with_a_missing_value_is_left_out(shown: list[Any]) -> None:
    figure = BarFigure("a", "label", "ms", ("one",), (Series("s", (1.0,)),))
    notebook.show_figure(replace(figure, series=(Series("s", (float("nan"),)),)))
    assert shown == []
    notebook.show_figure(figure)
    assert len(shown) == 2


def test_columns_of_numbers_stand_to_the_right_and_words_to_the_left(shown: list[Any]) -> None:
    notebook.show_table(
        DataTable("t", "Caption", ("who", "accuracy, %", "why"), (("a", 80.0, "x"), ("b", None, "1 of 2")))
    )
    (text,) = shown
    assert "<th style='text-align:left'>who</th><th style='text-align:right'>accuracy, %</th>" in text
    assert "<td style='text-align:left'>x</td>" in text
    assert "<td style='text-align:left'>1 of 2</td>" in text
