"""What only onnxruntime has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.onnx import OnnxBackend, runtime_failures
from premodel.errors import ModelError, OptionError, RunError
from tiny_models import write_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 0.5, (48, 5)).astype(np.float32)
BIAS = np.zeros(5, np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_input_types(tmp_path: Path, dtype: str) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4], dtype=dtype)
    backend = OnnxBackend.open(file, threads=1)
    assert backend.input.dtype == dtype
    tensor = RNG.integers(0, 5, (1, 3, 4, 4)).astype(dtype)
    logits = tensor.reshape(1, -1).astype(np.float64) @ WEIGHTS
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(backend.predict(tensor), expected, rtol=1e-3)


def test_free_sides_take_any_size_the_network_can(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, ["batch", 3, "height", "width"])
    backend = OnnxBackend.open(file, threads=1)
    assert backend.input.shape == (1, 3, None, None)
    assert backend.predict(np.zeros((1, 3, 2, 8), np.float32)).shape == (1, 5)
    with pytest.raises(RunError, match="onnxruntime failed") as caught:
        backend.predict(np.zeros((1, 3, 5, 5), np.float32))
    assert "\n" not in str(caught.value)


def test_free_sides_that_the_layers_behind_them_fix_are_refused_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, ["batch", 3, "height", "width"])
    backend = OnnxBackend.open(file, threads=1)
    with pytest.raises(RunError, match="onnxruntime failed") as caught:
        backend.resize((1, 3, 5, 5))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", ""), "an error is raised, not printed"
    backend.resize((1, 3, 2, 8))
    assert backend.predict(np.zeros((1, 3, 2, 8), np.float32)).shape == (1, 5)


def test_a_file_of_several_inputs_needs_the_name_and_part_of_each(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    helper, proto = onnx.helper, onnx.TensorProto
    sides = [helper.make_tensor_value_info(name, proto.INT64, [1, "n"]) for name in ("ids", "mask", "types")]
    nodes = [
        helper.make_node("Mul", ["ids", "mask"], ["kept"]),
        helper.make_node("Add", ["kept", "types"], ["out"]),
    ]
    graph = helper.make_graph(nodes, "g", sides, [helper.make_tensor_value_info("out", proto.INT64, [1, "n"])])
    file = tmp_path / "tokens.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    named = {"input": "ids", "mask": "mask", "types": "types"}
    opened = OnnxBackend.open(file, threads=1, settings={**named, "padding": 5})
    assert opened.input.shape == (1, None)
    assert opened.predict(np.array([[7, 5, 9]])).tolist() == [[7, 0, 9]]
    for wrong in ({}, {"input": "ids", "mask": "mask"}, {**named, "types": "other"}):
        with pytest.raises(ModelError, match=r"several inputs; given: ids, mask, types.*state settings\.input"):
            OnnxBackend.open(file, threads=1, settings=wrong)
    for name, value in (("mask", 3), ("padding", "0")):
        with pytest.raises(OptionError, match=f"settings.{name} must be"):
            OnnxBackend.open(file, threads=1, settings={**named, name: value})


def test_several_outputs_need_a_name(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4], outputs=["main", "aux"])
    with pytest.raises(
        ModelError, match=r"several outputs; allowed: main \(1, \d\), aux \(1, \d\); name one as settings.output"
    ):
        OnnxBackend.open(file, threads=1)
    with pytest.raises(ModelError, match=r"no such output; given: third; allowed: main \(1, 5\), aux \(1, 5\)"):
        OnnxBackend.open(file, threads=1, settings={"output": "third"})
    backend = OnnxBackend.open(file, threads=1, settings={"output": "aux"})
    assert backend.predict(np.zeros((1, 3, 4, 4), np.float32)).shape == (1, 5)


def test_providers_are_checked_against_this_onnxruntime(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4])
    OnnxBackend.open(file, threads=1, providers=["CPUExecutionProvider"])
    with pytest.raises(OptionError, match=r"given: XPU; allowed: .*CPUExecutionProvider"):
        OnnxBackend.open(file, threads=1, providers=["XPU"])
    with pytest.raises(OptionError, match="spinning"):
        OnnxBackend.open(file, threads=1, settings={"spinning": "yes"})


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider"])
def test_a_gpu_provider_that_is_absent_names_the_extra(
    tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4])
    with pytest.raises(OptionError, match=rf"not available.*given: {provider}; .*premodel\[onnx-gpu\]") as caught:
        OnnxBackend.open(file, threads=1, providers=[provider, "CPUExecutionProvider"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("starts", [True, False])
def test_a_gpu_provider_runs_or_is_an_error_but_never_the_cpu_in_its_place(
    tmp_path: Path, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    asked: list[list[str]] = []

    class Session(onnxruntime.InferenceSession):
        """Takes any provider, really runs on the CPU."""

        def __init__(self, path: str, *, providers: list[str], **options: Any) -> None:
            asked.append(providers)
            super().__init__(path, providers=["CPUExecutionProvider"], **options)

        def get_providers(self) -> list[str]:
            return asked[-1] if starts else ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4])
    if starts:
        backend = OnnxBackend.open(file, threads=1, providers=providers)
        assert backend.predict(np.zeros((1, 3, 4, 4), np.float32)).shape == (1, 5)
    else:
        with pytest.raises(OptionError, match=r"did not start; given: Tensorrt.*; allowed: CPU.*; it needs a driver"):
            OnnxBackend.open(file, threads=1, providers=providers)
    assert asked == [providers]


def test_all_of_the_runtimes_own_errors_are_known() -> None:
    names = {failure.__name__ for failure in runtime_failures()}
    assert {"Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "RuntimeException"} <= names


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4])
    data = bytearray(file.read_bytes())
    OnnxBackend.open(file, threads=2).predict(np.zeros((1, 3, 4, 4), np.float32))
    data[data.index(b"Gemm") : data.index(b"Gemm") + 4] = b"\xe2\x28\xa1\xff"
    file.write_bytes(data)
    with pytest.raises(ModelError):
        OnnxBackend.open(file, threads=1)
    assert capfd.readouterr() == ("", "")


def test_a_batch_that_the_file_leaves_open_and_cannot_take(tmp_path: Path) -> None:
    """Its answers depend on what else is in the batch: Triton must not be promised one."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    from onnx import TensorProto, helper

    free, fixed = tmp_path / "free.onnx", tmp_path / "fixed.onnx"
    write_onnx(free, WEIGHTS, BIAS, ["N", 3, 4, 4])
    assert OnnxBackend.open(free, threads=1).takes_batches((1, 3, 4, 4))
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["mean"], ["all"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["mean", "all"], ["top"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("top", TensorProto.FLOAT, ["N", 3])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(fixed))
    backend = OnnxBackend.open(fixed, threads=1)
    assert backend.free_batch
    assert not backend.takes_batches((1, 3, 4, 4))


@pytest.mark.parametrize("location", ["m.data", "weights/m.data"])
def test_external_weights_that_change_or_shrink_under_an_open_model_do_not_matter(
    tmp_path: Path, location: str
) -> None:
    file = tmp_path / "m.onnx"
    bias = RNG.normal(0, 1, 5).astype(np.float32)
    write_onnx(file, WEIGHTS, bias, [1, 3, 4, 4], external=location)
    backend = OnnxBackend.open(file, threads=1)
    tensor = RNG.random((1, 3, 4, 4)).astype(np.float32)
    before = backend.predict(tensor)
    data = tmp_path / location
    with data.open("r+b") as stream:
        stream.write(bytes(data.stat().st_size))
    np.testing.assert_array_equal(backend.predict(tensor), before)
    data.write_bytes(b"")
    np.testing.assert_array_equal(backend.predict(tensor), before)


def test_a_run_that_fails_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, ["batch", 3, "height", "width"])
    backend = OnnxBackend.open(file, threads=1)
    for _ in range(20):
        with pytest.raises(RunError, match="onnxruntime failed"):
            backend.predict(np.zeros((1, 3, 5, 5), np.float32))
    assert capfd.readouterr() == ("", "")
