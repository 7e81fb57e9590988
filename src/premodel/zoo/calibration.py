"""The file of calibration samples: one SHA-256 per line, followed by where the sample was last seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from premodel.errors import ZooError
from premodel.fields import shown
from premodel.files import read_regular

MAX_BYTES = 64 << 20
HEADER = (
    "# Samples that models of this zoo were calibrated on, by the SHA-256 of their bytes.\n"
    "# They are left out of profiles, and so of training and evaluation.\n"
)


def read_calibration(file: Path) -> dict[str, str]:
    """The samples in such a file: SHA-256 -> name.

    Raises
    ------
    ZooError
        It cannot be read, or a line does not begin with 64 hexadecimal digits.
    """
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ZooError(f"file of calibration samples cannot be read ({error.strerror})", where=file) from error
    except ValueError as error:
        raise ZooError("file of calibration samples is not UTF-8 text", where=file) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        digest, _, name = line.strip().partition(" ")
        if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
            raise ZooError(
                "a line must begin with a SHA-256", where=f"{file}:{number}", given=shown(line),
                allowed="64 hexadecimal digits, then a name",
            )  # fmt: skip
        found[digest.lower()] = name.strip()
    return found


def calibration_text(samples: Mapping[str, str]) -> str:
    """What `read_calibration` reads."""
    lines = [f"{digest} {' '.join(samples[digest].split())}".rstrip() + "\n" for digest in sorted(samples)]
    return HEADER + "".join(lines)
