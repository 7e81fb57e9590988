"""Reading files whose paths come from somebody else: never a device or a pipe, never more than a limit."""

from __future__ import annotations

import errno
import stat
from pathlib import Path


def require_regular(path: Path) -> None:
    """Raise OSError unless this is a regular file: a device never ends, and a pipe may never begin."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """All bytes of a regular file; OSError if it cannot be read or is larger."""
    require_regular(path)
    with path.open("rb") as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes")
    return data


def is_regular(path: Path) -> bool:
    """Whether a regular file is there; False also for a name that no file can have."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
