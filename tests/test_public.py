"""The public face: small, complete, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import premodel


def test_all_is_there() -> None:
    assert dir(premodel) == sorted(premodel.__all__)
    for name in premodel.__all__:
        assert getattr(premodel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        premodel.nothing  # noqa: B018


def test_import_brings_neither_numpy_nor_opencv() -> None:
    code = "import sys, premodel; print(*sorted({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_runtime_brings_no_module_that_only_a_workstation_or_a_server_uses() -> None:
    heavy = "{'logging', 'importlib.metadata', 'email', 'csv', 'socket', 'ssl', 'sqlalchemy', 'scipy', 'sklearn'}"
    brought = "import sys, premodel.runtime.engine, premodel.domains.image.domain"
    code = f"{brought}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
