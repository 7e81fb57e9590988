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
TEXTS, MODELS, TEXT_BUNDLE = "texts", "models", "documentation.premodel"
OUTPUTS = (SCENES, BENCH, STORE, BUNDLE, REPORT)
TEXT_OUTPUTS = (TEXTS, BENCH, MODELS, STORE, TEXT_BUNDLE, REPORT)


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
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            raise OptionError("the folder cannot be used", where=path, given=error.strerror) from error
        self.known = self._read().get("made_by") == "premodel demo"
        if held and not self.known:
            raise OptionError(
                "the folder is not empty and was not made by premodel demo",
                where=path,
                given=", ".join(held[:4]),
                do="choose another with --out; nothing was touched",
            )

    def claim(self, settings: dict[str, Any], domain: str = "image") -> None:
        """Write down that the folder is a demo's, and what was asked for.

        Raises
        ------
        OptionError
            It holds a demo on inputs of another domain.
        """
        earlier = self._read().get("domain", "image") if self.known else domain
        if earlier != domain:
            raise OptionError(
                "the folder holds a demo of another domain", where=self.path, given=earlier, allowed=domain,
                do="choose another with --out; nothing was touched",
            )  # fmt: skip
        outputs = TEXT_OUTPUTS if domain == "text" else OUTPUTS
        about = {"made_by": "premodel demo", "version": __version__, "files": list(outputs), "domain": domain}
        text = json.dumps({**about, **settings}, indent=2)
        write_whole(self.path / MARK, (text + "\n").encode())

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def _read(self) -> dict[str, Any]:
        """What an earlier demo wrote down; nothing where there was none."""
        try:
            found = json.loads((self.path / MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
