"""Imports go strictly down, and the device loads nothing it does not need."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import premodel

PACKAGE = Path(premodel.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "redact": -1,
    "errors": 0, "signatures": 0, "version": 0, "records": 0, "stats": 0, "verdict": 0, "files": 1, "clock": 1,
    "fields": 2, "container": 2, "arrays": 3,
    "protocol": 3, "backends": 4, "domains": 5, "zoo": 6,
    "runtime": 7,
    "store": 8, "serving": 8,
    "profiling": 9,
    "zoo_tools": 10, "training": 10,
    "evaluation": 11, "paper": 12,
    "demo": 13,
    "cli": 14,
}  # fmt: skip
SAME_FLOOR_ALLOWED = {("records", "errors"), ("stats", "errors"), ("stats", "records")}
IMAGES_ONLY = ("domains/image", "domains/registry.py", "zoo_tools/init", "demo/digits.py", "runtime/image.py")
"""Who may know of images: the domain, its registration, the search for the preprocessing of image models, the demo's
drawn scenes, and an old name of `decode`."""
HEAVY = (
    "sklearn", "scipy", "pandas", "sqlalchemy", "pydantic", "plotly", "bokeh", "jinja2", "matplotlib", "pyarrow",
    "tqdm",
)  # fmt: skip


@cache
def module_files() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def part_of(module: str) -> str:
    """The subpackage or top-level module below `premodel` that a dotted name belongs to."""
    return module.split(".")[1] if "." in module else ""


@cache
def imports(file: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return frozenset(name for name in found if name == "premodel" or name.startswith("premodel."))


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def late_imports(file: Path) -> frozenset[str]:
    """Modules that a file may import by name: its strings that name one, and what a `premodel.folder.{name}` can."""
    tree = tree_of(file)
    names = {module_name(other) for other in module_files()}
    if not any(
        "import_module" in (node.id if isinstance(node, ast.Name) else node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    ):
        return frozenset()
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    found = {string.partition(":")[0] for string in strings} & names
    for folder in (string for string in strings if string.startswith("premodel.") and string.endswith(".")):
        found |= {folder + string for string in strings} & names
    return frozenset(found - {module_name(file)})


@pytest.mark.parametrize("file", module_files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_strictly_down(file: Path) -> None:
    relative = file.relative_to(PACKAGE)
    if relative == Path("__init__.py"):
        return  # the package's face
    own = relative.parts[0].removesuffix(".py")
    for name in imports(file):
        assert name != "premodel", f"{relative} imports the package root instead of the defining module"
        other = part_of(name)
        if other == own:
            continue
        down = FLOORS[other] < FLOORS[own] or (own, other) in SAME_FLOOR_ALLOWED
        assert down, f"{relative} ({own}) imports {name} ({other})"


def test_no_import_cycles_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    for file in module_files():
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[name] = imports(file) | set(late_imports(file))
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "cycle: " + " -> ".join((*path[path.index(name) :], name))
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_only_the_store_knows_sql() -> None:
    speakers = {
        file.relative_to(PACKAGE).parts[0]
        for file in module_files()
        for node in ast.walk(tree_of(file))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.partition(".")[0] == "sqlalchemy"
    }
    assert speakers == {"store"}


def test_only_the_domain_of_images_knows_images() -> None:
    for file in module_files():
        relative = file.relative_to(PACKAGE).as_posix()
        if relative.startswith(IMAGES_ONLY):
            continue
        named = {
            name
            for node in ast.walk(tree_of(file))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        } | late_imports(file)
        known = {name for name in named if name.partition(".")[0] in ("cv2", "PIL")}
        known |= {name for name in named if name.startswith("premodel.domains.image")}
        assert not known, f"{relative} imports {', '.join(sorted(known))}"


@pytest.mark.parametrize("package", ["training", "evaluation", "paper", "cli"])
def test_what_comes_after_profiling_names_no_table_of_the_store(package: str) -> None:
    for file in (PACKAGE / package).rglob("*.py"):
        assert "premodel.store.schema" not in imports(file), file


@pytest.mark.parametrize("package", ["protocol", "backends", "domains", "zoo", "runtime", "serving"])
def test_device_packages_load_nothing_heavy(package: str) -> None:
    folder = PACKAGE / package
    if not folder.is_dir():
        pytest.skip(f"premodel.{package} is not there yet")
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted(folder.rglob("*.py"))
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*sorted({set(HEAVY)!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.split() == []


OUTSIDE = sorted(
    file
    for folder in ("benchmarks", "recipes", "examples", "docs")
    for file in (ROOT / folder).rglob("*.py")
    if "build" not in file.parts
)


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_scripts_outside_the_package_import_from_it_is_there(file: Path) -> None:
    """They need packages of their own and are not run here: a name that has moved would be found by a user."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "premodel":
            module = importlib.import_module(node.module or "")
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
