"""What only LiteRT has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from premodel.errors import ModelError, OptionError, RunError
from tiny_models import write_tflite

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
from premodel.backends.litert import LitertBackend

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 0.5, (48, 5)).astype(np.float32)
BIAS = RNG.normal(0, 1, 5).astype(np.float32)


@pytest.mark.parametrize("provider", ["xnnpack", "builtin"])
def test_quantised(tmp_path: Path, provider: str) -> None:
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, (1, 4, 4, 3), dtype="int8")
    backend = LitertBackend.open(file, threads=1, providers=[provider])
    assert (backend.input.dtype, backend.input.scale, backend.input.zero_point) == ("int8", 1 / 128, 0)
    assert (backend.output.dtype, backend.output.scale, backend.output.zero_point) == ("int8", 1 / 256, -128)
    tensor = RNG.integers(-128, 128, (1, 4, 4, 3)).astype(np.int8)
    logits = tensor.reshape(1, -1) / 128 @ WEIGHTS + BIAS
    expected = np.exp(logits) / np.exp(logits).sum()
    stored = backend.predict(tensor)
    assert stored.dtype == np.int8
    np.testing.assert_allclose((stored.astype(float) + 128) / 256, expected, atol=0.03)


def test_several_outputs_need_a_name(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, (1, 4, 4, 3), outputs=["main", "aux"])
    with pytest.raises(
        ModelError, match=r"several outputs; allowed: main \(1, \d\), aux \(1, \d\); name one as settings.output"
    ):
        LitertBackend.open(file, threads=1)
    backend = LitertBackend.open(file, threads=1, settings={"output": "aux"})
    assert backend.predict(np.zeros((1, 4, 4, 3), np.float32)).shape == (1, 5)


def test_free_sides_take_any_size_the_network_can(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, (1, 4, 4, 3), signature=(-1, -1, -1, 3))
    backend = LitertBackend.open(file, threads=1)
    assert backend.input.shape == (1, None, None, 3)
    tensor = RNG.random((1, 4, 4, 3), np.float32)
    answer = backend.predict(tensor)
    np.testing.assert_array_equal(backend.predict(tensor.reshape(1, 2, 8, 3)), answer)
    np.testing.assert_array_equal(backend.predict(tensor), answer)
    with pytest.raises(RunError, match="litert failed") as caught:
        backend.predict(np.zeros((1, 5, 5, 3), np.float32))
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(backend.predict(tensor), answer)


def test_one_known_provider_at_most(tmp_path: Path) -> None:
    for providers in (["gpu"], ["xnnpack", "builtin"]):
        with pytest.raises(OptionError, match="allowed: one of xnnpack, builtin"):
            LitertBackend.open(tmp_path / "m.tflite", threads=1, providers=providers)


def test_the_runtimes_chatter_is_kept_off_stderr_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, (1, 4, 4, 3))
    program = f"""
import os, threading
from pathlib import Path
from premodel.backends.litert import LitertBackend
stop = threading.Event()
wrote = []
def write():
    while not stop.is_set():
        os.write(2, b"%d\\n" % len(wrote))
        wrote.append(1)
other = threading.Thread(target=write)
other.start()
LitertBackend.open(Path({str(file)!r}), threads=1)
stop.set()
other.join()
print(len(wrote))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if "Warning" not in line]
    assert sorted(int(line) for line in lines) == list(range(int(done.stdout)))


@pytest.mark.parametrize("provider", ["xnnpack", "builtin"])
def test_a_file_that_changes_or_shrinks_under_an_open_model_does_not_matter(tmp_path: Path, provider: str) -> None:
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, (1, 4, 4, 3))
    backend = LitertBackend.open(file, threads=1, providers=[provider])
    tensor = RNG.random((1, 4, 4, 3)).astype(np.float32)
    before = backend.predict(tensor)
    content = file.read_bytes()
    with file.open("r+b") as stream:
        stream.write(content.replace(BIAS.tobytes(), bytes(BIAS.nbytes)).replace(WEIGHTS.tobytes(), b""))
    np.testing.assert_array_equal(backend.predict(tensor), before)
    file.write_bytes(b"")
    np.testing.assert_array_equal(backend.predict(tensor), before)
