"""What a Python callable is made of: its source file and the packages it imports, found without importing anything."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from premodel.errors import ModelError
from premodel.files import file_sha256, read_regular

TARGET = re.compile(r"(?P<file>[^:\0]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)")
TARGET_FORM = "package.module:function, or file.py:function beside the manifest"
UNCOUNTED = frozenset({"numpy", "cv2", "premodel"})
"""Packages whose version is not noted: premodel itself rests on them, as it does under every other runtime."""
MAX_SOURCE_BYTES = 16 << 20
MAX_FILES = 2000
"""Of a package without a version, whose sources are digested instead."""
DIGEST_CHARACTERS = 16


def module_of(target: str) -> str | None:
    """The module that a target names, None if it names a file; see TARGET_FORM."""
    place = target.rpartition(":")[0]
    return None if place.endswith(".py") else place


def name_of(target: str) -> str:
    """The attribute that a target names."""
    return target.rpartition(":")[2]


def find_module(name: str) -> Path | None:
    """The source file of a module, or its library; None if there is none. Neither it nor its package is imported."""
    places: Sequence[str] | None = None
    found: ModuleSpec | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        if end > 1 and places is None:
            return None
        found = _find_spec(".".join(parts[:end]), places)
        if found is None:
            return None
        places = found.submodule_search_locations
    if found is None or not found.origin or not Path(found.origin).is_file():
        return None
    return Path(found.origin)


def sibling_files(file: Path) -> tuple[str, ...]:
    """Names of the modules beside a file that it imports, directly or through one another; none within a package."""
    folder = file.parent
    if (folder / "__init__.py").exists():
        return ()
    found: dict[str, None] = {}
    waiting = [file]
    while waiting:
        for name in _imported(waiting.pop()):
            sibling = f"{name}.py"
            own = name not in sys.stdlib_module_names and sibling not in (*found, file.name)
            if own and (folder / sibling).is_file():
                found[sibling] = None
                waiting.append(folder / sibling)
    return tuple(sorted(found))


def names_from_elsewhere(file: Path, module: str | None) -> frozenset[str]:
    """Names that a source imports from other packages than its own, as it calls them.

    Parameters
    ----------
    file:
        The source.
    module:
        Its name; None for a file by itself.
    """
    own = "" if module is None else module.partition(".")[0]
    found: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] != own:
            found.update(alias.asname or alias.name for alias in node.names)
    return frozenset(found)


def package_versions(file: Path, module: str | None) -> dict[str, str]:
    """Version of every package that a source file imports, and of the one it belongs to, by name.

    Where a package has no version, or is installed as a folder that is worked on, a digest of its sources.

    Parameters
    ----------
    file:
        The source.
    module:
        Its name; None for a file by itself.
    """
    siblings = sibling_files(file) if module is None else ()
    names = {name for one in (file, *(file.parent / name for name in siblings)) for name in _imported(one)}
    names -= {name.removesuffix(".py") for name in siblings} | {file.stem if module is None else ""}
    if module is not None:
        names.add(module.partition(".")[0])
    versions = {name: _version(name) for name in sorted(names - sys.stdlib_module_names - UNCOUNTED)}
    return {name: version for name, version in versions.items() if version}


def check_packages(stated: Mapping[str, str], target: str, where: Path) -> None:
    """Compare the packages that are here with those that were profiled.

    Raises
    ------
    ModelError
        One is another, or is not installed.
    """
    for name, version in stated.items():
        found = _version(name)
        if found != version:
            dist = _distribution(name) or name
            raise ModelError(
                f"{target} was profiled with {dist} {version}", where=where, given=found or "not installed",
                allowed=version, do=f"install it with: pip install {dist}=={version}, or profile again",
            )  # fmt: skip


def _find_spec(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            found: ModuleSpec | None = find and find(name, places, None)
        except (ImportError, AttributeError, ValueError, TypeError, OSError):
            continue
        if found is not None:
            return found
    return None


def _imported(file: Path) -> set[str]:
    """First names of the modules that a source imports anywhere; none if it is no source."""
    return set(_names(_tree(file)))


def _tree(file: Path) -> ast.AST:
    """A source, parsed; an empty one if it is none."""
    try:
        return ast.parse(read_regular(file, MAX_SOURCE_BYTES))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):  # opening it will tell
        return ast.Module([], [])


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    from importlib import metadata  # here and below: a device that runs no callable need not wait for it

    return metadata.packages_distributions()


def _distribution(name: str) -> str | None:
    """The distribution that brings a package, as pip has it."""
    from importlib import metadata

    try:
        return str(metadata.distribution(name).metadata["Name"])
    except (metadata.PackageNotFoundError, ValueError, KeyError):
        return next(iter(_distributions().get(name, ())), None)


def _version(name: str) -> str:
    """Version of a package, or a digest of its sources; empty if there is none."""
    from importlib import metadata

    place = find_module(name)
    dist = _distribution(name)
    if dist is not None:
        found = metadata.distribution(dist)
        editable = '"editable": true' in (found.read_text("direct_url.json") or "")
        if not editable:
            return found.version if place is not None or _find_spec(name, None) is not None else ""
    return "" if place is None else f"source {_sources_digest(place)}"


def _sources_digest(place: Path) -> str:
    files = sorted(place.parent.rglob("*.py"))[:MAX_FILES] if place.name == "__init__.py" else [place]
    lines = [f"{one.relative_to(place.parent).as_posix()} {file_sha256(one)}" for one in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGEST_CHARACTERS]
