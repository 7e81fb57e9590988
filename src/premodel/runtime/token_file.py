"""The token that a server wants and a client bears: one line in a file."""

from __future__ import annotations

from pathlib import Path

from premodel.errors import OptionError

MIN_TOKEN = 16
MAX_TOKEN_FILE_BYTES = 4096


def read_token(path: Path) -> str:
    """The token in a file, white space around it dropped.

    Raises
    ------
    OptionError
        The file cannot be read, or holds no token of printable ASCII characters without spaces.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_TOKEN_FILE_BYTES + 1).decode("ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not ASCII text"
        raise OptionError(f"token file cannot be read ({reason})", where=path) from error
    if not MIN_TOKEN <= len(text) <= MAX_TOKEN_FILE_BYTES or not text.isprintable() or " " in text:
        raise OptionError(
            "token file holds no token",
            where=path,
            given=f"{len(text)} characters",
            allowed=f"one line of {MIN_TOKEN} or more printable characters without spaces",
            do="make one with: openssl rand -hex 32",
        )
    return text
