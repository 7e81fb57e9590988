"""Paths of another machine: the file here that ends as they do."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from premodel.errors import DatasetError

ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|\\\\|/")


class FilesBelow:
    """The files below some folders, by the ends of their paths.

    Attributes
    ----------
    moved:
        Paths of another machine that were found here: as written -> the file.
    """

    def __init__(self, bases: Sequence[Path]) -> None:
        self._bases = bases
        self._by_name: dict[str, list[tuple[str, ...]]] | None = None
        self.moved: dict[str, Path] = {}

    def find(self, name: str, place: str) -> Path | None:
        """The file whose path has the longest end in common with an absolute path; None if none has its name.

        Raises
        ------
        DatasetError
            Several are as good, or the file was found for another path already.
        """
        if not ABSOLUTE.match(name):
            return None
        parts = tuple(_composed(part) for part in re.split(r"[\\/]+", name) if part)
        if not parts:
            return None
        shared = {found: _shared(parts, found) for found in self._files().get(parts[-1], [])}
        longest = max(shared.values(), default=0)
        best = [found for found, count in shared.items() if count == longest]
        if not best:
            return None
        if len(best) > 1:
            one, other = (Path(*parts) for parts in sorted(best)[:2])
            raise DatasetError(
                "a path of another machine fits several files", where=place, given=name[:200],
                allowed="one file that ends as it does",
                do=f"write paths relative to the table: it may be {one} or {other}",
            )  # fmt: skip
        path = Path(*best[0])
        twin = next((one for one, taken in self.moved.items() if taken == path and one != name), None)
        if twin is not None:
            raise DatasetError(
                "two paths of another machine fit one file", where=place, given=f"{name[:100]} and {twin[:100]}",
                allowed="a file here for each", do="write paths relative to the table",
            )  # fmt: skip
        self.moved[name] = path
        return path

    def note(self) -> list[str]:
        """What was taken for what, one line; none if nothing was."""
        if not self.moved:
            return []
        name, path = next(iter(self.moved.items()))
        counted = "1 path" if len(self.moved) == 1 else f"{len(self.moved)} paths"
        return [f"{counted} of another machine: found by their ends, such as {name} as {path}"]

    def _files(self) -> dict[str, list[tuple[str, ...]]]:
        """Name -> the parts of every path below the folders that ends with it; each file once."""
        if self._by_name is None:
            self._by_name = {}
            seen: set[str] = set()
            for base in self._bases:
                for folder, _, files in os.walk(base):
                    for file in files:
                        path = Path(folder, file)
                        if (real := os.path.realpath(path)) not in seen:
                            seen.add(real)
                            self._by_name.setdefault(_composed(file), []).append(path.parts)
        return self._by_name


def _shared(parts: tuple[str, ...], found: tuple[str, ...]) -> int:
    """How many parts two paths have in common, from the end."""
    count = 0
    for one, other in zip(reversed(parts), reversed(found), strict=False):
        if one != _composed(other):
            break
        count += 1
    return count


def _composed(part: str) -> str:
    return unicodedata.normalize("NFC", part)
