"""Siblings of OpenVINO's own files and of float TFLite files. What is timed here is made up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.files import file_sha256
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.candidate import OpenedCandidate
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo

pytest.importorskip("onnx", reason="needs the extra premodel[expand]")
pytest.importorskip("tomlkit", reason="needs the extra premodel[expand]")

from expand_zoos import ENTRY, SIDE, Made, write_images, write_network
from premodel.zoo_tools.expand import expand as expanding
from premodel.zoo_tools.expand.expand import ExpandOptions, Expansion, expand

OPTIONS = ExpandOptions(calibration=12, checked=30)
HEAD = 'name = "forms"\ntask = "image-classification"\nlabels = ["first", "second"]\n'


@pytest.fixture(autouse=True)
def made_up_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sibling is twice as fast as its original."""

    def measure(opened: Sequence[OpenedCandidate], images: Sequence[object], seed: int = 0) -> NDArray[np.float64]:
        del images
        noise = np.random.default_rng(seed).normal(1, 0.01, (50, len(opened)))
        return noise * [10.0, *[5.0] * (len(opened) - 1)]

    monkeypatch.setattr(expanding, "measure", measure)


def openvino_zoo(folder: Path, side: int | str) -> Made:
    """The halves as an `.xml` and its `.bin`."""
    openvino = pytest.importorskip("openvino", reason="needs the extra premodel[openvino]")
    (folder / "models").mkdir(parents=True)
    write_network(folder / "net.onnx", side=side)
    file = folder / "models" / "net.xml"
    openvino.save_model(openvino.convert_model(folder / "net.onnx"), file, compress_to_fp16=False)
    entry = ENTRY.format(
        name="net", suffix=".xml", sha256=file_sha256(file), runtime="openvino", side=SIDE, layout="NCHW"
    )
    weights = file_sha256(file.with_suffix(".bin"))
    entry = entry.replace('runtime = "', f'settings = {{ weights_sha256 = "{weights}" }}\nruntime = "')
    (folder / "zoo.toml").write_text(HEAD + entry)
    return Made(folder / "zoo.toml", *write_images(folder, 80))


def tflite_zoo(folder: Path) -> Made:
    """A network for the mean colour at any size, and images that are rather red or rather green."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra premodel[litert]")
    from tiny_models import write_tflite

    (folder / "models").mkdir(parents=True)
    (folder / "images").mkdir()
    file = folder / "models" / "net.tflite"
    weights = np.array([[8, -8], [-8, 8], [0, 0]], np.float32)
    write_tflite(file, weights, np.zeros(2, np.float32), [1, SIDE, SIDE, 3], signature=[1, -1, -1, 3], pooled=True)
    entry = ENTRY.format(
        name="net", suffix=".tflite", sha256=file_sha256(file), runtime="litert", side=SIDE, layout="NHWC"
    )
    (folder / "zoo.toml").write_text(HEAD + entry.replace('activation = "none"', 'activation = "softmax"'))
    rng, lines = np.random.default_rng(1), ["path,label\n"]
    for number in range(80):
        pixels = rng.integers(0, 200, (SIDE, SIDE, 3))
        pixels[..., 2 - number % 2] += 50  # blue, green, red
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels.astype(np.uint8))
        lines.append(f"images/{number}.png,{number % 2}\n")
    (folder / "truth.csv").write_text("".join(lines))
    return Made(folder / "zoo.toml", folder, folder / "truth.csv")


def run(made: Made, **changes: Any) -> tuple[Path, Expansion]:
    from dataclasses import replace

    out = made.manifest.with_name("expanded.toml")
    return out, expand(made.zoo, made.dataset, out, replace(OPTIONS, **changes))


def reasons(found: Expansion) -> dict[str, str]:
    return {outcome.name: outcome.reason for outcome in found.outcomes}


def checked(found: Expansion) -> dict[str, float]:
    return {outcome.name: outcome.accuracy.accuracy for outcome in found.outcomes if outcome.accuracy is not None}


def accuracies(manifest: Path, made: Made, store: Path) -> dict[str, float]:
    """Of every candidate of a manifest, by a profile of it."""
    profile(read_zoo(manifest, require_files=True), made.dataset, store, ProfileOptions(passes=("predictions",)))
    tables = load_tables(store, passes=("predictions",))
    return dict(zip(tables.candidates, tables.correct("top1").mean(axis=0).tolist(), strict=True))


def test_smaller_sizes_of_an_openvino_file_are_views(tmp_path: Path) -> None:
    made = openvino_zoo(tmp_path / "zoo", "side")
    out, found = run(made, without=("half",))
    assert reasons(found) == {"net@56": "", "net@44": ""}
    assert found.calibration == 0, "nothing of it is quantised"
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["net", "net@56", "net@44"]
    assert checked(found) == {"net@56": 1.0, "net@44": 1.0}


def test_half_precision_where_the_processor_has_it_and_a_file_of_one_size_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = openvino_zoo(tmp_path / "zoo", SIDE)
    import openvino

    real = openvino.Core.get_property

    def capable(core: Any, *names: str) -> Any:
        return ["FP32", "BF16"] if names[1:] == ("OPTIMIZATION_CAPABILITIES",) else real(core, *names)

    monkeypatch.setattr(openvino.Core, "get_property", capable)
    out, found = run(made, only=("half", "size"))
    assert [name for name, reason in reasons(found).items() if not reason] == ["net-bf16"]
    assert set(reasons(found)) == {"net-bf16", "net@56", "net@44"}
    assert [candidate.name for candidate in read_zoo(out).candidates] == ["net", "net-bf16"]
    sibling = read_zoo(out, require_files=True).candidate("net-bf16").model
    assert (sibling.settings["precision"], sibling.file) == ("bf16", made.zoo.candidate("net").model.file)
    assert list(sibling.weights()) == ["net.bin"]
    assert checked(found) == {"net-bf16": 1.0}


def test_smaller_sizes_of_a_tflite_file_are_views(tmp_path: Path) -> None:
    made = tflite_zoo(tmp_path / "zoo")
    out, found = run(made, only=("size",))
    assert reasons(found) == {"net@56": "", "net@44": ""}
    assert accuracies(out, made, tmp_path / "s.db") == {"net": 1.0, "net@56": 1.0, "net@44": 1.0}


def test_without_the_quantiser_of_tflite_files_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tflite_zoo(tmp_path / "zoo")
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(OptionError, match=r"ai-edge-quantizer is not installed.*premodel\[expand-litert\]"):
        run(made, only=("int8",))


def test_int8_of_a_tflite_file_and_its_smaller_sizes(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="needs the extra premodel[expand-litert]")
    made = tflite_zoo(tmp_path / "zoo")
    out, found = run(made, only=("int8", "size"))
    assert reasons(found) == {"net-int8": "", "net-int8@56": "", "net-int8@44": ""}
    written = read_zoo(out, require_files=True)
    model = written.candidate("net-int8@56").model
    assert (model.name, model.input.dtype) == ("net-int8", "int8")
    assert model.origin is not None
    assert (model.origin.kind, model.origin.calibration_samples) == ("int8", 12)
    assert len(written.calibration) == 12
    assert min(accuracies(out, made, tmp_path / "s.db").values()) >= 0.95
