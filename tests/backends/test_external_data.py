"""Which further files a model file reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.external_data import is_inside, onnx_files, tflite_files
from premodel.backends.registry import BACKENDS, backend_class
from premodel.errors import ModelError
from tiny_models import write_onnx, write_tflite

BIAS = np.zeros(3, np.float32)
WEIGHTS = np.eye(3, dtype=np.float32)
OUTSIDE = (
    "/etc/passwd",
    "../net.data",
    "sub/../../net.data",
    "C:\\net.data",
    "C:net.data",
    "..\\net.data",
    "\\net",
    "",
)


def write(file: Path, **more: Any) -> Path:
    write_onnx(file, WEIGHTS, BIAS, [1, 3, 8, 8], pooled=True, **more)
    return file


def test_a_file_that_holds_everything_reads_no_other(tmp_path: Path) -> None:
    assert onnx_files(write(tmp_path / "m.onnx")) == ()
    assert onnx_files(write(tmp_path / "location.onnx", outputs=["location", "external_data location"])) == ()


@pytest.mark.parametrize("name", ["m.onnx.data", "sub/deep/weights", "Gewichte ü.bin"])
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_external_weights_are_named(tmp_path: Path, name: str, runtime: str) -> None:
    file = write(tmp_path / "m.onnx", external=name)
    assert backend_class(runtime).further_files(file) == (name,)
    (tmp_path / name).unlink()
    assert backend_class(runtime).further_files(file) == (name,)


def test_one_file_has_one_name(tmp_path: Path) -> None:
    assert onnx_files(write(tmp_path / "m.onnx", external="./sub//w.data")) == ("sub/w.data",)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    assert not is_inside(name)
    file = write(tmp_path / "m.onnx", external="x" * max(1, len(name.encode())))
    data = file.read_bytes()
    if name:
        file.write_bytes(data.replace(b"x" * len(name.encode()), name.encode()))
        with pytest.raises(
            ModelError, match=r"reads a file outside its own folder; given: .*; allowed: files beside it"
        ):
            onnx_files(file)


def test_every_place_that_can_hold_a_tensor_is_looked_at(tmp_path: Path) -> None:
    """Against what the ONNX project's own library writes: constants, branches, functions, sparse tensors, training."""
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    from onnx import TensorProto, helper

    def tensor(name: str, file: str) -> Any:
        made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2])
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("offset", "0"), ("location", file), ("length", "8")):
            made.external_data.add(key=key, value=value)
        return made

    def constant(name: str, file: str) -> Any:
        return helper.make_node("Constant", [], [name], value=tensor(name, file))

    many = [helper.make_node("Identity", ["x"], [f"a long name of an output {i}" * 20]) for i in range(400)]
    branch = helper.make_graph([constant("b", "branch.bin"), *many], "branch", [], [])
    deeper = helper.make_graph([helper.make_node("If", ["c"], ["d"], then_branch=branch)], "deeper", [], [])
    listed = helper.make_node("Custom", ["x"], ["y"], domain="own", several=[tensor("t", "list.bin")])
    graph = helper.make_graph(
        [constant("n", "node.bin"), helper.make_node("Loop", ["i"], ["o"], body=deeper), listed, *many],
        "g", [], [], [tensor("w", "weights.bin"), tensor("v", "weights.bin")],
    )  # fmt: skip
    graph.sparse_initializer.add(values=tensor("s", "sparse.bin"), indices=tensor("i", "indices.bin"))
    inside = helper.make_node("Constant", [], ["y"], value=tensor("f", "function.bin"))
    opset = helper.make_opsetid("", 18)
    function = helper.make_function("own", "F", [], ["y"], [inside], [opset])
    model = helper.make_model(graph, functions=[function], opset_imports=[opset])
    model.training_info.add(algorithm=helper.make_graph([constant("p", "training.bin")], "t", [], []))
    kept = TensorProto(name="kept", data_type=TensorProto.FLOAT, dims=[1], float_data=[1.0])
    kept.external_data.add(key="location", value="not-external.bin")  # data_location states that it is inside
    model.graph.initializer.append(kept)
    file = tmp_path / "m.onnx"
    file.write_bytes(model.SerializeToString())
    names = ("node", "branch", "list", "weights", "sparse", "indices", "function", "training")
    assert set(onnx_files(file)) == {f"{name}.bin" for name in names}
    assert onnx is not None


def test_a_compiled_node_kept_in_a_file_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the onnx package is not installed")
    from onnx import helper

    for embedded, expected in ((0, ("engine.bin",)), (1, ())):
        node = helper.make_node(
            "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=embedded, ep_cache_context="engine.bin"
        )
        file = tmp_path / "m.onnx"
        file.write_bytes(helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString())
        assert onnx_files(file) == expected


@pytest.mark.parametrize("runtime", sorted(BACKENDS))
def test_what_is_no_model_names_no_file(tmp_path: Path, runtime: str) -> None:
    file = tmp_path / "m"
    further_files = backend_class(runtime).further_files
    assert further_files(file) == ()
    rng = np.random.default_rng(1)
    for size in (0, 1, 3, 50, 5000):
        file.write_bytes(rng.bytes(size))
        assert further_files(file) == ()


@pytest.mark.parametrize("read", [onnx_files, tflite_files])
def test_damage_ends_in_names_or_one_line(tmp_path: Path, read: Any) -> None:
    pytest.importorskip("flatbuffers", reason="the litert extra is not installed")
    file = tmp_path / "m"
    if read is onnx_files:
        write(file, external="w.data")
    else:
        write_grouped(file, "w.data")
    whole = file.read_bytes()
    for place in range(len(whole)):
        for value in (0x00, 0x7F, 0xFF):
            file.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read(file)
            except ModelError as error:
                assert "\n" not in str(error)  # noqa: PT017


def write_grouped(file: Path, *names: str) -> Path:
    """A `.tflite` file that keeps buffers in other files."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    write_tflite(file, WEIGHTS, BIAS, [1, 8, 8, 3], pooled=True)
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    model.externalBufferGroups = []
    for name in names:
        model.externalBufferGroups.append(schema.ExternalBufferGroupT())
        model.externalBufferGroups[-1].name = name
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    file.write_bytes(bytes(builder.Output()))
    return file


def test_external_buffers_of_a_tflite_file(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    file = tmp_path / "m.tflite"
    write_tflite(file, WEIGHTS, BIAS, [1, 8, 8, 3], pooled=True)
    assert backend_class("litert").further_files(file) == ()
    assert backend_class("litert").further_files(write_grouped(file, "a.bin", "sub/b.bin")) == ("a.bin", "sub/b.bin")
    with pytest.raises(ModelError, match="outside its own folder"):
        tflite_files(write_grouped(file, "../a.bin"))
