"""The files of a reproduction: JSON, page, one CSV per table. Only files that are ours are ever overwritten."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from premodel.errors import OptionError
from premodel.evaluation.report.page import write_page
from premodel.paper.page import MAKER, FindImage, render
from premodel.paper.reproduce import Reproduction
from premodel.paper.results import DataTable

DATA, PAGE, TABLES = "reproduce.json", "reproduce.html", "tables"


def check_folder(out: Path) -> None:
    """Find out before the work whether the folder may be written to; it is made if it is absent.

    Raises
    ------
    OptionError
        It is a file, cannot be made, or holds a file of ours' names that `premodel reproduce` did not write.
    """
    try:
        (out / TABLES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError("no folder can be made there", where=out, given=error.strerror) from error
    ours = _written_before(out)
    there = [path for path in (out / DATA, out / PAGE, *sorted((out / TABLES).iterdir())) if path.exists()]
    for path in there:
        if path.relative_to(out).as_posix() not in ours and not path.name.endswith(".part"):
            raise OptionError(
                "the folder holds a file of another origin", where=path, do="name another folder, or move the file"
            )


def write_files(found: Reproduction, out: Path, title: str, find: FindImage | None = None) -> list[Path]:
    """Write everything, each file whole or not at all.

    The JSON comes first: it lists the others, so that an interrupted run leaves nothing that the next takes for
    another's.

    Raises
    ------
    MissingExtraError
        Bokeh or Jinja is not installed.
    OptionError
        A file cannot be written.
    """
    tables = {f"{TABLES}/{result.id}-{one.name}.csv": one for result in found.results for one in result.tables}
    tables = {f"{TABLES}/comparisons.csv": _comparisons(found), **tables}
    page = render(found, title, find)
    names = [DATA, PAGE, *tables]
    texts = {DATA: json.dumps({"made_by": MAKER, "files": names, **found.to_json()}, indent=1) + "\n", PAGE: page}
    texts |= {name: _csv(table) for name, table in tables.items()}
    for name, text in texts.items():
        write_page(text, out / name)
    return [out / name for name in texts]


def _written_before(out: Path) -> set[str]:
    """Names of the files that an earlier run wrote."""
    try:
        data: Any = json.loads((out / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(data, dict) or data.get("made_by") != MAKER:
        return set()
    return {str(name) for name in data.get("files", ())}


def _csv(table: DataTable) -> str:
    """A table as CSV: raw values, nothing for what was not measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return text.getvalue()


def _comparisons(found: Reproduction) -> DataTable:
    """Every value beside the paper's, in one table."""
    rows = []
    for result in found.results:
        for one in result.comparisons:
            low, high = one.ci if one.ci is not None else (None, None)
            theirs = one.published
            rows.append(
                (
                    result.id, one.what, one.ours, low, high, one.unit, one.definition,
                    None if theirs is None else theirs.value, None if theirs is None else theirs.text,
                    None if theirs is None else theirs.definition, None if theirs is None else theirs.where,
                    None if theirs is None else theirs.whose,
                    one.explanation,
                )
            )  # fmt: skip
    header = (
        "experiment", "what", "here", "interval from", "to", "unit", "definition", "paper", "paper, as printed",
        "paper's definition", "where", "whose", "what explains the difference",
    )  # fmt: skip
    return DataTable("comparisons", "Every value beside the paper's", header, tuple(rows))
