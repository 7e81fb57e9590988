"""The exported premodel answers Triton's requests as the bundle answers here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import Made
from fake_triton import FakeTriton, InferenceResponse, LoadedModel, TritonModelException, make_mixed
from premodel.domains.image.decode import decode
from premodel.errors import ImageError, PremodelError, RunError
from premodel.serving.triton_export import export_repository

pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
POLICIES = ["select, highest score", "cascade", "cascade-routing, beyond the best", "single"]


@dataclass(frozen=True, eq=False)
class Exported:
    """A bundle, and its model within the server."""

    made: Made
    triton: FakeTriton
    model: LoadedModel


Export = Callable[..., Exported]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Made, Path]]:
    """A bundle and its repository, by policy; made once."""
    found: dict[str, tuple[Made, Path]] = {}

    def make(policy: str) -> tuple[Made, Path]:
        if policy not in found:
            folder = tmp_path_factory.mktemp("mixed")
            made = make_mixed(folder, policy)
            found[policy] = made, export_repository(made.path, folder / "repository").folder
        return found[policy]

    return make


@pytest.fixture
def export(mixed: Callable[[str], tuple[Made, Path]], monkeypatch: pytest.MonkeyPatch) -> Export:
    def load(policy: str = "select, highest score") -> Exported:
        made, folder = mixed(policy)
        triton = FakeTriton(folder)
        monkeypatch.setitem(sys.modules, triton.__name__, triton)
        return Exported(made, triton, triton.load("edge"))

    return load


def encoded(*images: bytes) -> Any:
    return np.array(images, np.object_)


def values(response: InferenceResponse, name: str) -> Any:
    assert not response.has_error(), response.error().message()
    return response.tensors[name].as_numpy()


def check(response: InferenceResponse, answers: list[premodel.Answer]) -> None:
    """A response holds these answers."""
    assert values(response, "label").tolist() == [answer.label for answer in answers]
    assert [text.decode() for text in values(response, "class")] == [answer.class_name for answer in answers]
    assert [text.decode() for text in values(response, "candidate")] == [answer.candidate for answer in answers]
    assert values(response, "top_labels").tolist() == [answer.top_labels for answer in answers]
    wanted = [answer.top_probabilities for answer in answers]
    np.testing.assert_allclose(values(response, "probabilities"), wanted, atol=1e-6)
    assert (values(response, "latency_ms") >= 0).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_answers_as_the_bundle_does(export: Export, policy: str) -> None:
    here = export(policy)
    with premodel.load(here.made.path) as clf:
        answers = [clf.predict(image) for image in here.made.small.images]
    for image, answer in zip(here.made.small.images, answers, strict=True):
        check(here.model.ask(image=encoded(image.read_bytes())), [answer])
    networks = {"small": "small", "large": "large", "large@mirrored": "large"}
    assert here.triton.ran == [networks[name] for answer in answers for name in answer.ran if name in networks]


def test_the_candidates_differ(export: Export) -> None:
    """Else the test above would compare one network with itself."""
    with premodel.load(export("select, highest score").made.path) as clf:
        chosen = {clf.predict(image).candidate for image in export("select, highest score").made.small.images}
    assert {"small", "large", "large@mirrored"} <= chosen
    with premodel.load(export("cascade").made.path) as clf:
        assert any(len(clf.predict(image).ran) > 1 for image in export("cascade").made.small.images)


def test_several_images_and_pixels(export: Export) -> None:
    here = export()
    images = here.made.small.images[:3]
    with premodel.load(here.made.path) as clf:
        answers = [clf.predict(image) for image in images]
    check(here.model.ask(image=encoded(*(image.read_bytes() for image in images))), answers)
    check(here.model.ask(pixels=np.stack([decode(image).rgb for image in images])), answers)


def test_only_what_is_asked_for(export: Export) -> None:
    here = export()
    image = encoded(here.made.small.images[0].read_bytes())
    assert list(here.model.ask(outputs=["candidate", "label"], image=image).tensors) == ["label", "candidate"]
    assert "explanation" not in here.model.ask(image=image).tensors
    for explain in (True, "true"):
        response = here.model.ask(parameters={"explain": explain}, image=image)
        (text,) = values(response, "explanation")
        assert json.loads(text)["candidate"] == values(response, "candidate")[0].decode()


@pytest.mark.parametrize("as_text", [False, True])
def test_budgets(export: Export, as_text: bool) -> None:
    """By the profile m0 takes 1 ms, small 2, large 4; decoding 0.25, the features some tenths."""
    here = export()
    image = here.made.small.images
    with premodel.load(here.made.path) as clf:
        for budget_ms in (2, 3.5):
            wanted = [clf.predict(one, max_latency_ms=budget_ms) for one in image[:8]]
            given = {"max_latency_ms": str(budget_ms) if as_text else budget_ms}
            check(here.model.ask(parameters=given, image=encoded(*(one.read_bytes() for one in image[:8]))), wanted)
            assert {answer.candidate for answer in wanted} <= ({"m0"} if budget_ms == 2 else {"m0", "small"})
        costly = [clf.predict(one, cost_weight=0.5) for one in image[:8]]
    given = {"cost_weight": "0.5" if as_text else 0.5, "of_another_layer": "kept out"}
    check(here.model.ask(parameters=given, image=encoded(*(one.read_bytes() for one in image[:8]))), costly)


@pytest.mark.parametrize(
    "broken", ["out of memory", TritonModelException("no such model"), RuntimeError("shared memory")], ids=str
)
def test_a_failing_candidate_falls_back(export: Export, tmp_path: Path, broken: Exception | str) -> None:
    """As it does here where the candidate's file is gone."""
    here = export()
    shutil.copytree(here.made.path.parent, tmp_path / "copy")
    (tmp_path / "copy" / "zoo" / "models" / "small.onnx").unlink()
    with premodel.load(here.made.path) as clf:
        image = next(one for one in here.made.small.images if clf.predict(one).candidate == "small")
    with premodel.load(tmp_path / "copy" / "edge.premodel") as clf:
        wanted = clf.predict(image)
    assert (list(wanted.failed), wanted.ran) == (["small"], (wanted.candidate,))
    here.triton.broken["small"] = broken
    response = here.model.ask(parameters={"explain": True}, image=encoded(image.read_bytes()))
    check(response, [wanted])
    failed = json.loads(values(response, "explanation")[0])["failed"]
    assert list(failed) == ["small"]
    assert str(broken) in failed["small"]


