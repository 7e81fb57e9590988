"""Files: read if they are regular and not too large, written whole or not at all; digests; tokens."""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from premodel.errors import ModelError, OptionError


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


UTF16_SEEN = 32
"""Bytes by which the encoding of a text is recognised."""


def encoding_of(raw: bytes) -> str:
    """UTF-16 by its byte order mark, or by the zero bytes of its first, Latin letters; else UTF-8.

    Examples
    --------
    >>> encoding_of("cat".encode("utf-16")), encoding_of("cat".encode("utf-16-le")), encoding_of(b"cat")
    ('utf-16', 'utf-16-le', 'utf-8-sig')
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first, second = raw[:UTF16_SEEN:2], raw[1:UTF16_SEEN:2]
    if second and not any(second) and any(first):
        return "utf-16-le"
    if first and not any(first) and any(second):
        return "utf-16-be"
    return "utf-8-sig"


def wrong_byte(error: UnicodeDecodeError) -> str:
    r"""Which byte is no UTF-8, and where, for a message.

    Examples
    --------
    >>> data = b"one\ntwo \xff"
    >>> try:
    ...     data.decode()
    ... except UnicodeDecodeError as error:
    ...     print(wrong_byte(error))
    byte 0xff, line 2, byte 5 of the line
    """
    before = error.object[: error.start]
    line, place = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"byte 0x{error.object[error.start]:02x}, line {line}, byte {place} of the line"


def is_regular(path: Path) -> bool:
    """Whether a regular file is there; False also for a name that no file can have."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def is_inside(name: str) -> bool:
    """Does a relative name stay beneath the folder it is relative to, on every platform."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    leads_out = posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts)
    return bool(posix.parts) and "\0" not in name and not leads_out


FileMark = tuple[int, int, int, int]
"""Device, inode, size and time of the last change of a file; one that was written to has another."""


def file_mark(path: Path) -> FileMark | None:
    """What shows, without reading it, that a file was changed or replaced; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all: gives the path of a new file, which takes the place of `path` at the end.

    If the body raises, nothing is left behind and the old file stays. A process that is killed meanwhile leaves the
    old file too, and at most a hidden file `.NAME.TOKEN.part` beside it.

    Parameters
    ----------
    durable:
        Wait until the content is on the disk before it takes its place, so that a power failure cannot leave an empty
        file; False where many small files are written that can be made again.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = _part_of(path)
    try:
        yield part
        if durable:
            with part.open("r+b") as stream:
                os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def creating(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all where none is: gives the path of a new file, which gets the name at the end.

    If another process made `path` meanwhile, its file stays and this one is dropped; on a disk without hard links it
    is replaced. If the body raises, nothing is left behind.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = _part_of(path)
    try:
        yield part
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    """A hidden file beside `path` that nobody else writes."""
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.part")


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write bytes to a file whole or not at all, see `replacing`; OSError if that cannot be done."""
    with replacing(path, durable=durable) as part:
        part.write_bytes(content)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces; ModelError if it cannot be read."""
    return _hash_file(path, "sha256", b"")


def file_git_blob_sha1(path: Path) -> str:
    """SHA-1 as Git computes it for a blob: over "blob <size>", a zero byte and the content."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"model file cannot be read ({error.strerror})", where=path) from error
    return _hash_file(path, "sha1", b"blob %d\0" % size)


def _hash_file(path: Path, algorithm: str, prefix: bytes) -> str:
    digest = hashlib.new(algorithm, prefix, usedforsecurity=False)
    try:
        require_regular(path)
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise ModelError(f"model file cannot be read ({error.strerror})", where=path) from error
    return digest.hexdigest()


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
