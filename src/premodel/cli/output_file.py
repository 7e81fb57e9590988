"""Where a command may write its file: asked before the work begins, which may take minutes."""

from __future__ import annotations

import os
from pathlib import Path

from premodel.errors import OptionError


def output_file(text: str, what: str) -> Path:
    """The path of a file to be written.

    Raises
    ------
    OptionError
        It is a folder, its folder is not there, or this user may not write to it.
    """
    path = Path(text)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise OptionError(f"the {what} cannot be written there", given=text, allowed="a file in an existing folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"the {what} cannot be written there, for want of permission", given=text, allowed="a folder of yours"
        )
    return path