def test_every_candidate_fails(export: Export) -> None:
    here = export()
    here.triton.broken = {"small": "gone", "large": "gone"}
    here.model.model.serving.premodel.open_candidate("m0").close()
    response = here.model.ask(image=encoded(here.made.small.images[0].read_bytes()))
    assert response.has_error()
    assert response.error().code() == here.triton.TritonError.INTERNAL
    assert "gone" in response.error().message()


@pytest.mark.parametrize(
    ("tensors", "parameters", "reported"),
    [
        ({"image": encoded(b"no image")}, {}, "image"),
        ({"image": encoded()}, {}, "empty"),
        ({"image": encoded(*[b"x"] * 33)}, {}, "too many images"),
        ({"pixels": np.zeros((1, 0, 4, 3), np.uint8)}, {}, "wrong shape"),
        ({}, {}, "one input; given: none"),
        ({"image": encoded(b"x"), "pixels": np.zeros((1, 4, 4, 3), np.uint8)}, {}, "one input; given: both"),
        ({"pixels": np.zeros((1, 4, 4, 3), np.uint8)}, {"max_latency_ms": "soon"}, "max_latency_ms must be a number"),
        ({"pixels": np.zeros((1, 4, 4, 3), np.uint8)}, {"max_latency_ms": "NaN"}, "max_latency_ms"),
        ({"pixels": np.zeros((1, 4, 4, 3), np.uint8)}, {"max_latency_ms": 0.001}, "cheapest"),
        ({"pixels": np.zeros((1, 4, 4, 3), np.uint8)}, {"explain": 3}, "explain must be true or false"),
    ],
)
def test_what_is_wrong_is_a_response(export: Export, tensors: Any, parameters: Any, reported: str) -> None:
    here = export()
    response = here.model.ask(parameters=parameters, **tensors)
    assert response.has_error()
    assert reported in response.error().message()
    assert "\n" not in response.error().message()
    assert response.error().code() == here.triton.TritonError.INVALID_ARG


def test_a_bad_image_of_several_is_named(export: Export) -> None:
    here = export()
    with premodel.load(here.made.path) as clf, pytest.raises(ImageError):
        clf.predict(b"no image")
    response = here.model.ask(image=encoded(here.made.small.images[0].read_bytes(), b"no image"))
    assert response.error().message().startswith("image 1: ")


def test_an_error_of_one_request_leaves_the_others(export: Export) -> None:
    from fake_triton import Asked

    here = export()
    good, bad = encoded(here.made.small.images[0].read_bytes()), encoded(b"no image")
    here.triton.executing = True
    responses = here.model.model.execute([Asked({"image": one}, ["label"], {}) for one in (good, bad, good)])
    assert [response.has_error() for response in responses] == [False, True, False]


def test_a_candidate_that_cannot_be_opened_is_told_at_once(
    mixed: Callable[[str], tuple[Made, Path]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, _ = mixed("single")
    folder = export_repository(made.path, tmp_path / "r").folder
    (folder / "edge" / "1" / "m0.npz").unlink()
    triton = FakeTriton(folder)
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    model = triton.load("edge")
    (warned,) = triton.warned
    assert warned.startswith("m0 is left out: ")
    assert not model.ask(image=encoded(made.small.images[0].read_bytes())).has_error()
    model.model.finalize()
    with pytest.raises(RunError, match="closed"):
        model.model.serving.premodel.predict(made.small.images[0])


def test_nothing_that_opens_is_an_error_of_loading(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mixed: Callable[[str], tuple[Made, Path]]
) -> None:
    from premodel.serving.triton import TritonServing

    made, _ = mixed("single")
    folder = export_repository(made.path, tmp_path / "r").folder
    (folder / "edge" / "1" / "m0.npz").write_bytes(b"")
    triton = FakeTriton(folder)
    monkeypatch.setitem(sys.modules, triton.__name__, None)  # as where Triton's module is absent
    with pytest.raises(PremodelError, match="no candidate can be opened"):
        TritonServing(folder / "edge" / "1" / "edge.premodel", triton)


def test_needs_no_package_but_the_core() -> None:
    code = (
        "import sys; import premodel.serving.triton\n"
        "print(*sorted({'starlette', 'uvicorn', 'prometheus_client', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
