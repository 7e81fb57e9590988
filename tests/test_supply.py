"""No pickle and nothing evaluated in the source; no connection unless it is asked for; hashes for every package."""

from __future__ import annotations

import ast
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from premodel.cli.main import main
from zoos import write_zoo

ROOT = Path(__file__).parents[1]
PACKAGE = Path(premodel.__file__).parent
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__"}


def offences(source: str) -> list[str]:
    """Imports and calls that could run what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in CALLS or (
                attribute == "load" and ast.unparse(node.func) in ("np.load", "numpy.load", "torch.load")
            ):
                found.append(ast.unparse(node.func))
            found += [
                "allow_pickle"
                for keyword in node.keywords
                if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) is not False
            ]
            if any(keyword.arg == "shell" for keyword in node.keywords):
                found.append("shell")
    return found


def test_the_reader_of_source_finds_what_it_looks_for() -> None:
    for line in (
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "np.load(f)",
        "f(allow_pickle=True)",
        "run(shell=True)",
    ):
        assert len(offences(line)) == 1, line
    assert offences("import re\nre.compile('x')\nf(allow_pickle=False)") == []


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_is_unpickled_or_evaluated(file: Path) -> None:
    assert offences(file.read_text()) == []


def test_no_connection_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def refuse(_: socket.socket, address: Any) -> None:
        if not isinstance(address, str | bytes):  # a Unix socket stays on this machine
            tried.append(address)
        raise ConnectionRefusedError("no connection in this test")

    def no_name(host: Any, *_: Any, **__: Any) -> None:
        tried.append(host)
        raise socket.gaierror("no name in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    correct = np.random.default_rng(5).random((60, 3)) < 0.6
    small = write_zoo(tmp_path / "zoo", correct=correct)
    store, bundle = tmp_path / "s.db", tmp_path / "a.premodel"
    data = [str(small.zoo), str(small.data), "--labels", str(small.labels)]
    assert main(["profile", *data, "--store", str(store), "--max-timing-seconds", "0.2"]) == 0
    assert main(["train", str(store), "--out", str(bundle), "--policy", "cascade"]) == 0
    assert main(["predict", str(bundle), str(small.images[0]), "--json"]) == 0
    assert main(["evaluate", str(store), "--policy", "single", "--folds", "3", "--json"]) == 0
    assert tried == []


def test_every_locked_package_has_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text())
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert len(packages) > 50
    for entry in packages:
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]
        assert "file:" not in entry
