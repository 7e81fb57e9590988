"""A file that is away for a while."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def aside(file: Path) -> Generator[None]:
    """Move a file out of the way, and back at the end."""
    place = file.with_name(f".{file.name}.aside")
    file.rename(place)
    try:
        yield
    finally:
        place.rename(file)
