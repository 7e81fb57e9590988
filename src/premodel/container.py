"""The sealed zip file that a bundle is: uncompressed members, fixed dates, and a digest over every byte.

The zip comment holds the SHA-256 of all bytes before it, so one changed byte anywhere is noticed, in the zip's own
records too. Members are stored without compression: none can be larger than the file itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from premodel.errors import BundleError
from premodel.files import replacing

SEAL = b"premodel-sha256:"
DIGITS = 64
COMMENT_BYTES = len(SEAL) + DIGITS
END_RECORD_BYTES = 22
MAX_MEMBERS = 10_000
CHUNK_BYTES = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member, so that equal contents are equal bytes."""

ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
    OverflowError,
    EOFError,
    OSError,
)
"""All that zipfile raises on hostile bytes: OSError where a record names a place that no file can have."""


class Container:
    """The members of a zip file whose names, sizes and forms were checked before any is read.

    Parameters
    ----------
    stream:
        Seekable; read on demand.
    where:
        For messages.

    Attributes
    ----------
    sizes:
        Bytes of each member, by name.

    Raises
    ------
    BundleError
        No zip file, or one with compressed, encrypted or repeated members, or with too many.
    """

    def __init__(self, stream: IO[bytes], where: object) -> None:
        self._where = where
        try:
            self._zip = zipfile.ZipFile(stream)
            members = self._zip.infolist()
        except ZIP_ERRORS as error:
            raise BundleError("damaged or no bundle", where=where, given=error) from error
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise BundleError(
                    "a member is compressed", where=where, given=member.filename, allowed="stored members"
                )
            if not member.filename or member.flag_bits & 0x1 or member.is_dir():
                raise BundleError("a member is encrypted, a folder or nameless", where=where, given=member.filename)
        self.sizes = {member.filename: member.file_size for member in members}
        if len(self.sizes) != len(members) or len(members) > MAX_MEMBERS:
            raise BundleError("members are repeated or too many", where=where, given=len(members), allowed=MAX_MEMBERS)
        if sum(self.sizes.values()) > stream.seek(0, os.SEEK_END):
            raise BundleError("members overlap", where=where)

    def read(self, name: str) -> bytes:
        """All bytes of a member, its checksum verified."""
        try:
            return self._zip.read(name)
        except (KeyError, *ZIP_ERRORS) as error:
            raise BundleError(f"member {name} is missing or damaged", where=self._where, given=error) from error

    def copy(self, name: str, target: IO[bytes]) -> None:
        """Copy a member in pieces, its checksum verified."""
        try:
            with self._zip.open(name) as source:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
        except (KeyError, *ZIP_ERRORS) as error:
            raise BundleError(f"member {name} is missing or damaged", where=self._where, given=error) from error


@contextlib.contextmanager
def open_sealed(path: Path, *, verify: bool = True) -> Iterator[Container]:
    """Open a sealed file after comparing its bytes with its digest.

    Parameters
    ----------
    verify:
        False skips the comparison: for a caller that verifies what it reads by another digest.

    Raises
    ------
    BundleError
        The file is missing, unreadable, foreign, cut short or changed.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise BundleError("no such bundle", where=path) from error
    except OSError as error:
        raise BundleError("bundle cannot be read", where=path, given=error.strerror) from error
    with stream:
        if verify:
            try:
                _check_seal(stream, path)
            except OSError as error:
                raise BundleError("bundle cannot be read", where=path, given=error.strerror) from error
        yield Container(stream, path)


def write_sealed(path: Path, members: Mapping[str, bytes | Path]) -> str:
    """Write members in order, sealed, in one piece: a reader sees the old file or the whole new one.

    Returns the digest in the seal, 64 hexadecimal digits. Values are bytes, or files to copy.

    Raises
    ------
    BundleError
        The file cannot be written, for want of room or of permission; nothing is left behind.
    """
    try:
        with replacing(path) as part, part.open("x+b") as stream:
            write_members(stream, members, comment=SEAL + b"0" * DIGITS)
            size = stream.tell()
            digest = _digest(stream, size - DIGITS)
            stream.seek(size - DIGITS)
            stream.write(digest.encode())
    except OSError as error:
        name = error.filename or path
        raise BundleError("bundle cannot be written", where=name, given=error.strerror or error) from error
    return digest


def write_members(stream: IO[bytes], members: Mapping[str, bytes | Path], comment: bytes = b"") -> None:
    """Write a zip file whose bytes depend on nothing but the members."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = comment
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            info.file_size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with archive.open(info, "w") as target:
                if isinstance(content, bytes):
                    target.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, target, CHUNK_BYTES)


def _check_seal(stream: IO[bytes], path: Path) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = stream.read(4)
    stream.seek(max(0, size - COMMENT_BYTES))
    end = stream.read()
    if start != b"PK\x03\x04" or size < END_RECORD_BYTES + COMMENT_BYTES or not end.startswith(SEAL):
        raise BundleError(
            "file must be a whole bundle: it is another file, or one that was cut short or changed", where=path,
            given=f"{size} bytes",
            do="give a file written by `premodel train`",
        )  # fmt: skip
    if _digest(stream, size - DIGITS).encode() != end[len(SEAL) :]:
        raise BundleError(
            "damaged bundle: its bytes are not those that its digest names", where=path,
            do="copy it again, or train it again",
        )  # fmt: skip


def _digest(stream: IO[bytes], count: int) -> str:
    """SHA-256 of the first `count` bytes."""
    stream.seek(0)
    digest = hashlib.sha256()
    while count > 0:
        chunk = stream.read(min(CHUNK_BYTES, count))
        if not chunk:
            break
        digest.update(chunk)
        count -= len(chunk)
    return digest.hexdigest()
