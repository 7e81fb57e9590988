"""The folder of a demo: which files are the demo's own, so that nobody else's are written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from premodel.errors import OptionError
from premodel.files import write_whole
from premodel.version import __version__

MARK = "demo.json"
SCENES, BENCH, STORE, BUNDLE, REPORT = "scenes", "bench", "profile.db", "digits.premodel", "report.html"
OUTPUTS = (SCENES, BENCH, STORE, BUNDLE, REPORT)


class Folder:
    """A folder that holds a demo and nothing else of those names.

    The folder is new or empty, or `demo.json` in it states that an earlier demo made it.

    Parameters
    ----------
    path:
        Made if absent.

    Raises
    ------
    OptionError
        It cannot be made, or it holds somebody else's files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        mark = path / MARK
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            raise OptionError("the folder cannot be used", where=path, given=error.strerror) from error
        self.known = self._is_ours(mark)
        if held and not self.known:
            raise OptionError(
                "the folder is not empty and was not made by premodel demo",
                where=path,
                given=", ".join(held[:4]),
                do="choose another with --out; nothing was touched",
            )

    def claim(self, settings: dict[str, Any]) -> None:
        """Write down that the folder is a demo's, and what was asked for."""
        text = json.dumps(
            {"made_by": "premodel demo", "version": __version__, "files": list(OUTPUTS), **settings}, indent=2
        )
        write_whole(self.path / MARK, (text + "\n").encode())

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @staticmethod
    def _is_ours(mark: Path) -> bool:
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and found.get("made_by") == "premodel demo"
