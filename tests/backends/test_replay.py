"""Recorded answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from premodel.backends.replay import ReplayBackend, record
from premodel.clock import now_ms
from premodel.errors import ModelError, OptionError, RunError

INPUTS = [np.full((1, 2, 2, 3), i, np.uint8) for i in range(3)]
OUTPUTS = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], np.float32)


def test_unknown_input_is_a_run_error(tmp_path: Path) -> None:
    record(tmp_path / "r", INPUTS, OUTPUTS)
    backend = ReplayBackend.open(tmp_path / "r", threads=1)
    np.testing.assert_array_equal(backend.predict(INPUTS[2]), OUTPUTS[2:])
    with pytest.raises(RunError, match="no answer is recorded"):
        backend.predict(np.full((1, 2, 2, 3), 9, np.uint8))


def test_quantisation_and_shape_come_back(tmp_path: Path) -> None:
    outputs = np.arange(6, dtype=np.uint8).reshape(3, 2, 1, 1)
    record(tmp_path / "r", INPUTS, outputs, output_scale=0.5, output_zero_point=3, input_scale=0.25, input_zero_point=1)
    backend = ReplayBackend.open(tmp_path / "r", threads=1)
    assert (backend.output.shape, backend.output.dtype) == ((1, 2, 1, 1), "uint8")
    assert (backend.output.scale, backend.output.zero_point) == (0.5, 3)
    assert (backend.input.scale, backend.input.zero_point) == (0.25, 1)
    assert backend.predict(INPUTS[1]).tolist() == [[[[2]], [[3]]]]


def test_recorded_latency_is_spent(tmp_path: Path) -> None:
    record(tmp_path / "r", INPUTS, OUTPUTS, latency_ms=[0, 3, 8])
    backend = ReplayBackend.open(tmp_path / "r", threads=1)
    for tensor, latency_ms in zip(INPUTS, [0, 3, 8], strict=True):
        start = now_ms()
        backend.predict(tensor)
        assert now_ms() - start >= latency_ms


def test_same_bytes_whenever_written(tmp_path: Path) -> None:
    record(tmp_path / "a", INPUTS, OUTPUTS)
    record(tmp_path / "b", INPUTS, OUTPUTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_equal_inputs_need_equal_answers(tmp_path: Path) -> None:
    twice = [INPUTS[0], INPUTS[1], INPUTS[0]]
    with pytest.raises(OptionError, match="rows 0 and 2"):
        record(tmp_path / "r", twice, OUTPUTS)
    record(tmp_path / "r", twice, OUTPUTS[[0, 1, 0]])
    assert ReplayBackend.open(tmp_path / "r", threads=1).predict(INPUTS[0]).tolist() == OUTPUTS[:1].tolist()


@pytest.mark.parametrize(
    ("tensors", "outputs"),
    [([], OUTPUTS[:0]), (INPUTS[:2], OUTPUTS), ([INPUTS[0], INPUTS[1][:, :1]], OUTPUTS[:2])],
    ids=["none", "count", "shape"],
)
def test_wrong_recordings_are_refused(tmp_path: Path, tensors: list[np.ndarray], outputs: np.ndarray) -> None:
    with pytest.raises(OptionError):
        record(tmp_path / "r", tensors, outputs)


def test_foreign_schema_and_pickles_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.npz"
    record(file, INPUTS, OUTPUTS)
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, **{**arrays, "schema": np.array(99)})
    with pytest.raises(ModelError, match=r"another schema; given: 99; allowed: 1"):
        ReplayBackend.open(file, threads=1)
    np.savez(file, **{**arrays, "outputs": np.array([{"a": 1}], object)})
    with pytest.raises(ModelError, match="damaged"):
        ReplayBackend.open(file, threads=1)
    del arrays["latency_ms"]
    np.savez(file, **arrays)
    with pytest.raises(ModelError, match="latency_ms"):
        ReplayBackend.open(file, threads=1)
