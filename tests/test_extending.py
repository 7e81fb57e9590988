"""A policy, selector, backend, feature, form of data set, command and domain from outside the source tree.

The toys are in `toys.py`; the contract suites run on them in a process of their own, in which they are registered. The
toy domain is `numbers_domain.py`, with its own test of the whole way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SUITES = {
    "runtime/policies/test_contract.py": 10,
    "training/test_train.py": 3,
    "runtime/selectors/test_contract.py": 10,
    "backends/test_contract.py": 10,
    "domains/image/features/test_families.py": 4,
}
"""Contract suite -> least number of its tests that must have run on the toy."""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=600
    )


@pytest.fixture(scope="module")
def contract() -> str:
    pytest.importorskip("sklearn", reason="chains of techniques are fitted with scikit-learn")
    words = ["-m", "pytest", "-p", "toys", "-p", "no:cacheprovider", "-q", "-rA", "-k", "toy or every"]
    done = run(*words, *(str(TESTS / suite) for suite in SUITES), cwd=TESTS.parent)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("suite", SUITES)
def test_a_toy_from_outside_meets_the_contract(contract: str, suite: str) -> None:
    passed = [line for line in contract.splitlines() if line.startswith("PASSED") and suite in line and "toy" in line]
    assert len(passed) >= SUITES[suite], contract[-3000:]


WAY = """
import sys
from pathlib import Path

import cv2
import numpy as np
import toys

toys.register_all()
from premodel.cli.main import main
from premodel.domains.image.features.extractor import Extractor
from premodel.profiling.datasets.registry import read_dataset

folder = Path(sys.argv[1])
cv2.imwrite(str(folder / "a.png"), np.full((40, 40, 3), (0, 0, 255), np.uint8))
(folder / "set.toy").write_text("a.png|red")
found = read_dataset(folder / "set.toy", label_names=["blue", "red"])
assert found.form == "toy" and found.labels.tolist() == [1], found
names = Extractor().names
assert names[-1] == "toy_red" and len(names) == 30, names
assert Extractor(("toy_red",)).extract(cv2.imread(str(folder / "a.png"))[..., ::-1].copy()).tolist() == [1.0]
assert main(["toy", "word"]) == 0
"""


def test_a_form_of_data_set_a_feature_and_a_command_from_outside_are_used(tmp_path: Path) -> None:
    done = run("-c", WAY, str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "toy: word\n"


@pytest.mark.parametrize(
    "twice",
    [
        "toys.policies.register(type('Other', (toys.ToyPolicy,), {}))",
        "toys.trainers.register(toys.Trainer('toy', '', toys.train_policy))",
        "toys.selectors.register('toy', lambda: toys.ToySelector)",
        "toys.techniques.register(toys.techniques.Technique('toy', lambda: toys.fit_selector))",
        "toys.backends.register('toy', 'elsewhere:Backend')",
        "toys.features.register(toys.ToyFamily)",
        "toys.datasets.register('.toy', print)",
        "toys.datasets.register('.csv', toys.read_toy)",
    ],
)
def test_a_name_that_is_taken_is_refused(twice: str, tmp_path: Path) -> None:
    done = run("-c", f"import toys; toys.register_all(); {twice}", cwd=tmp_path)
    assert "OptionError" in done.stderr.splitlines()[-1]
