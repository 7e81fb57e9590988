"""Which files code reads while it is watched, as the interpreter itself sees them."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR
CODE_SUFFIXES = (".py", ".pyc", ".pyi", ".so", ".pyd")
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_watching: list[set[str]] = []
_lock = threading.Lock()
_hooked = False


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Names of the files that are opened for reading meanwhile, those of code left out, as they were named.

    Notes
    -----
    Seen are those that Python opens (audit event `open`, PEP 578); what a library in C opens itself is not. A hook
    cannot be taken away again: one stays for the life of the process, and does nothing while nobody watches.
    """
    global _hooked
    found: set[str] = set()
    with _lock:
        if not _hooked:
            sys.addaudithook(_note)
            _hooked = True
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.remove(found)


def read_beneath(found: set[str], folder: Path) -> list[Path]:
    """Those of them that are files beneath a folder, relative to it, in order; none of installed packages.

    Notes
    -----
    An environment often lies in the folder of the project. What an installed package reads of its own is known by the
    version of the package.
    """
    root = folder.absolute()
    installed = [place for place in _installed() if not root.is_relative_to(place)]
    paths = {Path(os.path.normpath(Path(name).absolute())) for name in found}
    own = (path for path in paths if path.is_relative_to(root) and not any(map(path.is_relative_to, installed)))
    return sorted(path.relative_to(root) for path in own if path.is_file())


def _installed() -> list[Path]:
    """Folders of the interpreter, of its environment and of what is installed there."""
    ours = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = {name for name in sys.path if Path(name).name in PACKAGE_FOLDERS}
    return [Path(os.path.normpath(Path(name).absolute())) for name in (*ours, *packages) if name]


def _note(event: str, given: tuple[object, ...]) -> None:
    if not _watching or event != "open":
        return
    path, _, flags = given
    if isinstance(path, bytes | os.PathLike):
        path = os.fsdecode(path)
    if isinstance(path, str) and not path.endswith(CODE_SUFFIXES) and not (isinstance(flags, int) and flags & WRITING):
        for found in _watching:
            found.add(path)
