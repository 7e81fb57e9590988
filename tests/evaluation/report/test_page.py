from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation.evaluate import Evaluation
from premodel.evaluation.peer_curves import peer_curves
from premodel.evaluation.peers.registry import PEERS
from premodel.evaluation.report import page as page_module
from premodel.evaluation.report.page import MAX_BYTES, Report, render, write_report
from premodel.training.objective import Objective
from premodel.training.tables import Tables

LOADING = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}


class Seen(HTMLParser):
    """Elements, texts and table cells as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts = 0
        self.images: list[str] = []
        self.cells: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self._cell = tag in ("td", "th")
        if self._cell:
            self.cells.append("")
        for name, value in attrs:
            if (tag, name) in LOADING:
                self.loads.append(value or "")
            if tag == "img" and name == "src":
                self.images.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.cells[-1] += data


def picture(sample: str) -> bytes:
    rng = np.random.default_rng(int(sample[:8], 16))
    return cv2.imencode(".png", rng.integers(0, 256, (40, 60, 3), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def html(tables: Tables, evaluation: Evaluation) -> str:
    peers = peer_curves(tables, "top1", Objective(), folds=3)
    return render(Report("A <title>", evaluation, tables, peers=peers, find=picture, doctor=("little <can> be won",)))


def test_result_comes_first_and_every_row_is_in_the_table(html: str, evaluation: Evaluation) -> None:
    body = html[html.index("<body>") :]
    assert body.index('id="verdict"') < body.index("<nav") < body.index('id="chart-frontier"')
    cells = Seen(html).cells
    for row in evaluation.rows:
        assert row.name in cells
        assert any(cell.startswith(f"{100 * row.accuracy:.1f} [") for cell in cells)
    assert "VALID" in cells


def test_every_chart_has_a_place_and_its_data_as_a_table(html: str) -> None:
    seen = Seen(html)
    items = json.loads(re.search(r'<script type="application/json" id="items">(.*?)</script>', html, re.DOTALL)[1])
    assert set(items) == {"frontier", "shares", "classes", "timings", "calibration"}
    for name in items:
        assert f"chart-{name}" in seen.ids
        section = html[html.index(f'<section id="{name}"') :]
        assert "<table" in section[: section.index("</section>")]


def test_peers_can_be_toggled_and_stand_in_a_table(html: str) -> None:
    cells = Seen(html).cells
    for index, name in enumerate(PEERS):
        assert f'data-chart="frontier" data-group="peer-{index}"' in html
        assert name in cells
    assert "at most" in "".join(cells)
    items = json.loads(re.search(r'<script type="application/json" id="items">(.*?)</script>', html, re.DOTALL)[1])
    assert '"name":"peer-3"' in json.dumps(items["frontier"], separators=(",", ":"))


def test_the_best_peer_stands_beside_the_verdict(html: str) -> None:
    head = html[html.index('id="verdict"') : html.index("<nav")]
    assert "best peer" in head or "No peer is as fast" in head


def test_classes_of_few_samples_have_no_bar(evaluation: Evaluation, tables: Tables) -> None:
    """A bar from one or two samples is at 100 points or at none."""

    def drawn(truth: np.ndarray) -> set[str]:
        page = render(Report("t", evaluation, replace(tables, truth=truth)))
        items = json.loads(re.search(r'<script type="application/json" id="items">(.*?)</script>', page, re.DOTALL)[1])
        text = json.dumps(items.get("classes", ""))
        return {name for name in tables.label_names if f"{name[:9]} (" in text} if text != '""' else {"no chart"}

    truth = np.zeros(len(tables), np.int32) + 3
    truth[:2] = 4
    assert drawn(truth) == {tables.label_names[3]}
    few = np.arange(len(tables), dtype=np.int32) % 40
    many = replace(tables, label_names=tuple(f"label {index}" for index in range(40)), truth=few)
    assert "too few to draw a difference" in render(Report("t", evaluation, many))


def test_without_peers_the_page_does_not_speak_of_them(evaluation: Evaluation, tables: Tables) -> None:
    page = render(Report("t", evaluation, tables))
    assert "Peer:" not in page
    assert "above the peer" not in page


def test_calibration_of_premodels_stands_beside_that_of_candidates(html: str, tables: Tables) -> None:
    section = html[html.index('<section id="calibration"') :]
    section = section[: section.index("</section>")]
    cells = Seen(section).cells
    assert cells.count("gives no confidence") == 1, "`paper` estimates nothing"
    assert cells.count("single") > 1, "`single` does: in the summary and in its bins"
    assert cells.count(tables.candidates[1]) > 2, "in the summary and in its bins"


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    seen = Seen(html)
    assert all(url.startswith("data:image/") for url in seen.loads)
    css = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    assert "default-src 'none'" in html
    assert len(html.encode()) < MAX_BYTES


def test_names_are_shown_and_never_obeyed(html: str, tables: Tables) -> None:
    seen = Seen(html)
    assert seen.scripts == 3, "data, the charting library, the page's own"
    assert not seen.handlers
    assert tables.candidates[0] in seen.cells
    assert "little &lt;can&gt; be won" in html
    assert "A &lt;title&gt;" in html
    assert "<b>&" not in html


def test_paths_of_the_machine_are_left_out(html: str) -> None:
    assert "/secret" not in html
    assert "board &lt;1&gt;" in html


def test_pictures_tell_who_answered(html: str, evaluation: Evaluation, tables: Tables) -> None:
    seen = Seen(html)
    assert seen.images
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in seen.images)
    assert "Wrong, where another candidate is right" in html


def test_without_images_the_page_says_so(evaluation: Evaluation, tables: Tables) -> None:
    assert "made without images" in render(Report("t", evaluation, tables))
    assert "were not found" in render(Report("t", evaluation, tables, find=lambda _: None))


def test_pictures_give_way_to_the_limit_of_size(
    evaluation: Evaluation, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render(Report("t", evaluation, tables, find=picture))
    limit = len(whole.encode()) - 20_000
    monkeypatch.setattr(page_module, "MAX_BYTES", limit)
    smaller = render(Report("t", evaluation, tables, find=picture))
    assert len(smaller.encode()) <= limit
    assert 0 < len(Seen(smaller).images) < len(Seen(whole).images)


def test_the_page_is_written_whole_or_not_at_all(evaluation: Evaluation, tables: Tables, tmp_path: Path) -> None:
    report = Report("t", evaluation, tables)
    assert write_report(report, tmp_path / "r.html") == (tmp_path / "r.html").stat().st_size
    with pytest.raises(OptionError, match="cannot be written"):
        write_report(report, tmp_path / "absent" / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_an_evaluation_without_premodel_is_refused(evaluation: Evaluation, tables: Tables) -> None:
    rows = tuple(row for row in evaluation.rows if row.kind != "premodel")
    with pytest.raises(OptionError, match="nothing to report"):
        render(Report("t", replace(evaluation, rows=rows), tables))


def test_floors_on_classes_and_accuracy_over_memory_are_shown_where_there_are_any(
    evaluation: Evaluation, tables: Tables
) -> None:
    plain = render(Report("r", evaluation, tables))
    assert 'id="class-floors"' not in plain
    assert 'id="memory"' not in plain
    sized = replace(tables, memory_mb=2.0 ** np.arange(len(tables.candidates)))
    page = render(Report("r", evaluation, sized, class_floors=("select, recall of <cat>: 9 of 10: kept",)))
    assert "recall of &lt;cat&gt;: 9 of 10: kept" in page
    assert "Accuracy over memory" in page
    assert "a perfect choice, %" in page
