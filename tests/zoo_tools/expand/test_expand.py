"""Siblings of tiny networks: made, checked, described, and left out for a reason. What is timed here is made up."""

from __future__ import annotations

import errno
import importlib.util
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import DatasetError, MissingExtraError, ModelError, OptionError, ZooError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.candidate import OpenedCandidate
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.training.load import load_candidates, load_tables
from premodel.zoo.calibration import read_calibration
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json
from premodel.zoo.manifest import read_zoo

pytest.importorskip("onnx", reason="needs the extra premodel[expand]")
pytest.importorskip("tomlkit", reason="needs the extra premodel[expand]")

from expand_zoos import Made, write_expandable
from premodel.zoo_tools.expand import expand as expanding
from premodel.zoo_tools.expand import onnx_files, plan
from premodel.zoo_tools.expand.expand import ExpandOptions, Expansion, expand

OPTIONS = ExpandOptions(calibration=12, checked=30, without=("half",))
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None


@pytest.fixture(autouse=True)
def made_up_times(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Every sibling is twice as fast as its original, but for those whose factor a test sets."""
    factors: dict[str, float] = {}

    def measure(opened: Sequence[OpenedCandidate], images: Sequence[object], seed: int = 0) -> NDArray[np.float64]:
        del images
        noise = np.random.default_rng(seed).normal(1, 0.01, (50, len(opened)))
        means = [10.0 if not number else 10 / factors.get(one.name, 2.0) for number, one in enumerate(opened)]
        return noise * means

    monkeypatch.setattr(expanding, "measure", measure)
    return factors


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_expandable(tmp_path / "zoo")


def run(made: Made, out: Path, **changes: Any) -> Expansion:
    from dataclasses import replace

    return expand(made.zoo, made.dataset, out, replace(OPTIONS, **changes))


def reasons(found: Expansion) -> dict[str, str]:
    return {outcome.name: outcome.reason for outcome in found.outcomes}


def test_an_int8_sibling_is_made_checked_and_described(made: Made, tmp_path: Path) -> None:
    out = made.manifest.with_name("expanded.toml")
    found = run(made, out, only=("int8",))
    assert reasons(found) == {"net-int8": ""}
    outcome = found.outcomes[0]
    assert outcome.accuracy is not None
    assert outcome.accuracy.images == 30
    assert outcome.accuracy.accuracy >= 0.9
    written = read_zoo(out, require_files=True)
    model = written.candidate("net-int8").model
    assert model.origin is not None
    assert model.origin.sha256 == made.zoo.candidate("net").model.digest
    assert (model.origin.kind, model.origin.calibration_samples) == ("int8", 12)
    assert model.origin.tool.startswith("onnxruntime ")
    assert model.sha256 is not None
    assert onnx_files.is_quantised(model.file)
    assert len(written.calibration) == 12


def test_nothing_of_the_original_manifest_is_lost(made: Made) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    before, after = made.manifest.read_text(), out.read_text()
    assert all(line in after.splitlines() for line in before.splitlines())
    assert "# its name" in after
    assert "# the end" in after
    data = tomllib.loads(after)
    assert data["models"][0] == tomllib.loads(before)["models"][0]


def test_a_manifest_elsewhere_finds_the_files(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    out = folder / "zoo.toml"
    run(made, out, only=("int8",))
    written = read_zoo(out, require_files=True)
    assert written.candidate("net").prediction_key == made.zoo.candidate("net").prediction_key
    assert tomllib.loads(out.read_text())["models"][1]["file"] == "zoo-siblings/net-int8.onnx"


def test_calibration_samples_are_left_out_of_the_profile_and_of_what_is_trained_on(made: Made, tmp_path: Path) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    store = tmp_path / "s.db"
    passes = ProfileOptions(passes=("predictions",))
    profile(made.zoo, made.dataset, store, passes)  # the original alone, on every image
    written = read_zoo(out)
    report = profile(written, made.dataset, store, passes)
    assert report.calibration == 12
    tables = load_tables(store, passes=("predictions",))
    assert len(tables) == 80 - 12
    assert not set(tables.samples) & written.calibration
    with Store(store) as opened:
        assert summarise_store(opened).samples == 68
    profile(made.zoo, made.dataset, store, passes)  # a zoo that was not calibrated takes them back
    assert len(load_tables(store, passes=("predictions",))) == 80


def test_a_limited_profile_has_so_many_samples_besides_those_calibrated_on(made: Made, tmp_path: Path) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    written = read_zoo(out)
    for limit, samples in ((10, 10), (12, 12), (67, 67), (75, 68)):
        options = ProfileOptions(passes=("predictions",), limit=limit)
        report = profile(written, made.dataset, tmp_path / f"{limit}.db", options)
        assert len(report.inventory.entries) == samples
        assert report.rows == samples + report.calibration


def test_a_data_set_of_nothing_but_calibration_samples_is_named(made: Made, tmp_path: Path) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    written = read_zoo(out)
    (tmp_path / "some").mkdir()
    for number, name in enumerate(read_calibration(out.with_name("expanded-calibration.txt")).values()):
        (tmp_path / "some" / f"{number}.png").write_bytes((made.data / name).read_bytes())
    (tmp_path / "truth.csv").write_text("path,label\n" + "".join(f"{number}.png,0\n" for number in range(12)))
    few = read_dataset(tmp_path / "some", tmp_path / "truth.csv", label_names=written.labels)
    with pytest.raises(DatasetError, match="every image of it is one that models of this zoo were calibrated on"):
        profile(written, few, tmp_path / "few.db", ProfileOptions(passes=("predictions",)))


def test_the_origin_goes_with_the_candidate(made: Made, tmp_path: Path) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    written = read_zoo(out)
    sibling = written.candidate("net-int8")
    data = candidate_to_json(sibling, out.parent)
    assert candidate_from_json(data, out.parent).model.origin == sibling.model.origin
    store = tmp_path / "s.db"
    profile(written, made.dataset, store, ProfileOptions(passes=("predictions",)))
    assert load_candidates(store, ["net-int8"])[0].model.origin == sibling.model.origin


def test_a_sibling_that_is_no_faster_is_named_and_left_out(made: Made, made_up_times: dict[str, float]) -> None:
    made_up_times["net-int8"] = 1.0
    out = made.manifest.with_name("expanded.toml")
    found = run(made, out, only=("int8",))
    assert reasons(found)["net-int8"].startswith("no faster than its original here: 1.0")
    written = read_zoo(out)
    assert [candidate.name for candidate in written.candidates] == ["net"]
    assert not written.calibration, "nobody was calibrated on them that is in this zoo"


@pytest.mark.parametrize(
    ("bias", "reason"), [((100, 0), "broken: the same answer to all 30"), (None, "accuracy collapsed: 0.0 % after 100")]
)
def test_a_sibling_that_is_broken_is_named_and_left_out(
    made: Made, monkeypatch: pytest.MonkeyPatch, bias: tuple[float, float] | None, reason: str
) -> None:
    import onnx

    def broken(file: Path, tensors: Sequence[Any], part: Path) -> None:
        del tensors
        model = onnx.load(str(file))
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if tensor.name == "bias" and bias is not None:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(bias, np.float32), "bias"))
            if tensor.name == "head" and bias is None:
                tensor.CopyFrom(onnx.numpy_helper.from_array(-values, "head"))
        onnx.save(model, str(part))

    monkeypatch.setattr(onnx_files, "quantise", broken)
    out = made.manifest.with_name("expanded.toml")
    assert reasons(run(made, out, only=("int8",)))["net-int8"].startswith(reason)
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["net"]


def test_of_one_file_under_two_runtimes_the_faster_is_kept(made: Made, made_up_times: dict[str, float]) -> None:
    pytest.importorskip("openvino", reason="needs the extra premodel[openvino]")
    made_up_times["net-int8-openvino"] = 3.0
    made_up_times["net-openvino"] = 0.8
    out = made.manifest.with_name("expanded.toml")
    found = reasons(run(made, out, only=("int8", "runtime")))
    assert found["net-int8"] == "net-int8-openvino is the same file, and faster here"
    assert found["net-openvino"].startswith("no faster")
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["net", "net-int8-openvino"]


@pytest.mark.parametrize("side", ["side", 64])
def test_smaller_sizes_where_the_file_allows(tmp_path: Path, side: int | str) -> None:
    made = write_expandable(tmp_path / "zoo", side=side)
    out = made.manifest.with_name("expanded.toml")
    found = reasons(run(made, out, only=("size",)))
    ours = {name: reason for name, reason in found.items() if not name.endswith("openvino")}
    assert set(ours) == {"net-56", "net-44"}
    if side == 64:
        assert all("the file fixes the size of its input" in reason for reason in ours.values())
    else:
        assert set(ours.values()) == {""}
        written = read_zoo(out)
        assert written.candidate("net-56").input.size == (56, 56)


def test_a_network_that_cannot_be_quantised_loses_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("the quantiser cannot do it (no such operator: Odd)", where="net.onnx")

    monkeypatch.setattr(onnx_files, "quantise", refuse)
    out = made.manifest.with_name("expanded.toml")
    found = run(made, out, only=("int8",))
    assert "no such operator: Odd" in reasons(found)["net-int8"]
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["net"]


def test_a_file_without_anything_to_quantise_is_named(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    file = tmp_path / "plain.onnx"
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["y"])], "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
    tensors = [np.ones((1, 2), np.float32)]
    try:
        onnx_files.quantise(file, tensors, tmp_path / "part.onnx")
    except ModelError as error:
        assert "quantise" in str(error)  # noqa: PT017 - newer tools do find something
    else:
        assert onnx_files.is_quantised(tmp_path / "part.onnx")


def test_weights_in_constant_nodes_become_int8_too(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    file, part = tmp_path / "constants.onnx", tmp_path / "part.onnx"
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight)),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ],
        "constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
    onnx_files.quantise(file, [np.ones((1, 64), np.float32)], part)
    sizes = [list(t.dims) for t in onnx.load(str(part)).graph.initializer if t.data_type == TensorProto.INT8]
    assert [64, 64] in sizes


@pytest.mark.parametrize("opset", [11, 17])
def test_older_files_are_lifted_to_an_opset_with_a_scale_per_channel(tmp_path: Path, opset: int) -> None:
    made = write_expandable(tmp_path / "zoo", opset=opset)
    found = run(made, made.manifest.with_name("expanded.toml"), only=("int8",))
    assert reasons(found) == {"net-int8": ""}


def test_what_was_made_is_not_made_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    first = out.read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(onnx_files, "quantise", never)
    monkeypatch.setattr(expanding, "measure", never)
    assert reasons(run(made, out, only=("int8",))) == {"net-int8": ""}
    assert out.read_bytes() == first


def test_broken_off_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_expandable(tmp_path / "zoo", ("a", "b"))
    out = made.manifest.with_name("expanded.toml")
    real, calls = onnx_files.quantise, []

    def interrupted(file: Path, tensors: Sequence[Any], part: Path) -> None:
        calls.append(file.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(file, tensors, part)

    monkeypatch.setattr(onnx_files, "quantise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(made, out, only=("int8",))
    assert not out.exists()
    assert reasons(run(made, out, only=("int8",))) == {"a-int8": "", "b-int8": ""}
    assert calls == ["a.onnx", "b.onnx", "b.onnx"]
    assert not list(out.parent.rglob("*.part"))


def test_a_full_disk_is_one_line_and_leaves_what_was_there(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    out = made.manifest.with_name("expanded.toml")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr(onnx_files, "quantise", full)
    before = made.manifest.read_bytes()
    with pytest.raises(OptionError, match="No space left on device") as caught:
        run(made, out, only=("int8",))
    assert "\n" not in str(caught.value)
    assert made.manifest.read_bytes() == before
    assert not out.exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_do_not_change_what_comes_out(tmp_path: Path, jobs: int) -> None:
    made = write_expandable(tmp_path / "zoo", ("a", "b"))
    out = made.manifest.with_name("expanded.toml")
    found = run(made, out, only=("int8",), jobs=jobs)
    assert reasons(found) == {"a-int8": "", "b-int8": ""}
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["a", "b", "a-int8", "b-int8"]


def test_too_few_images_to_calibrate_on(tmp_path: Path) -> None:
    made = write_expandable(tmp_path / "zoo", count=20)
    out = made.manifest.with_name("expanded.toml")
    with pytest.raises(DatasetError, match="too few images to calibrate on; given: 20 that can be read; allowed: 40"):
        run(made, out)
    for image in (made.data / "images").iterdir():
        image.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"given: 0 that can be read \(.*0"):
        run(made, out)


def test_an_original_that_is_gone_or_changed_is_named(made: Made) -> None:
    out = made.manifest.with_name("expanded.toml")
    file = made.manifest.parent / "models" / "net.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="wrong sha256"):
        run(made, out, only=("int8",))


def test_another_manifest_is_not_replaced_unasked(made: Made) -> None:
    out = made.manifest.with_name("expanded.toml")
    out.write_text("mine")
    with pytest.raises(OptionError, match="--force"):
        run(made, out, only=("int8",))
    assert out.read_text() == "mine"
    run(made, out, only=("int8",), force=True)
    out.write_text(out.read_text() + "# mine\n")
    with pytest.raises(OptionError, match="changed since"):
        run(made, out, only=("int8",))
    with pytest.raises(OptionError, match="another file than the original"):
        run(made, made.manifest, only=("int8",), force=True)


def test_siblings_of_siblings_are_not_made(made: Made) -> None:
    out = made.manifest.with_name("expanded.toml")
    run(made, out, only=("int8",))
    again = out.with_name("again.toml")
    found = expand(read_zoo(out), made.dataset, again, ExpandOptions(only=("int8",), calibration=12, checked=30))
    assert found.untouched == {"net-int8": "is a sibling itself (int8)"}
    assert [candidate.name for candidate in read_zoo(again).candidates] == ["net", "net-int8", "net-int8-2"]
    assert read_zoo(again).calibration >= read_zoo(out).calibration


def test_kinds_are_checked() -> None:
    assert plan.wanted_kinds((), ()) == frozenset(plan.KINDS)
    assert plan.wanted_kinds(("int8", "size"), ("size",)) == {"int8"}
    for only, without in (((), tuple(plan.KINDS)), (("int4",), ()), ((), ("all",))):
        with pytest.raises(OptionError, match="kind of sibling"):
            plan.wanted_kinds(only, without)


def test_models_of_which_nothing_is_made_are_named(tmp_path: Path) -> None:
    from zoos import write_zoo

    small = write_zoo(tmp_path, correct=np.ones((8, 2), bool))
    zoo = read_zoo(small.zoo)
    from premodel.profiling.datasets.registry import read_dataset

    with pytest.raises(ZooError, match=r"no model of this zoo has siblings.*replay"):
        expand(zoo, read_dataset(small.data, small.labels, label_names=zoo.labels), tmp_path / "out.toml", OPTIONS)


def test_a_missing_package_is_one_line_with_its_extra(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    out = made.manifest.with_name("expanded.toml")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(OptionError, match=r"premodel\[expand\]"):
        run(made, out, only=("int8",))
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(MissingExtraError, match=r"premodel\[expand\]"):
        run(made, out, only=("int8",))


def test_processors_whose_products_saturate_get_weights_of_seven_bits(tmp_path: Path) -> None:
    for flags, saturates in (("sse2 avx avx2", True), ("avx2 avx512_vnni", False), ("asimd", False)):
        file = tmp_path / "cpuinfo"
        file.write_text(f"flags : {flags}\n")
        assert onnx_files.saturates(file) is saturates, flags
    assert not onnx_files.saturates(tmp_path / "none")
