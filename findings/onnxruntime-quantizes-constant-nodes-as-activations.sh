#!/usr/bin/env bash
# onnxruntime's static quantiser takes weights that lie in Constant nodes for activations: the int8 file is no smaller.
#
# Seen with onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, sympy 1.14.0 on Python 3.11: the same network of a convolution
# and two matrix products (4.2 MB of weights), once with its weights as initialisers and once as Constant nodes, as
# several exporters write them; both valid and with equal outputs. quantize_static (QDQ, per channel, int8 weights):
#   initialisers:     1.1 MB, three int8 weights, each with a scale for every channel.
#   Constant nodes:   4.2 MB, no int8 weight; each Constant feeds a QuantizeLinear to uint8 with one scale, as an
#                     activation does. No error, and the general advice to pre-process is the same in both cases;
#                     weight_type and per_channel are ignored.
#   Constant nodes through quant_pre_process first: 1.1 MB, as with initialisers.
# One would guess that what the checker takes for the same network is quantised alike, or that something is said.
# What to do: run quant_pre_process before each quantisation, and compare the size of the file with what was asked for.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 sympy==1.14.0
cd "$work"
cat > run.py <<'PY'
import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

rng = np.random.default_rng(0)
weights = {
    "kernel": rng.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
    "first": rng.normal(0, 0.03, (1024, 1024)).astype(np.float32),
    "last": rng.normal(0, 0.03, (1024, 10)).astype(np.float32),
}
inputs = [rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32) for _ in range(32)]


def network(file, constants):
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    nodes = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors] if constants else []
    nodes += [
        helper.make_node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "first"], ["h"]),
        helper.make_node("MatMul", ["h", "last"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [] if constants else tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


class Samples(CalibrationDataReader):
    def __init__(self):
        self.rest = iter([{"x": x} for x in inputs])

    def get_next(self):
        return next(self.rest, None)


def quantised(file):
    quantize_static(
        file, "q.onnx", Samples(), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
    )
    graph = onnx.load("q.onnx").graph
    int8 = [t for t in graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) > 1]
    made = {output: node.op_type for node in graph.node for output in node.output}
    run_time = sum(node.op_type == "QuantizeLinear" and made.get(node.input[0]) == "Constant" for node in graph.node)
    megabytes = os.path.getsize("q.onnx") / 1e6
    print(f"{file}: {megabytes:.1f} MB, {len(int8)} int8 weights, {run_time} QuantizeLinear behind a Constant")
    return megabytes, len(int8), run_time


def output(file):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"x": inputs[0]})[0]


network("initialisers.onnx", False)
network("constants.onnx", True)
assert np.array_equal(output("initialisers.onnx"), output("constants.onnx"))
quant_pre_process("constants.onnx", "prepared.onnx")
found = {file: quantised(file) for file in ("initialisers.onnx", "constants.onnx", "prepared.onnx")}
print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}")
for file in ("initialisers.onnx", "prepared.onnx"):
    assert found[file][0] < 1.5 and found[file][1:] == (3, 0)
assert found["constants.onnx"][0] > 4 and found["constants.onnx"][1:] == (0, 3), "the behaviour changed"
PY
"$work/venv/bin/python" run.py
