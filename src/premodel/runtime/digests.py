"""Digests of files: what a model file is known by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from premodel.errors import ModelError
from premodel.runtime.regular_file import require_regular


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
