"""From results to the tables of README.md and to curves.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from points import CurveFigures, Resamples, curve_figures, dominance, interval

from premodel.stats import upper_hull
from premodel.training.labels import optimum

if TYPE_CHECKING:
    from bench import Comparison

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
OURS = "cascade-routing"
SHOWN_SINGLES = 8
FIGURES = {
    "imagenet": ((1.6, 1.8), (1.45, 1.6), (1.5, 2.5)),
    "imagenet-views": ((1.6, 1.8), (1.45, 1.6), (1.5, 2.5)),
    "cifar10": ((3.0, 5.0), None, None),
}
"""To reach and aim: speed-up at no loss, at +0.5 points, gain in points at equal time."""
QUESTIONS = ("speed-up at no loss", "speed-up at +0.5 points", "gain at equal time, points")

Triple = tuple[float, float, float]


def write_readme(folder: Path, comparisons: Sequence[Comparison], absent: Sequence[str], seconds: float) -> None:
    """Put the tables between the markers of README.md and write curves.csv beside it."""
    readme = folder / "README.md"
    text = readme.read_text() if readme.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [*_goals(comparisons), *(line for one in comparisons for line in _section(one))]
    parts += [f"Note: {reason}." for reason in absent]
    parts += ["", f"This run took {seconds / 60:.0f} minutes; what the work folder already held is not in that."]
    readme.write_text(f"{before}{BEGIN}\n" + "\n".join(parts) + f"\n{END}{after}")
    with (folder / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "criterion", "method", "point", "latency_ms", "accuracy"))
        for one in comparisons:
            for method, points in {**one.curves, **one.competence}.items():
                for name, right, ms in zip(points.names, points.right, points.latency_ms, strict=True):
                    row = (one.case.key, one.criterion, method, name, f"{ms.mean():.4f}", f"{right.mean():.5f}")
                    writer.writerow(row)


def _goals(comparisons: Sequence[Comparison]) -> list[str]:
    """What was to be reached, top-1, and whether it was."""
    rows = []
    for one in comparisons:
        if one.criterion != "top1" or OURS not in one.chosen or one.case.key not in FIGURES:
            continue
        resamples = Resamples(len(one.tables))
        right, base_ms = _best(one)
        curve = curve_figures(one.curves[OURS], right, base_ms, resamples)
        read = (curve.no_loss, curve.half_point, curve.equal_time)
        for position, goal in enumerate(FIGURES[one.case.key]):
            if goal is None:
                continue
            speedup, gain = _chosen_figures(one, OURS, position, resamples)
            floor = (0.0, 0.5, None)[position]
            if floor is None:
                reached = gain[0] >= goal[0] and gain[1] > 0 and speedup[0] >= 1
            else:
                reached = speedup[0] >= goal[0] and gain[0] >= floor
            rows.append(
                (
                    one.case.title,
                    QUESTIONS[position],
                    f"{goal[0]:g} ({goal[1]:g})",
                    f"{_times(speedup)}, {_points(gain)} points",
                    _points(read[position]) if floor is None else _times(read[position]),
                    "reached" if reached else "**not reached**",
                )
            )
    header = ("profile", "figure", "to reach (aim)", f"{OURS}, point chosen in the folds", "on its curve", "")
    return ["## Figures to reach, top-1", "", *_table(header, rows), ""] if rows else []


def _section(one: Comparison) -> list[str]:
    resamples = Resamples(len(one.tables))
    return [
        f"## {one.case.title}, {one.criterion.replace('top', 'top-')}",
        "",
        *_conditions(one),
        "",
        *_singles(one),
        "",
        "Points chosen in the training folds. Speed-up and gain in points are against the best single candidate.",
        "",
        *_chosen(one, resamples),
        "",
        "Read from the curves.",
        "",
        *_curves(one, resamples),
        "",
        *_competence(one, resamples),
        "",
        f"Does {OURS} lie above the others at every latency up to the dearest single candidate? "
        "Compared from where both curves have begun.",
        "",
        *_checks(one, resamples),
        "",
    ]


def _conditions(one: Comparison) -> list[str]:
    about = one.tables.conditions
    text = f"{len(one.tables)} samples, {one.left_out} left out because a candidate failed; "
    text += f"{about.get('cpu')}, {about.get('cores')} cores, governor {about.get('governor')}, "
    text += f"{about.get('threads')} thread; decode {one.tables.decode_ms:.3f} ms."
    other = about.get("other_cores")
    if isinstance(other, float) and other > 0.2:
        text += f" **Other programs kept {other:.1f} cores busy while latencies were measured.**"
    wrong = [name for name, timing in zip(one.tables.candidates, one.tables.timings, strict=True) if not timing.valid]
    if wrong:
        text += f" **INVALID timings: {', '.join(wrong)}.**"
    return [text]


def _singles(one: Comparison) -> list[str]:
    singles, tables = one.singles, one.tables
    hull = set(upper_hull(singles.latency_ms, singles.accuracy).tolist())
    order = np.argsort(singles.latency_ms, kind="stable").tolist()
    shown = order if len(order) <= SHOWN_SINGLES else [index for index in order if index in hull]
    rows = [
        (
            singles.names[index] + (" (best)" if index == singles.best else ""),
            f"{100 * singles.accuracy[index]:.2f}",
            f"{singles.latency_ms[index]:.3f}",
        )
        for index in shown
    ]
    yes = optimum(singles.correct, singles.latency_ms)
    ran = np.where(yes.any(axis=1), yes.argmax(axis=1), int(singles.latency_ms.argmin()))
    rows.append(("oracle", f"{100 * yes.any(axis=1).mean():.2f}", f"{singles.latency_ms[ran].mean():.3f}"))
    title = "single candidate" if len(shown) == len(order) else f"single candidate (hull of {len(tables.candidates)})"
    return _table((title, "accuracy %", "ms, end to end"), rows)


def _chosen(one: Comparison, resamples: Resamples) -> list[str]:
    rows = []
    for name in (*_ours(one), *(name for name in one.chosen if name not in _ours(one))):
        cells = [name]
        for position in range(3):
            if position >= len(one.chosen[name].names):
                cells += ["", ""]
                continue
            speedup, gain = _chosen_figures(one, name, position, resamples)
            cells += [_times(speedup), _points(gain)]
        rows.append((*cells, str(one.divisions[name])))
    header = (
        "method",
        "no loss: speed-up",
        "gain",
        "+0.5: speed-up",
        "gain",
        "equal time: speed-up",
        "gain",
        "divisions",
    )
    return _table(header, rows)


def _chosen_figures(one: Comparison, name: str, position: int, resamples: Resamples) -> tuple[Triple, Triple]:
    """Speed-up and gain in points at a chosen point."""
    right, base_ms = _best(one)
    points = one.chosen[name]
    speedup = base_ms / resamples.means(points.latency_ms[position][None])[:, 0]
    gain = 100 * resamples.means((points.right[position] - right)[None])[:, 0]
    return interval(speedup), interval(gain)


def _curves(one: Comparison, resamples: Resamples) -> list[str]:
    right, base_ms = _best(one)
    rows = []
    for name in (*_ours(one), *(name for name in one.curves if name not in _ours(one))):
        if len(one.curves[name].names) < 2:
            continue
        found: CurveFigures = curve_figures(one.curves[name], right, base_ms, resamples)
        rows.append((name, _times(found.no_loss), _times(found.half_point), _points(found.equal_time)))
    return _table(("method", *QUESTIONS), rows)


def _competence(one: Comparison, resamples: Resamples) -> list[str]:
    if not one.competence:
        return ["DESlib and deskit were not run: their environment could not be made."]
    right, base_ms = _best(one)
    rows = []
    for name, points in one.competence.items():
        for position, pool in enumerate(points.names):
            gain = interval(100 * resamples.means((points.right[position] - right)[None])[:, 0])
            mean_ms = float(points.latency_ms[position].mean())
            accuracy = f"{100 * points.right[position].mean():.2f}"
            rows.append((name, pool, accuracy, f"{mean_ms:.3f}", f"{base_ms / mean_ms:.2f}x", _points(gain)))
    header = ("on the image features", "pool", "accuracy %", "ms", "speed-up", "gain")
    return ["DESlib and deskit have no knob but their pool.", "", *_table(header, rows)]


def _checks(one: Comparison, resamples: Resamples) -> list[str]:
    if OURS not in one.curves:
        return [f"{OURS} was not run."]
    low, high = float(one.singles.latency_ms.min()), float(one.singles.latency_ms.max())
    rows = []
    for name, points in {**one.curves, **one.competence}.items():
        if name == OURS:
            continue
        to_ms = max(high, float(points.latency_ms.mean(axis=1).min()))
        found = dominance(one.curves[OURS], points, low, to_ms, resamples)
        place = f"{_points(found.least)} at {found.at_ms:.2f} ms"
        answer = "yes" if found.below == 0 else f"no, not at {100 * found.below:.1f} % of them"
        worse = f"{100 * found.significant:.1f} %" if found.significant else "none"
        rows.append((name, answer, place, worse))
    header = ("other", "above it at every latency", "least difference, points", "latencies at which it is surely below")
    return _table(header, rows)


def _best(one: Comparison) -> tuple[np.ndarray, float]:
    best = one.singles.best
    return one.singles.correct[:, best].astype(np.float64), float(one.singles.latency_ms[best])


def _ours(one: Comparison) -> list[str]:
    return [name for name in (OURS, "cascade", "auto", "select", "paper") if name in one.chosen]


def _times(value: Triple) -> str:
    if math.isnan(value[0]):
        return "not reached"
    return f"{value[0]:.2f}x [{_end(value[1], '.2f')}, {_end(value[2], '.2f')}]"


def _points(value: Triple) -> str:
    if math.isnan(value[0]):
        return "not reached"
    return f"{value[0]:+.2f} [{_end(value[1], '+.2f')}, {_end(value[2], '+.2f')}]"


def _end(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "none"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
