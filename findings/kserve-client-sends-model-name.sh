#!/usr/bin/env bash
# KServe's Python client puts "model_name" into the body of an Open Inference Protocol request.
#
# Seen with kserve 0.21.0 on Python 3.11: InferRequest.to_rest() gives a body with the keys id, inputs and model_name.
# The protocol's request object has id, parameters, inputs and outputs, and names the model in the URL; a server that
# refuses fields that it does not know refuses every request of this client. One would guess that the client of a
# protocol sends what the protocol lists.
# What to do on a server: pass over fields of others; refuse only what looks like a misspelt one of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check kserve==0.21.0
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from kserve import InferInput, InferRequest

value = InferInput("image", [1, 3], "FP32")
value.set_data_from_numpy(np.ones((1, 3), np.float32), binary_data=False)
body, _ = InferRequest("edge", [value]).to_rest()
print(f"kserve {version('kserve')}: keys {sorted(body)}, model_name {body.get('model_name')!r}")
assert body.get("model_name") == "edge", "the behaviour changed"
PY
