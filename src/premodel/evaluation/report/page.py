"""The page: one HTML file that holds its scripts, styles, charts and pictures, and asks for nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from premodel.domains.registry import domain_of
from premodel.errors import MissingExtraError, OptionError
from premodel.evaluation.bench import Bench
from premodel.evaluation.cross_validation import Outcome
from premodel.evaluation.evaluate import Evaluation
from premodel.evaluation.memory import accuracy_over_memory
from premodel.evaluation.peer_curves import PeerCurve, best_peer
from premodel.evaluation.report import charts, text
from premodel.evaluation.report.calibration_chart import calibration
from premodel.evaluation.report.classes import MIN_CLASS_SAMPLES, class_gains
from premodel.evaluation.report.colours import GRID, TEXT
from premodel.evaluation.report.frontier_chart import frontier
from premodel.evaluation.report.pictures import Album, Bin, Difficulty, FindImage, Picture, measured_difficulty
from premodel.evaluation.report.reliability import calibrations
from premodel.evaluation.report.timings import spreads
from premodel.evaluation.rows import Row, Singles, best_premodel, compared, describe, invalid_reasons
from premodel.files import write_whole
from premodel.training.objective import Objective
from premodel.training.tables import Tables
from premodel.verdict import Verdict, interval, points
from premodel.version import __version__

MAX_BYTES = 2_500_000
"""The page is kept below this by leaving pictures out, the last of each row first."""


@dataclass(frozen=True, eq=False)
class Report:
    """What a page is made of; only the first three are needed.

    Attributes
    ----------
    title:
        Heading of the page.
    evaluation:
        The comparison, with at least one premodel.
    tables:
        The profile it was made on.
    objective:
        By which one of several premodels is the one to speak of.
    peers:
        Methods of others on the same samples and folds.
    find:
        Gives encoded images by SHA-256; None for a page without pictures.
    difficulty:
        What pictures are ordered by; None for the number of candidates that are wrong.
    runs_ms:
        Every single timed run by candidate.
    bench, bench_images:
        Real end-to-end runs, and on what.
    doctor:
        What was said before training about what can be won, line by line.
    training_summaries:
        How each premodel came about, line by line, by its name.
    class_floors:
        What each premodel did in every class that has a floor, in words.
    """

    title: str
    evaluation: Evaluation
    tables: Tables
    objective: Objective = field(default_factory=Objective)
    peers: Sequence[PeerCurve] = ()
    find: FindImage | None = None
    difficulty: Difficulty | None = None
    runs_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    bench: Bench | None = None
    bench_images: str = "images"
    doctor: Sequence[str] = ()
    training_summaries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_floors: Sequence[str] = ()

    @property
    def best_peer(self) -> str:
        """How the premodel to speak of stands against the best peer at its latency; empty without peers."""
        if not self.peers:
            return ""
        name = best_premodel(self.evaluation.rows, self.objective).name
        outcome = next(one for one in self.evaluation.outcomes if one.method.name == name)
        found = best_peer(self.peers, outcome)
        return text.peers_note(name, found, self.evaluation.samples)


def write_report(report: Report, path: Path) -> int:
    """Write the page; it appears whole or not at all.

    Returns
    -------
    Its size in bytes.

    Raises
    ------
    MissingExtraError
        Bokeh or Jinja is not installed.
    OptionError
        The evaluation holds no premodel, or the file cannot be written.
    """
    return write_page(render(report), path)


def write_page(text: str, path: Path) -> int:
    """Write a file whole or not at all; its size in bytes. Raises OptionError if it cannot be written."""
    page = text.encode("utf-8")
    try:
        write_whole(path, page)
    except OSError as error:
        raise OptionError("the file cannot be written", where=path, given=error.strerror) from error
    return len(page)


def require_report_packages() -> None:
    """Find out before the work whether its result can be shown.

    Raises
    ------
    MissingExtraError
        Bokeh or Jinja is not installed.
    """
    charts.bokeh("embed")
    _jinja()


def render(report: Report) -> str:
    """The page as text; raises as `write_report` does."""
    context = _context(report)
    page = fill("page.html.j2", context)
    per_row = max((len(one.pictures) for one in context["bins"]), default=0)
    while len(page.encode("utf-8")) > MAX_BYTES and per_row:
        per_row -= 2
        context["bins"] = [_fewer(one, max(0, per_row)) for one in context["bins"]]
        context["mistakes"] = context["mistakes"][: max(0, 3 * per_row)]
        page = fill("page.html.j2", context)
    return page


def _fewer(one: Bin, count: int) -> Bin:
    return Bin(one.title, one.samples, one.right, one.best_right, one.latency_ms, one.pictures[:count])


def fill(template: str, context: Mapping[str, Any], package: str = "premodel.evaluation.report") -> str:
    """A template of a package, with the macros of `parts.html.j2` before it, filled in."""
    jinja2 = _jinja()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["ms"] = text.ms
    environment.filters["share"] = text.share
    environment.filters["label"] = text.short_label
    environment.filters["breakable"] = _breakable
    page: str = environment.from_string(resource("parts.html.j2") + resource(template, package)).render(**context)
    return page


def _context(report: Report) -> dict[str, Any]:
    evaluation, tables = report.evaluation, report.tables
    chosen = best_premodel(evaluation.rows, report.objective)
    outcome = next(one for one in evaluation.outcomes if one.method.name == chosen.name)
    singles = Singles.of(tables, evaluation.criterion)
    criterion = evaluation.criterion
    of_labels = criterion not in tables.graded  # classes and calibration are of right and wrong answers
    gains = []
    if of_labels:
        best_right = tables.correct(criterion)[:, singles.best]
        gains = class_gains(tables, outcome.correct(criterion), best_right, seed=evaluation.seed)
    timed = spreads(tables, report.runs_ms)
    premodels = [one for one in evaluation.outcomes if one.method.kind == "premodel"]
    calibrated = calibrations(tables, premodels, criterion, seed=evaluation.seed) if of_labels else []
    rows, candidates = evaluation.rows, tables.candidates
    drawn = [frontier(rows, report.peers), charts.shares(rows, candidates)]
    large = [one for one in gains if one.ci is not None]
    drawn += [charts.classes(large)] if large else []
    drawn += [charts.timings(timed)] if timed else []
    drawn += [calibration(calibrated)] if calibrated else []
    own = {chart.id: chart for chart in drawn}
    return {
        "title": report.title,
        "version": __version__,
        "verdicts": verdicts(rows, report.objective),
        "hint": evaluation.hint,
        "originals": list(evaluation.originals),
        "warnings": list(evaluation.warnings),
        "chosen": chosen,
        "best": candidates[singles.best],
        "evaluation": evaluation,
        "charts": own,
        "items": script_json({name: chart.item for name, chart in own.items()}),
        "figures": _figures(chosen, domain_of(tables.task).noun),
        "rows": text.rows_table(rows),
        "shares": text.shares_table(rows, candidates),
        "classes": text.classes_table(gains),
        "class_count": len(gains),
        "class_floors": list(report.class_floors),
        "memory": text.memory_table(accuracy_over_memory(tables, criterion)),
        "min_class_samples": MIN_CLASS_SAMPLES,
        "timings": text.timings_table(timed),
        "calibration": text.calibration_table(calibrated),
        "calibration_note": text.calibration_note(calibrated, chosen.name) if of_labels else "",
        "of_labels": of_labels,
        "bins_of_premodels": text.bins_table([one for one in calibrated if one.kind == "premodel"]),
        "bins_of_candidates": text.bins_table([one for one in calibrated if one.kind == "candidate"]),
        **_peers(report, premodels),
        "conditions": text.conditions_table(evaluation.conditions),
        "bench": report.bench,
        "bench_images": report.bench_images,
        "bench_rows": None if report.bench is None else text.rows_table(report.bench.rows),
        "bench_invalid": [] if report.bench is None else invalid_reasons(report.bench.rows),
        "doctor": list(report.doctor),
        "training_summaries": {name: list(lines) for name, lines in report.training_summaries.items()},
        **_pictures(report, outcome, singles.best),
        **static_parts(),
    }


def _peers(report: Report, premodels: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "peers": text.peers_table(report.peers) if report.peers else None,
        "ahead": text.ahead_table(report.peers, premodels),
        "peers_note": report.best_peer,
    }


def verdicts(rows: Sequence[Row], objective: Objective) -> list[tuple[Verdict, str]]:
    """The verdict on every premodel and its sentence, first that of the one which the objective prefers."""
    chosen = best_premodel(rows, objective)
    ranked = [chosen, *(row for row in rows if row.kind == "premodel" and row is not chosen)]
    said = [describe, *([compared] * (len(ranked) - 1))]  # the first speaks of INVALID timings for all
    return [
        (row.comparison, say(row, rows)) for row, say in zip(ranked, said, strict=True) if row.comparison is not None
    ]


def _figures(chosen: Row, noun: str) -> list[tuple[str, str, str]]:
    """The key figures: value, unit, what it is."""
    comparison = chosen.comparison
    mix, mix_ci = (None, None) if comparison is None else (comparison.mix_gain, comparison.mix_ci)
    beside = (
        [] if mix is None or mix_ci is None else [(points(mix), "points", f"against the random mix {interval(mix_ci)}")]
    )
    accuracy_low, accuracy_high = map(text.share, chosen.accuracy_ci)
    spread = f"median {text.ms(chosen.latency_p50_ms)}, p99 {text.ms(chosen.latency_p99_ms)}"
    return [
        (text.share(chosen.accuracy), "% accuracy", f"{accuracy_low} to {accuracy_high}"),
        (text.ms(chosen.latency_ms), f"ms per {noun}", "mean" if chosen.latency_p99_ms is None else spread),
        (f"{chosen.speedup_vs_best:.2f}x", "speed-up", "against the best single candidate"),
        (points(chosen.gain_points_vs_best), "points", f"against the best single {interval(chosen.gain_ci)}"),
        *beside,
    ]


def _pictures(report: Report, outcome: Outcome, best: int) -> dict[str, Any]:
    """Examples by difficulty and mistakes in vain; a word where no image is found."""
    none: list[Picture] = []
    found: dict[str, Any] = {"bins": [], "mistakes": none, "mistake_count": 0, "difficulty": "", "pictures_note": ""}
    criterion, seed = report.evaluation.criterion, report.evaluation.seed
    find = report.find or _no_image
    album = Album(report.tables, criterion, outcome, best, find)
    difficulty = report.difficulty or measured_difficulty(report.tables, criterion)
    found["bins"] = album.bins(difficulty, seed)
    found["mistake_count"], found["mistakes"] = album.mistakes(seed)
    found["difficulty"] = difficulty.name
    if not domain_of(report.tables.task).takes_pixels:
        found["pictures_note"] = f"Ordered by the {difficulty.name}."
    elif not any(one.pictures for one in found["bins"]):
        found["pictures_note"] = (
            "The page was made without images."
            if report.find is None
            else "The image files were not found where they were when they were profiled, so there are no pictures."
        )
    return found


def _no_image(_: str) -> None:
    """Finds nothing."""


def static_parts() -> dict[str, Any]:
    """Style, scripts and the charting library's own."""
    library = charts.bokeh("resources").Resources(mode="inline", components=["bokeh"])
    bokeh_js = "\n".join(_script_safe(code) for code in library.js_raw)
    markup = _markup()
    return {
        "css": markup(resource("page.css")),
        "bokeh_js": markup(bokeh_js),
        "page_js": markup(resource("page.js")),
        "light": {"text": TEXT, "grid": GRID},
    }


def script_json(value: Any) -> Any:
    """JSON inside a script element: no text in it can end the element."""
    return _markup()(json.dumps(value, separators=(",", ":"), default=_number).replace("<", "\\u003c"))


def _script_safe(code: str) -> str:
    return code.replace("</script", "<\\/script")


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _markup() -> Any:
    """Marks text as HTML; Jinja brings the package along."""
    _jinja()
    from markupsafe import Markup

    return Markup


def _breakable(name: str) -> Any:
    """A candidate's name that may be broken after an underscore."""
    markup = _markup()
    return markup("_<wbr>").join(markup.escape(part) for part in name.split("_"))


def _jinja() -> Any:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", "report") from error
    return jinja2


def resource(name: str, package: str = "premodel.evaluation.report") -> str:
    """Text of a file that comes with a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
