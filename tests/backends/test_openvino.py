"""What only OpenVINO has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.openvino import OpenvinoBackend, runtime_failures
from premodel.errors import ModelError, OptionError, RunError
from premodel.files import file_sha256
from tiny_models import write_onnx

openvino = pytest.importorskip("openvino", reason="openvino is not installed")

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 0.5, (48, 5)).astype(np.float32)
BIAS = np.zeros(5, np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_onnx(tmp_path / "m.onnx", WEIGHTS, BIAS, [1, 3, 4, 4])
    return tmp_path / "m.onnx"


@pytest.fixture
def ir(file: Path) -> Path:
    openvino.save_model(openvino.Core().read_model(str(file)), str(file.with_suffix(".xml")), compress_to_fp16=False)
    return file.with_suffix(".xml")


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_input_types(tmp_path: Path, dtype: str) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4], dtype=dtype)
    backend = OpenvinoBackend.open(file, threads=1)
    assert backend.input.dtype == dtype
    tensor = RNG.integers(0, 5, (1, 3, 4, 4)).astype(dtype)
    logits = tensor.reshape(1, -1).astype(np.float64) @ WEIGHTS
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(backend.predict(tensor), expected, rtol=1e-3)


def test_free_sides_take_any_size_the_network_can(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, ["batch", 3, "height", "width"])
    backend = OpenvinoBackend.open(file, threads=1)
    assert backend.input.shape == (1, 3, None, None)
    assert backend.predict(np.zeros((1, 3, 2, 8), np.float32)).shape == (1, 5)
    with pytest.raises(RunError, match="openvino failed") as caught:
        backend.predict(np.zeros((1, 3, 5, 5), np.float32))
    assert "\n" not in str(caught.value)


def test_threads_and_precision_reach_the_runtime(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    compile_model = openvino.Core.compile_model

    def spy(core: Any, *args: Any) -> Any:
        compiled.append(compile_model(core, *args))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    OpenvinoBackend.open(file, threads=1)
    OpenvinoBackend.open(file, threads=2)
    assert [one.get_property("INFERENCE_NUM_THREADS") for one in compiled] == [1, 2]
    assert [one.get_property("NUM_STREAMS") for one in compiled] == [1, 1]
    assert {one.get_property("INFERENCE_PRECISION_HINT") for one in compiled} == {openvino.Type.f32}


def test_devices_and_settings_are_checked(file: Path) -> None:
    OpenvinoBackend.open(file, threads=1, providers=["CPU"], settings={"precision": "f32"})
    for providers in (["TPU"], ["CPU", "CPU"]):
        with pytest.raises(
            OptionError, match=r"not a device that this OpenVINO sees; given: .*; allowed: one of .*CPU"
        ):
            OpenvinoBackend.open(file, threads=1, providers=providers)
    with pytest.raises(OptionError, match=r"settings\.precision; given: f8; allowed: f32, f16, bf16"):
        OpenvinoBackend.open(file, threads=1, settings={"precision": "f8"})


def test_several_outputs_need_a_name(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4], outputs=["main", "aux"])
    with pytest.raises(
        ModelError, match=r"several outputs; allowed: main \(1, \d\), aux \(1, \d\); name one as settings.output"
    ):
        OpenvinoBackend.open(file, threads=1)
    backend = OpenvinoBackend.open(file, threads=1, settings={"output": "aux"})
    assert backend.predict(np.zeros((1, 3, 4, 4), np.float32)).shape == (1, 5)


def test_its_own_form_with_the_digest_of_its_weights(file: Path, ir: Path) -> None:
    settings = OpenvinoBackend.file_settings(ir)
    assert settings == {"weights_sha256": file_sha256(ir.with_suffix(".bin"))}
    assert OpenvinoBackend.file_settings(file) == {}
    tensor = RNG.random((1, 3, 4, 4), np.float32)
    expected = OpenvinoBackend.open(file, threads=1).predict(tensor)
    found = OpenvinoBackend.open(ir, threads=1, settings=settings).predict(tensor)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_other_weights_than_stated_are_noticed(ir: Path) -> None:
    settings = OpenvinoBackend.file_settings(ir)
    weights = ir.with_suffix(".bin")
    content = bytearray(weights.read_bytes())
    content[10] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=rf"state settings.weights_sha256 = '{file_sha256(weights)}'"):
        OpenvinoBackend.open(ir, threads=1, settings=settings)
    with pytest.raises(ModelError, match=r"given: no settings\.weights_sha256"):
        OpenvinoBackend.open(ir, threads=1)
    weights.unlink()
    with pytest.raises(ModelError, match=r"m\.bin"):
        OpenvinoBackend.open(ir, threads=1, settings=settings)


@pytest.mark.parametrize("text", [b"<?xml version='1.0'?>\n<net", b"<?xml version='1.0'?>\n<net name='a'></net>"])
def test_a_damaged_file_of_its_own_form_is_one_line(ir: Path, text: bytes) -> None:
    settings = OpenvinoBackend.file_settings(ir)
    ir.write_bytes(text)
    with pytest.raises(ModelError, match=r"m\.xml") as caught:
        OpenvinoBackend.open(ir, threads=1, settings=settings)
    assert "\n" not in str(caught.value)


def test_all_of_the_runtimes_own_errors_are_known() -> None:
    names = {failure.__name__ for failure in runtime_failures(openvino)}
    assert {"GeneralFailure", "OpConversionFailure", "RuntimeError"} <= names


def test_nothing_is_printed(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    OpenvinoBackend.open(file, threads=2).predict(np.zeros((1, 3, 4, 4), np.float32))
    file.write_bytes(b"not a model\n" * 40)
    with pytest.raises(ModelError):
        OpenvinoBackend.open(file, threads=1)
    assert capfd.readouterr() == ("", "")


def write_quantised(file: Path, zero_point: np.generic) -> None:
    """y = x, after a quantisation of x to the zero point's type and back."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, arrays = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Flatten", ["d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 48])],
        [arrays.from_array(np.float32(0.05), "scale"), arrays.from_array(np.asarray(zero_point), "zero")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), file)


