"""A domain from outside the package is registered, and its models are read and run with no image code loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from numbers_domain import NumbersDomain
from premodel.domains.registry import domain_of, register, tasks
from premodel.errors import OptionError


class TestRegistry:
    def test_images_are_built_in(self) -> None:
        assert tasks()[0] == "image-classification"
        assert ".png" in domain_of("image-classification").suffixes

    def test_an_unknown_task_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(OptionError, match="unknown task; given: smells; allowed: image-classification"):
            domain_of("smells")

    def test_a_task_has_one_domain(self) -> None:
        class Other(NumbersDomain):
            pass

        class NotImages(NumbersDomain):
            task = "image-classification"

        register(NumbersDomain())
        register(NumbersDomain())  # the same again changes nothing
        assert domain_of(NumbersDomain.task).suffixes == {".row"}
        for wrong in (Other(), NotImages()):
            with pytest.raises(OptionError, match="a task must have one domain"):
                register(wrong)


PROGRAM = """
import json, sys
from pathlib import Path
from premodel.domains.registry import register
from numbers_domain import NumbersDomain
register(NumbersDomain())
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.manifest import read_zoo
folder = Path(sys.argv[1])
zoo = read_zoo(folder / "zoo.toml")
bundle = Bundle(Single(("sums",), [1.0], Costs((0.1,), 0.1)), zoo.candidates, zoo.labels, "top1", None)
write_bundle(folder / "numbers.premodel", bundle, folder=folder)
with Premodel(folder / "numbers.premodel") as clf:
    clf.warm()
    found = [clf.predict(row).class_name for row in (b"1 2 3", b"-1 -2 -3")]
loaded = [name for name in sys.modules if "domains.image" in name or name == "cv2"]
print(json.dumps({"found": found, "loaded": loaded}))
"""


def test_an_input_that_is_no_image_is_answered_with_no_image_code_loaded(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    weights = helper.make_tensor("w", TensorProto.FLOAT, (3, 2), [-1, 1] * 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "sums.onnx"))
    (tmp_path / "zoo.toml").write_text(
        'name = "numbers"\ntask = "number-rows"\nlabels = ["negative", "positive"]\n\n[[models]]\nname = "sums"\n'
        'file = "sums.onnx"\nruntime = "onnx"\ninput = { length = 3 }\noutput = { activation = "none" }\n'
    )
    tests = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, cwd=tests, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"found": ["positive", "negative"], "loaded": []}
