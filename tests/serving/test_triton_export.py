"""The exported repository: its configurations against the files they are of, and who may write where."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import premodel
from bundles import Made, make_bundle
from fake_triton import make_mixed, read_config
from policy_makers import MAKERS
from premodel.cli.main import build_parser
from premodel.errors import ModelError, OptionError
from premodel.runtime.bundle import Bundle, read_bundle, write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.serving.triton_config import network_config
from premodel.serving.triton_export import MARKER, export_repository
from premodel.zoo.manifest import read_zoo
from several_files import NAMES, WEIGHTS, write_external_zoo

onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
TYPES = {"tensor(float)": "TYPE_FP32", "tensor(uint8)": "TYPE_UINT8"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_mixed(tmp_path_factory.mktemp("mixed"), "select, highest score")


def type_name(config_tensor: object) -> str:
    """The name of a tensor's type in the protobuf's own words."""
    field = config_tensor.DESCRIPTOR.fields_by_name["data_type"]  # type: ignore[attr-defined]
    return str(field.enum_type.values_by_number[config_tensor.data_type].name)  # type: ignore[attr-defined]


def test_what_is_written(made: Made, tmp_path: Path) -> None:
    repository = export_repository(made.path, tmp_path / "deep" / "repository")
    files = {str(file.relative_to(repository.folder)) for file in repository.folder.rglob("*") if file.is_file()}
    assert files == {
        MARKER,
        *(f"{name}/{file}" for name in ("small", "large") for file in ("config.pbtxt", "1/model.onnx")),
        *(f"edge/{file}" for file in ("config.pbtxt", "1/model.py", "1/edge.premodel", "1/m0.npz")),
    }
    assert repository.model == "edge"
    assert repository.networks == {"small": "small", "large": "large", "large@mirrored": "large"}
    assert repository.inside == ("m0",)
    assert [entry.name for entry in repository.folder.parent.iterdir()] == ["repository"]


def test_the_page_shows_what_is_written_and_commands_that_are_taken(made: Made, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "triton.md").read_text()
    folder = export_repository(made.path, tmp_path / "r").folder
    (tree,) = re.findall(r"^```\nrepository/\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown = {line.split()[0] for line in tree.splitlines()}
    written = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert shown == written - {"edge/1/m0.npz"}
    commands = re.findall(r"^premodel .*$", page, re.MULTILINE)
    assert commands
    for command in commands:
        words = shlex.split(command)[1:]
        build_parser(words[0]).parse_args(words)


@pytest.mark.parametrize(("name", "free"), [("small", True), ("large", False)])
def test_a_network_is_configured_as_its_file_says(made: Made, tmp_path: Path, name: str, free: bool) -> None:
    folder = export_repository(made.path, tmp_path / "r").folder / name
    config = read_config(folder / "config.pbtxt")
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    assert (config.name, config.backend) == (name, "onnxruntime")
    assert (config.max_batch_size > 0) == free
    wanted = {node.name: node for node in session.get_outputs()}
    (output,) = config.output
    assert output.name == ("prob" if free else "spare")  # the one the manifest chose of two
    (node,) = session.get_inputs()
    (tensor,) = config.input
    assert tensor.name == node.name
    for entry, said in ((tensor, node), (output, wanted[output.name])):
        assert type_name(entry) == TYPES[said.type]
        assert [*([said.shape[0]] if free else []), *entry.dims] == said.shape
        assert isinstance(said.shape[0], str) == free
    assert not config.HasField("dynamic_batching")
    assert config.parameters["intra_op_thread_count"].string_value == "1"
    ((group),) = config.instance_group
    assert group.kind == group.KIND_CPU


def test_the_premodel_is_configured_as_it_is_served(made: Made, tmp_path: Path) -> None:
    config = read_config(export_repository(made.path, tmp_path / "r").folder / "edge" / "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("edge", "python", 0)
    assert {(entry.name, type_name(entry), tuple(entry.dims), entry.optional) for entry in config.input} == {
        ("image", "TYPE_STRING", (-1,), True),
        ("pixels", "TYPE_UINT8", (-1, -1, -1, 3), True),
    }
    assert {(entry.name, type_name(entry), tuple(entry.dims)) for entry in config.output} == {
        ("label", "TYPE_INT32", (-1,)),
        ("class", "TYPE_STRING", (-1,)),
        ("probabilities", "TYPE_FP32", (-1, 6)),
        ("top_labels", "TYPE_INT32", (-1, 6)),
        ("candidate", "TYPE_STRING", (-1,)),
        ("latency_ms", "TYPE_FP32", (-1, 5)),
        ("explanation", "TYPE_STRING", (-1,)),
    }


def test_candidates_of_a_gpu_run_on_one(made: Made, tmp_path: Path) -> None:
    from dataclasses import replace

    from premodel.backends.onnx import OnnxBackend

    model = read_bundle(made.path).candidate("large").model
    backend = OnnxBackend.open(made.small.data / "models" / "large.onnx", threads=1, settings=model.settings)
    providers = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    for count in (1, 2):
        file = tmp_path / "config.pbtxt"
        file.write_text(network_config("large", replace(model, providers=providers[-count:], threads=3), backend))
        config = read_config(file)
        assert config.instance_group[0].kind == config.instance_group[0].KIND_GPU
        assert config.parameters["intra_op_thread_count"].string_value == "3"
        names = [one.name for one in config.optimization.execution_accelerators.gpu_execution_accelerator]
        assert names == (["tensorrt"] if count == 2 else [])


def test_the_bundle_names_no_place_of_this_machine(made: Made, tmp_path: Path) -> None:
    folder = export_repository(made.path, tmp_path / "r").folder / "edge" / "1"
    assert str(made.path.parent).encode() not in (folder / "edge.premodel").read_bytes()
    bundle = read_bundle(folder / "edge.premodel")
    assert not bundle.embedded
    assert {one.name: one.model.runtime for one in bundle.candidates} == {
        "m0": "replay", "small": "triton", "large": "triton", "large@mirrored": "triton",
    }  # fmt: skip
    trained = read_bundle(made.path)
    for one in bundle.candidates:  # what was profiled is still known
        assert one.prediction_key == trained.candidate(one.name).prediction_key


def test_embedded_models_are_taken_out(made: Made, tmp_path: Path) -> None:
    embedding = make_mixed(tmp_path / "embedding", "select, highest score", embed=True)
    moved = tmp_path / "edge.premodel"
    embedding.path.rename(moved)
    (embedding.small.data / "models").rename(tmp_path / "gone")
    repository = export_repository(moved, tmp_path / "r")
    for name in ("small", "large"):
        written = repository.folder / name / "1" / "model.onnx"
        assert written.read_bytes() == (tmp_path / "gone" / f"{name}.onnx").read_bytes()
    assert (repository.folder / "edge" / "1" / "m0.npz").read_bytes() == (tmp_path / "gone" / "m0.npz").read_bytes()
    assert not read_bundle(repository.folder / "edge" / "1" / "edge.premodel").embedded


def test_an_earlier_export_is_replaced(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    (folder).mkdir()  # empty
    export_repository(made.path, folder)
    (folder / "edge" / "1" / "stale").write_text("of before")
    other = tmp_path / "other.premodel"
    other.write_bytes(made.path.read_bytes())
    export_repository(other, folder, made.small.zoo)
    assert sorted(entry.name for entry in folder.iterdir()) == ["large", "other", MARKER, "small"]
    assert not list(folder.rglob("stale"))


@pytest.mark.parametrize("foreign", ["other/1/model.onnx", "notes.txt", MARKER])
def test_anything_else_is_left_alone(made: Made, tmp_path: Path, foreign: str) -> None:
    folder = tmp_path / "r"
    if foreign != MARKER:
        export_repository(made.path, folder)
    (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
    (folder / foreign).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(OptionError, match=rf"given: {Path(foreign).parts[0]}; allowed: a new or empty folder"):
        export_repository(made.path, folder)
    assert sorted(folder.rglob("*")) == before
    assert (folder / foreign).read_text() == "mine"


def test_a_failure_leaves_what_was_there(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "r"
    export_repository(made.path, folder)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("premodel.serving.triton_export._write_marker", full)
    with pytest.raises(OptionError, match="repository cannot be written; given: No space left on device"):
        export_repository(made.path, folder)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["small.premodel", "my premodel.premodel"])
def test_a_name_that_no_model_can_have(made: Made, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(made.path.read_bytes())
    with pytest.raises(OptionError, match="rename the file"):
        export_repository(tmp_path / name, tmp_path / "r", made.small.zoo)
    assert not (tmp_path / "r").exists()


def test_a_changed_model_file(tmp_path: Path) -> None:
    made = make_mixed(tmp_path / "made", "select, highest score")
    file = made.small.data / "models" / "small.onnx"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match="wrong sha256"):
        export_repository(made.path, tmp_path / "r")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["made"]


def test_an_export_is_not_exported_again(made: Made, tmp_path: Path) -> None:
    folder = export_repository(made.path, tmp_path / "r").folder
    with pytest.raises(OptionError, match="give the one that was trained"):
        export_repository(folder / "edge" / "1" / "edge.premodel", tmp_path / "again")


def test_outside_triton_the_exported_bundle_says_where_it_runs(made: Made, tmp_path: Path) -> None:
    folder = export_repository(made.path, tmp_path / "r").folder
    with premodel.load(folder / "edge" / "1" / "edge.premodel") as clf:
        unavailable = clf.warm()
    assert set(unavailable) == {"small", "large", "large@mirrored"}
    assert "only inside Triton's Python backend" in unavailable["small"]


def test_a_premodel_without_onnx_networks(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "made", MAKERS["single"])
    repository = export_repository(made.path, tmp_path / "r")
    assert (dict(repository.networks), repository.inside) == ({}, ("m0", "m1", "m2"))
    about = json.loads((repository.folder / MARKER).read_text())
    assert about["models"] == ["small"]
    with premodel.load(made.path) as clf, premodel.load(repository.folder / "small" / "1" / "small.premodel") as same:
        for image in made.small.images[:3]:
            assert np.array_equal(same.predict(image).top_probabilities, clf.predict(image).top_probabilities)


def test_further_files_of_a_network_are_copied_beside_it(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path / "zoo")
    bundle = Bundle(
        Single(("net",), (1.0,), Costs((1.0,), 0.0)), read_zoo(folder / "zoo.toml").candidates, NAMES, "top1", None
    )
    path = tmp_path / "edge.premodel"
    write_bundle(path, bundle, folder=folder, embed=True)
    (folder / "models").rename(tmp_path / "gone")
    repository = export_repository(path, tmp_path / "r")
    network = repository.folder / "net" / "1"
    assert (network / WEIGHTS).read_bytes() == (tmp_path / "gone" / WEIGHTS).read_bytes()
    session = onnxruntime.InferenceSession(network / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})[0].shape == (1, 3)
    (inside,) = read_bundle(repository.folder / "edge" / "1" / "edge.premodel").candidates
    assert inside.home.prediction_key == bundle.candidates[0].prediction_key


def test_a_candidate_of_several_files_inside_the_premodel(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    folder = write_external_zoo(tmp_path / "zoo", "openvino")
    bundle = Bundle(
        Single(("net",), (1.0,), Costs((1.0,), 0.0)), read_zoo(folder / "zoo.toml").candidates, NAMES, "top1", None
    )
    path = tmp_path / "edge.premodel"
    write_bundle(path, bundle, folder=folder)
    place = export_repository(path, tmp_path / "r").folder / "edge" / "1"
    folder.rename(tmp_path / "gone")
    with premodel.load(place / "edge.premodel") as clf:
        assert clf.predict(tmp_path / "gone" / "images" / "01.png").class_name == "green"
