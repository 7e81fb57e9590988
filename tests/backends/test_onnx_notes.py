"""What is read from an `.onnx` file besides shapes, on files that the onnx package writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.base import TensorSpec
from premodel.backends.onnx_notes import metadata, quantised
from premodel.backends.registry import backend_class

onnx = pytest.importorskip("onnx")
INPUT = TensorSpec((1, 3, 4, 4), "uint8")


def write(file: Path, kind: str = "uint8", *, scale: Any = 0.0186, zero: int | None = 114, how: str = "raw",
          between: str | None = None, quantise_output: bool = False, fork: bool = False) -> Path:  # fmt: skip
    helper, types = onnx.helper, onnx.TensorProto
    number = {"uint8": types.UINT8, "int8": types.INT8}[kind]
    zeros = [] if zero is None else ["zero"]
    nodes, name = [], "x"
    if between is not None:
        more = {"perm": [0, 2, 3, 1]} if between == "Transpose" else {}
        nodes.append(helper.make_node(between, ["x"], ["between"], **more))
        name = "between"
    nodes.append(helper.make_node("DequantizeLinear", [name, "scale", *zeros], ["real"]))
    if fork:
        nodes.append(helper.make_node("Shape", ["x"], ["unused"]))
    nodes.append(helper.make_node("Flatten", ["real"], ["flat"]))
    nodes.append(helper.make_node("QuantizeLinear", ["flat", "step", "nought"], ["y"])
                 if quantise_output else helper.make_node("Identity", ["flat"], ["y"]))  # fmt: skip
    shape = [] if np.isscalar(scale) else [len(scale)]
    values = np.atleast_1d(np.asarray(scale, np.float32))
    constants = []
    if how == "node":
        nodes.insert(
            0, helper.make_node("Constant", [], ["scale"], value=helper.make_tensor("c", types.FLOAT, shape, values))
        )
    else:
        constants.append(helper.make_tensor("scale", types.FLOAT, shape, values.tobytes(), raw=True) if how == "raw"
                         else helper.make_tensor("scale", types.FLOAT, shape, values))  # fmt: skip
    if zero is not None:
        dims = [] if np.isscalar(scale) else [len(scale)]
        size = int(np.prod(dims)) if dims else 1
        constants.append(helper.make_tensor("zero", number, dims, [zero] * size))
    if quantise_output:
        constants += [
            helper.make_tensor("step", types.FLOAT, [], [1 / 255]),
            helper.make_tensor("nought", types.INT8, [], [-128]),
        ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", number, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", types.INT8 if quantise_output else types.FLOAT, [1, 48])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (("names", "{0: 'cat', 1: 'dog'}"), ("imgsz", "[224, 224]")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, str(file))
    return file


@pytest.mark.parametrize("how", ["raw", "typed", "node"])
@pytest.mark.parametrize("between", [None, "Transpose", "Identity"])
def test_the_node_behind_an_integer_input_says_how_it_is_quantised(
    tmp_path: Path, how: str, between: str | None
) -> None:
    file = write(tmp_path / "net.onnx", how=how, between=between)
    found = quantised(file, INPUT, "x", is_input=True)
    assert (round(found.scale, 6), found.zero_point) == (0.0186, 114)


def test_negative_zero_points_of_signed_inputs(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", "int8", zero=-14)
    assert quantised(file, TensorSpec((1, 3, 4, 4), "int8"), "x", is_input=True).zero_point == -14


def test_a_missing_zero_point_is_0(tmp_path: Path) -> None:
    assert quantised(write(tmp_path / "net.onnx", zero=None), INPUT, "x", is_input=True).zero_point == 0


@pytest.mark.parametrize("changes", [{"scale": [0.1, 0.2, 0.3]}, {"fork": True}])
def test_what_one_number_cannot_say_is_left_open(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert quantised(write(tmp_path / "net.onnx", **changes), INPUT, "x", is_input=True) == INPUT


def test_floats_are_not_looked_at(tmp_path: Path) -> None:
    spec = TensorSpec((1, 3, 4, 4), "float32")
    assert quantised(tmp_path / "missing.onnx", spec, "x", is_input=True) == spec


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_runtimes_state_it(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino")
    opened = backend_class(runtime).open(write(tmp_path / "net.onnx", quantise_output=True), threads=1)
    assert (round(opened.input.scale, 6), opened.input.zero_point) == (0.0186, 114)
    assert (round(opened.output.scale, 6), opened.output.zero_point) == (round(1 / 255, 6), -128)
    opened.close()


def test_notes_of_the_exporter(tmp_path: Path) -> None:
    assert metadata(write(tmp_path / "net.onnx")) == {"names": "{0: 'cat', 1: 'dog'}", "imgsz": "[224, 224]"}
    (tmp_path / "noise.onnx").write_bytes(bytes(range(256)))
    assert metadata(tmp_path / "noise.onnx") == {}
