#!/usr/bin/env bash
# An open onnxruntime session gives other answers when the file of its external weights is written to.
#
# Seen with onnxruntime 1.32.0 and onnx 1.23.2 on Python 3.11, Linux: external data (the default of PyTorch's exporter
# for larger models) is mapped into memory, so a weight that an operator reads as it lies, such as the table of a
# Gather, is that of the file at this moment. A deployment that copies a new version over the old one changes what the
# running server answers, half old and half new, without an error. One would guess that a session that was made from a
# file no longer depends on it; for a model in one file that is so.
# What to do: replace files by renaming, never write over them; or open a private copy that is removed afterwards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

table = np.random.default_rng(0).normal(size=(20000, 16)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("Gather", ["table", "rows"], ["y"])], "g",
    [helper.make_tensor_value_info("rows", TensorProto.INT64, [4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 16])],
    [numpy_helper.from_array(table, "table")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.save_model(model, "m.onnx", save_as_external_data=True, location="m.data", size_threshold=10)
session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
rows = {"rows": np.array([0, 5000, 10000, 19999])}
before = session.run(None, rows)[0].copy()
assert np.array_equal(before, table[rows["rows"]])
with open("m.data", "r+b") as stream:
    stream.write(bytes(table.nbytes))
after = session.run(None, rows)[0]
print(f"onnxruntime {onnxruntime.__version__}: {(before != after).mean():.0%} of the open session's outputs changed")
assert not np.array_equal(before, after), "the behaviour changed"
PY
