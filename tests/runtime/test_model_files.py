"""A model is all of its files: what is profiled, packaged, moved, embedded and opened."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

import premodel
from premodel.errors import ModelError, RunError
from premodel.files import file_sha256
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.bundle import Bundle, read_bundle, write_bundle
from premodel.runtime.candidate import open_candidates
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.load import load_candidates
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import read_zoo
from several_files import NAMES, WEIGHTS, change_weights, write_external_zoo


def package(folder: Path, candidates: tuple[Candidate, ...], *, embed: bool = False) -> Path:
    path = folder / "colours.premodel"
    policy = Single(("net",), (1.0,), Costs((1.0,), 0.0))
    sizes = {digest: file.stat().st_size for file, digest in candidates[0].model.all_files().items()}
    bundle = Bundle(policy, candidates, NAMES, "top1", None, sizes=sizes)
    write_bundle(path, bundle, folder=folder, embed=embed)
    return path


def answers(path: Path, images: Path) -> list[str | None]:
    with premodel.load(path) as clf:
        return [clf.predict(image).class_name for image in sorted(images.iterdir())]


@pytest.fixture(params=["onnx", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"onnx": "onnxruntime"}.get(request.param, request.param))
    return str(request.param)


def test_changed_weights_never_answer_under_the_old_profile(tmp_path: Path, runtime: str) -> None:
    folder = write_external_zoo(tmp_path / "zoo", runtime)
    path = package(folder, read_zoo(folder / "zoo.toml").candidates)
    assert answers(path, folder / "images") == [NAMES[i % 3] for i in range(12)]
    change_weights(folder)
    with pytest.raises(RunError, match=r"further file of net has the wrong sha256; given: \w{64}; allowed: \w{64}"):
        answers(path, folder / "images")
    with pytest.raises(ModelError, match="has the wrong sha256"):
        open_candidates(read_zoo(folder / "zoo.toml").candidates)


@pytest.mark.parametrize("digest", [True, False])
def test_weights_count_to_every_key(tmp_path: Path, digest: bool) -> None:
    """Without any digest in the manifest they are read from the files."""
    stated = digest
    one = read_zoo(write_external_zoo(tmp_path / "a", stated=stated, digest=digest) / "zoo.toml").candidates[0]
    first = one.prediction_key, one.timing_key, one.network_key, one.model.digest
    folder = write_external_zoo(tmp_path / "b", stated=False, digest=False)
    change_weights(folder)
    other = read_zoo(folder / "zoo.toml").candidates[0]
    assert one.model.file_digest == other.model.file_digest
    second = other.prediction_key, other.timing_key, other.network_key, other.model.digest
    assert not set(first) & set(second)


def test_the_digest_of_a_model_of_one_file_is_that_files(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path)
    model = read_zoo(folder / "zoo.toml").candidates[0].model
    alone = replace(model, files={})
    assert alone.digest == file_sha256(model.file)
    assert model.digest != alone.digest


def test_a_file_that_the_manifest_does_not_state_is_refused_with_the_line_to_add(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path, stated=False)
    states = rf'files = \{{ "{WEIGHTS}" = "{file_sha256(folder / "models" / WEIGHTS)}" \}}'
    with pytest.raises(ModelError, match=rf"net reads further files, which its entry does not state; .*{states}"):
        read_zoo(folder / "zoo.toml", require_files=True)
    with pytest.raises(ModelError, match="reads further files"):
        open_candidates(read_zoo(folder / "zoo.toml").candidates)


def test_embedded_files_travel_with_the_bundle(tmp_path: Path, runtime: str) -> None:
    folder = write_external_zoo(tmp_path / "zoo", runtime)
    path = package(folder, read_zoo(folder / "zoo.toml").candidates, embed=True)
    bundle = read_bundle(path)
    assert bundle.embedded == set(bundle.candidates[0].model.all_files().values())
    (folder / "models").rename(tmp_path / "gone")
    assert answers(path, folder / "images") == [NAMES[i % 3] for i in range(12)]


def test_changed_weights_are_not_embedded(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path)
    candidates = read_zoo(folder / "zoo.toml").candidates
    change_weights(folder)
    with pytest.raises(ModelError, match="not the one that was profiled"):
        package(folder, candidates, embed=True)


def test_an_openvino_xml_travels_with_its_weights(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    folder = write_external_zoo(tmp_path / "zoo")
    model = openvino.Core().read_model(str(folder / "models" / "net.onnx"))
    openvino.save_model(model, str(folder / "models" / "net.xml"))
    text = (folder / "zoo.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith(("sha256", "files"))]
    own, weights = (file_sha256(folder / "models" / f"net.{suffix}") for suffix in ("xml", "bin"))
    lines += [f'sha256 = "{own}"', f'settings = {{ weights_sha256 = "{weights}" }}']
    text = "\n".join(lines).replace('"onnx"', '"openvino"').replace("net.onnx", "net.xml")
    (folder / "zoo.toml").write_text(text)
    candidates = read_zoo(folder / "zoo.toml", require_files=True).candidates
    assert candidates[0].model.digest == own
    path = package(folder, candidates, embed=True)
    (folder / "models").rename(tmp_path / "gone")
    assert answers(path, folder / "images") == [NAMES[i % 3] for i in range(12)]


def test_a_place_without_all_files_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_external_zoo(tmp_path / "zoo")
    path = package(folder, read_zoo(folder / "zoo.toml").candidates)
    half, whole = tmp_path / "half", tmp_path / "whole"
    half.mkdir()
    shutil.copy(folder / "models" / "net.onnx", half)
    shutil.move(folder / "models", whole)
    monkeypatch.setenv("PREMODEL_MODELS", str(half))
    with pytest.raises(ModelError, match="model file is missing"):
        premodel.load(path)
    monkeypatch.setenv("PREMODEL_MODELS", f"{half}:{whole}")
    assert answers(path, folder / "images")[:3] == list(NAMES)


def test_a_store_keeps_what_all_files_were(tmp_path: Path) -> None:
    """Profiled, changed, profiled again: the answers of the old weights are not taken for those of the new ones."""
    folder = write_external_zoo(tmp_path / "zoo", stated=False, digest=False)
    store = tmp_path / "p.db"

    def run() -> float:
        zoo = read_zoo(folder / "zoo.toml", require_files=True)
        data = read_dataset(folder, folder / "labels.csv", label_names=zoo.labels)
        profile(zoo, data, store, ProfileOptions(passes=("predictions",)))
        from premodel.training.load import load_tables

        return float(np.mean(load_tables(store, passes=("predictions",)).correct("top1")))

    assert run() == 1.0
    (candidate,) = load_candidates(store)
    assert set(candidate.model.files) == {WEIGHTS}
    change_weights(folder)
    assert run() == 0.0


def test_memory_is_counted_over_all_files(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path)
    path = package(folder, read_zoo(folder / "zoo.toml").candidates)
    size = sum(file.stat().st_size for file in (folder / "models" / "net.onnx", folder / "models" / WEIGHTS))
    with pytest.raises(premodel.OptionError, match=rf"allowed: {2 * size / 1e6:.1f} MB"):
        premodel.load(path, memory_budget_mb=size / 1e6)
