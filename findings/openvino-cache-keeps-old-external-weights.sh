#!/usr/bin/env bash
# OpenVINO's model cache answers with old weights after the external data file of an ONNX model changed.
#
# Seen with openvino 2026.4.1, onnx 1.23.2, numpy 2.4.6 on Python 3.11 (CPU plugin):
#   the first compilation with CACHE_DIR set gives 2.0; the data file is rewritten in place (same size, other value and
#   time stamp), the .onnx file is untouched; the second compilation, from the same cache folder, still gives 2.0, and
#   one without a cache gives 3.0.
# One would guess that whatever the network's weights are read from counts to the cache's key.
# What to do: leave CACHE_DIR unset for models with external data, or use a folder per digest of all of a model's files.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
cat > run.py <<'PY'
import os
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper

SIZE = 4096
weights = numpy_helper.from_array(np.full(SIZE, 2.0, np.float32), "w")
graph = helper.make_graph(
    [helper.make_node("Mul", ["x", "w"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [SIZE])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [SIZE])], [weights],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.save_model(model, "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)


def answer(cache: str | None) -> float:
    core = openvino.Core()
    options = {"CACHE_DIR": cache} if cache else {}
    compiled = core.compile_model("m.onnx", "CPU", options)
    return float(compiled([np.ones(SIZE, np.float32)])[0][0])


first = answer("cache")
np.full(SIZE, 3.0, np.float32).tofile("m.data")
os.utime("m.data", (2_000_000_000, 2_000_000_000))
second, without = answer("cache"), answer(None)
print(f"openvino {openvino.__version__}: before {first}, after with the cache {second}, after without {without}")
assert (first, second, without) == (2.0, 2.0, 3.0), "the behaviour changed"
PY
"$work/venv/bin/python" run.py