@pytest.mark.parametrize("zero_point", [np.uint16(32768), np.int16(0)])
def test_refuses_activations_of_16_bits_which_it_computes_wrongly(tmp_path: Path, zero_point: np.generic) -> None:
    write_quantised(tmp_path / "m.onnx", zero_point)
    with pytest.raises(ModelError, match=r"16 bits must not be run by openvino.*65536 levels.*runtime onnx") as caught:
        OpenvinoBackend.open(tmp_path / "m.onnx", threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zero_point", [np.uint8(128), np.int8(0)])
def test_opens_activations_of_8_bits(tmp_path: Path, zero_point: np.generic) -> None:
    write_quantised(tmp_path / "m.onnx", zero_point)
    backend = OpenvinoBackend.open(tmp_path / "m.onnx", threads=1)
    tensor = RNG.uniform(-3, 3, (1, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(backend.predict(tensor), tensor.reshape(1, 48), atol=0.026)


def test_a_tflite_file_answers_as_under_litert(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    from premodel.backends.litert import LitertBackend
    from tiny_models import write_tflite

    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, [1, 4, 4, 3])
    tensor = RNG.random((1, 4, 4, 3), np.float32)
    found = OpenvinoBackend.open(file, threads=1)
    expected = LitertBackend.open(file, threads=1)
    assert found.input.shape == expected.input.shape
    np.testing.assert_allclose(found.predict(tensor), expected.predict(tensor), rtol=1e-5)


def test_weights_are_stated_of_an_xml_only(file: Path) -> None:
    with pytest.raises(OptionError, match=r"settings\.weights_sha256 goes with an \.xml only"):
        OpenvinoBackend.open(file, threads=1, settings={"weights_sha256": "0" * 64})


@pytest.mark.parametrize("kind", ["ir", "external"])
def test_weights_that_change_or_shrink_under_an_open_model_do_not_matter(tmp_path: Path, ir: Path, kind: str) -> None:
    file, weights = ir, ir.with_suffix(".bin")
    settings = {"weights_sha256": file_sha256(weights)}
    if kind == "external":
        file, weights, settings = tmp_path / "e.onnx", tmp_path / "e.data", {}
        write_onnx(file, WEIGHTS, BIAS, [1, 3, 4, 4], external=weights.name)
    backend = OpenvinoBackend.open(file, threads=1, settings=settings)
    tensor = RNG.random((1, 3, 4, 4)).astype(np.float32)
    before = backend.predict(tensor)
    with weights.open("r+b") as stream:
        stream.write(bytes(weights.stat().st_size))
    backend.resize((1, 3, 4, 4))  # compiles anew
    np.testing.assert_array_equal(backend.predict(tensor), before)
    weights.write_bytes(b"")
    backend.resize((1, 3, 4, 4))
    np.testing.assert_array_equal(backend.predict(tensor), before)
