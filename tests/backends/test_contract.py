"""What every backend promises: the same tests for all of them, on the same tiny network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.base import Backend, Tensor
from premodel.backends.registry import BACKENDS, backend_class
from premodel.errors import MissingExtraError, ModelError, OptionError, RunError, ZooError
from tiny_models import write_onnx, write_tflite
from tiny_network import BIAS, INPUTS, SETTINGS, SHAPE, WEIGHTS, WRITERS, expected

AGENT_ZOO = """
name = "tiny"
task = "image-classification"
labels = ["a", "b", "c", "d", "e"]

[[models]]
name = "model"
file = "model.onnx"
runtime = "onnx"
input = { size = [4, 4], layout = "NHWC", dtype = "float32", resize = "squash", crop_fraction = 1.0, interpolation = "bilinear" }
output = { activation = "softmax" }
"""  # noqa: E501
REMOTE = ("oip", "triton")
"""Their model file is on a server: here there is none that could be missing or damaged."""
PACKAGES = {"onnx": "onnxruntime", "litert": "ai_edge_litert", "openvino": "openvino"}


@dataclass(frozen=True)
class Case:
    runtime: str
    file: Path
    settings: Mapping[str, Any] = field(default_factory=dict)

    def open(self, threads: int = 1) -> Backend:
        return backend_class(self.runtime).open(self.file, threads=threads, settings=self.settings)

    def need_a_file(self) -> None:
        if self.runtime in REMOTE:
            pytest.skip("its model file is on a server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """An agent that offers the tiny network as `model`."""
    for package in ("starlette", "uvicorn", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from agents import agent

    folder = tmp_path_factory.mktemp("board")
    WRITERS["onnx"](folder / "model.onnx")
    (folder / "zoo.toml").write_text(AGENT_ZOO)
    with agent(folder / "zoo.toml") as url:
        yield url


def in_triton(repository: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The tiny network in a repository, and Triton's module as if a request were being answered; its settings."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from fake_triton import FakeTriton

    (repository / "model" / "1").mkdir(parents=True)
    WRITERS["onnx"](repository / "model" / "1" / "model.onnx")
    (repository / "model" / "config.pbtxt").write_text(
        'name: "model" max_batch_size: 4 input { name: "x" data_type: TYPE_FP32 dims: [4, 4, 3] }'
    )
    triton = FakeTriton(repository)
    triton.executing = True
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    tensors = {"input": ("x", [-1, *SHAPE[1:]]), "output": ("prob", [1, 5])}
    entries = {side: {"name": name, "datatype": "FP32", "shape": shape} for side, (name, shape) in tensors.items()}
    return {"model": "model", **entries}


@pytest.fixture(params=sorted(BACKENDS))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    runtime = str(request.param)
    if runtime == "triton":
        return Case(runtime, tmp_path / "model", in_triton(tmp_path, request.getfixturevalue("monkeypatch")))
    if runtime in REMOTE:
        return Case(runtime, tmp_path / "model", {"url": request.getfixturevalue("server")})
    if runtime in PACKAGES:
        pytest.importorskip(PACKAGES[runtime], reason=f"the runtime of the {runtime} backend is not installed")
    file = tmp_path / "model.bin"
    WRITERS[runtime](file)
    return Case(runtime, file, SETTINGS.get(runtime, {}))


def test_every_registered_backend_is_under_contract() -> None:
    assert {*WRITERS, *REMOTE} == set(BACKENDS)
    for name in BACKENDS:
        assert backend_class(name).name == name


def test_no_two_backends_take_the_same_suffix() -> None:
    suffixes = [suffix for name in BACKENDS if name != "toy" for suffix in backend_class(name).suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)


def test_unknown_runtime_names_those_there_are() -> None:
    with pytest.raises(ZooError, match=f"given: caffe; allowed: {', '.join(BACKENDS)}"):
        backend_class("caffe")


def test_says_what_it_takes_and_gives(case: Case) -> None:
    backend = case.open()
    assert (backend.input.shape, backend.input.dtype, backend.input.scale) == (SHAPE, "float32", 0.0)
    assert (backend.output.shape, backend.output.dtype, backend.output.scale) == ((1, 5), "float32", 0.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_predicts(case: Case, threads: int) -> None:
    backend = case.open(threads)
    for tensor in INPUTS:
        output = backend.predict(tensor)
        assert output.shape == (1, 5)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, expected(tensor), atol=1e-5)


def test_same_answer_twice_and_outputs_are_the_callers(case: Case) -> None:
    backend = case.open()
    first = backend.predict(INPUTS[0])
    kept = first.copy()
    backend.predict(INPUTS[1])
    np.testing.assert_array_equal(first, kept)
    first[:] = -1
    np.testing.assert_array_equal(backend.predict(INPUTS[0]), kept)


def test_does_not_write_to_its_input(case: Case) -> None:
    tensor = INPUTS[0].copy()
    tensor.flags.writeable = False
    case.open().predict(tensor)
    np.testing.assert_array_equal(tensor, INPUTS[0])


def test_many_threads_at_once(case: Case) -> None:
    backend = case.open()
    order = [i % len(INPUTS) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda i: backend.predict(INPUTS[i]), order))
    for i, output in zip(order, outputs, strict=True):
        np.testing.assert_allclose(output, expected(INPUTS[i]), atol=1e-5)


def test_two_of_one_file_are_independent(case: Case) -> None:
    one, other = case.open(), case.open()
    one.close()
    np.testing.assert_allclose(other.predict(INPUTS[0]), expected(INPUTS[0]), atol=1e-5)


def test_close_twice_then_predict_is_a_run_error(case: Case) -> None:
    backend = case.open()
    backend.close()
    backend.close()
    with pytest.raises(RunError, match="closed"):
        backend.predict(INPUTS[0])


@pytest.mark.parametrize(
    "tensor",
    [np.zeros((1, 4, 5, 3), np.float32), np.zeros((4, 4, 3), np.float32), np.zeros(SHAPE, np.uint8)],
    ids=["side", "rank", "dtype"],
)
def test_wrong_input_is_a_run_error_naming_both(case: Case, tensor: Tensor) -> None:
    backend = case.open()
    with pytest.raises(RunError, match=r"wrong input; given: .*; allowed: float32 \(1, 4, 4, 3\)"):
        backend.predict(tensor)
    backend.predict(INPUTS[0])


POOLED: dict[str, Callable[[Path], None]] = {
    "onnx": lambda file: write_onnx(file, WEIGHTS[:3], BIAS, ["N", 3, "H", "W"], pooled=True),
    "litert": lambda file: write_tflite(file, WEIGHTS[:3], BIAS, SHAPE, pooled=True),
    "openvino": lambda file: write_onnx(file, WEIGHTS[:3], BIAS, [1, 3, 4, 4], pooled=True),
}
"""Networks that go with any height and width, where the runtime supports such; fixed in the file but for onnx."""


@pytest.mark.parametrize("runtime", sorted(POOLED))
def test_takes_another_size_where_the_network_does(runtime: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[runtime], reason=f"the runtime of the {runtime} backend is not installed")
    POOLED[runtime](tmp_path / "model.bin")
    backend = backend_class(runtime).open(tmp_path / "model.bin", threads=1)
    axes, shape = ((1, 2), (1, 6, 5, 3)) if runtime == "litert" else ((2, 3), (1, 3, 6, 5))
    backend.resize(shape)
    assert backend.input.shape == shape
    for seed in range(3):
        tensor = np.random.default_rng(seed).random(shape, np.float32)
        exponents = np.exp(tensor.mean(axes) @ WEIGHTS[:3] + BIAS)
        np.testing.assert_allclose(backend.predict(tensor), exponents / exponents.sum(), atol=1e-5)
    with pytest.raises(RunError, match="wrong input"):
        backend.predict(np.zeros((1, 4, 4, 3) if runtime == "litert" else (1, 3, 4, 4), np.float32))
    backend.close()
    with pytest.raises(RunError, match="closed"):
        backend.predict(tensor)


def test_refuses_a_size_that_the_network_does_not_take(case: Case) -> None:
    backend = case.open()
    with pytest.raises(RunError) as caught:
        backend.resize((1, 6, 5, 3))
    assert "\n" not in str(caught.value)
    backend.close()


def test_missing_file(case: Case) -> None:
    case.need_a_file()
    case.file.unlink()
    with pytest.raises(ModelError, match=r"model\.bin: model file is missing$"):
        case.open()


@pytest.mark.parametrize("damage", ["empty", "half", "text", "zeros", "folder"])
def test_damaged_file_is_one_line(case: Case, damage: str) -> None:
    case.need_a_file()
    data = case.file.read_bytes()
    case.file.unlink()
    if damage == "folder":
        case.file.mkdir()
    else:
        wrong = {"empty": b"", "half": data[: len(data) // 2], "text": b"not a model\n" * 40, "zeros": bytes(len(data))}
        case.file.write_bytes(wrong[damage])
    with pytest.raises(ModelError) as caught:
        case.open()
    message = str(caught.value)
    assert str(case.file) in message
    assert "\n" not in message


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_never_end_the_process_or_leak_another_error(case: Case, seed: int) -> None:
    case.need_a_file()
    data = bytearray(case.file.read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(data), 8):
        data[position] = rng.integers(256)
    case.file.write_bytes(data)
    with suppress(ModelError, RunError):
        case.open().predict(INPUTS[0])


def test_unknown_provider_and_setting(case: Case) -> None:
    backend = backend_class(case.runtime)
    with pytest.raises(OptionError, match="AbacusProvider"):
        backend.open(case.file, threads=1, providers=["AbacusProvider"], settings=case.settings)
    with pytest.raises(OptionError, match="polish"):
        backend.open(case.file, threads=1, settings={**case.settings, "polish": 1})


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_a_missing_runtime_names_the_extra(runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[runtime], None)
    backend = backend_class(runtime)
    with pytest.raises(
        MissingExtraError, match=rf"^{backend.package} is not installed; .*'premodel\[{backend.extra}\]'"
    ):
        backend.open(tmp_path / "model.bin", threads=1)


@pytest.mark.parametrize("runtime", ["onnx", "litert", "openvino"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        (b"<!doctype html>\n<html>", "a web page"),
        (b"PK\x03\x04" + bytes(99), "a zip archive"),
        (b"\x1f\x8b\x08" + bytes(99), "a gzip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    ],
    ids=["pointer", "page", "zip", "gzip", "hdf5"],
)
def test_what_is_no_model_is_named_as_what_it_is(runtime: str, data: bytes, kind: str, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert", "openvino": "openvino"}[runtime])
    file = tmp_path / {"onnx": "m.onnx", "litert": "m.tflite", "openvino": "m.xml"}[runtime]
    file.write_bytes(data)
    with pytest.raises(ModelError, match=f"not a model: it is {kind}") as caught:
        backend_class(runtime).open(file, threads=1)
    assert "\n" not in str(caught.value)
