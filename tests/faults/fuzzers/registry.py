"""Every fuzzer there is: the tuples FUZZERS of this package's modules."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from faults.fuzzers.base import Fuzzer

NO_FUZZERS = ("base", "registry")


def all_fuzzers() -> dict[str, Fuzzer]:
    """By name, in the order of the modules' names."""
    found: dict[str, Fuzzer] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module not in NO_FUZZERS and not module.startswith("test_"):
            for fuzzer in importlib.import_module(f"faults.fuzzers.{module}").FUZZERS:
                if fuzzer.name in found:
                    raise ValueError(f"two fuzzers are called {fuzzer.name}")
                found[fuzzer.name] = fuzzer
    return found
