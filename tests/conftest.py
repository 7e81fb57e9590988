"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PREMODEL_SHARED", ROOT.parent / "shared"))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # As in a job that a script started in the background: commands under test would inherit it, and not see Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_energy_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests measure no energy of the machine they run on, which would take minutes; those of meters bring their own."""
    if importlib.util.find_spec("sqlalchemy") is not None:
        from premodel.profiling.passes import energy as energy_pass

        monkeypatch.setattr(energy_pass, "SYSFS", ROOT / "no-sysfs")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and images; a test that needs it skips where it is absent."""
    if not (SHARED / "imagenet" / "zoo.toml").is_file():
        pytest.skip(f"real models and images are not at {SHARED}; set PREMODEL_SHARED to their folder")
    return SHARED


@pytest.fixture(scope="session")
def imagenet(shared: Path) -> Path:
    """Six real models and 1,500 real images."""
    return shared / "imagenet"
