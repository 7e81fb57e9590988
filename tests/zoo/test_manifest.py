"""Manifests: what is read, what is refused, and the keys."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from premodel.backends.registry import BACKENDS
from premodel.domains.image.views import View
from premodel.errors import BundleError, ModelError, ZooError
from premodel.files import file_git_blob_sha1, file_sha256
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json
from premodel.zoo.manifest import Zoo, read_zoo
from premodel.zoo.verify import verify
from several_files import write_external_zoo
from zoos import write_zoo

ENTRY = {
    "name": "first",
    "file": "models/first.onnx",
    "url": "https://example.org/first.onnx",
    "license": "Apache-2.0",
    "runtime": "onnx",
    "label_offset": 1,
    "threads": 2,
    "providers": ["CPUExecutionProvider"],
    "settings": {"output": "prob"},
    "input": {
        "size": [32, 48],
        "layout": "NCHW",
        "dtype": "float32",
        "channels": "BGR",
        "resize": "squash",
        "crop_fraction": 0.9,
        "interpolation": "area",
        "mean": [0.1, 0.2, 0.3],
        "std": 0.5,
    },
    "output": {"activation": "none"},
    "views": [{"name": "mirror", "mirror": True}, {"name": "crop80", "crop_fraction": 0.8}],
}


def toml(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


def manifest(folder: Path, *entries: Any, **top: Any) -> Path:
    """Write a manifest and three labels; the models need not be there."""
    (folder / "labels.txt").write_text("a\nb\nc\n")
    fields = {"name": "zoo", "task": "image-classification", "labels": "labels.txt", "models": list(entries), **top}
    lines = [f"{json.dumps(key)} = {toml(value)}" for key, value in fields.items() if value is not None]
    file = folder / "zoo.toml"
    file.write_text("\n".join(lines))
    tomllib.loads(file.read_text())
    return file


def changed(path: str, value: Any) -> dict[str, Any]:
    """ENTRY with one field changed; ... removes it."""
    entry: dict[str, Any] = json.loads(json.dumps(ENTRY))
    *parents, last = path.split(".")
    table = entry
    for parent in parents:
        table = table[parent]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return entry


def test_every_field_is_read(tmp_path: Path) -> None:
    zoo = read_zoo(manifest(tmp_path, ENTRY))
    assert (zoo.name, zoo.task, zoo.labels, zoo.file) == (
        "zoo",
        "image-classification",
        ("a", "b", "c"),
        tmp_path / "zoo.toml",
    )
    assert [candidate.name for candidate in zoo.candidates] == ["first", "first@mirror", "first@crop80"]
    plain, mirror, crop = zoo.candidates
    model = plain.model
    assert model.file == tmp_path / "models/first.onnx"
    assert (model.url, model.license) == ("https://example.org/first.onnx", "Apache-2.0")
    assert (model.runtime, model.label_offset, model.activation) == ("onnx", 1, "none")
    assert (plain.threads, model.providers, model.settings) == (2, ("CPUExecutionProvider",), {"output": "prob"})
    assert plain.input.shape == (1, 3, 32, 48)
    assert (plain.input.mean, plain.input.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert (plain.input.channels, plain.input.resize, plain.input.interpolation) == ("BGR", "squash", "area")
    assert (plain.input.crop_fraction, mirror.input.crop_fraction, crop.input.crop_fraction) == (0.9, 0.9, 0.8)
    assert (plain.view.mirror, mirror.view.mirror, crop.view.mirror) == (False, True, False)
    assert plain.model is mirror.model is crop.model
    assert zoo.candidate("first@crop80") is crop
    with pytest.raises(ZooError, match=r"given: third; allowed: first, first@mirror, first@crop80"):
        zoo.candidate("third")


def test_what_may_be_left_out(tmp_path: Path) -> None:
    entry = dict(ENTRY)
    for name in ("url", "license", "label_offset", "threads", "providers", "settings", "views"):
        del entry[name]
    entry["input"] = {key: value for key, value in ENTRY["input"].items() if key not in ("channels", "mean", "std")}  # type: ignore[attr-defined]
    (candidate,) = read_zoo(manifest(tmp_path, entry)).candidates
    model = candidate.model
    assert (model.url, model.license, model.label_offset, model.threads) == ("", "", 0, 1)
    assert (model.providers, model.settings, model.sha256, model.git_blob_sha1) == ((), {}, None, None)
    assert (candidate.input.channels, candidate.input.mean, candidate.input.std) == ("RGB", None, None)


def test_labels_may_be_listed(tmp_path: Path) -> None:
    assert read_zoo(manifest(tmp_path, ENTRY, labels=["x", "y"])).labels == ("x", "y")


@pytest.mark.parametrize(
    ("field", "value", "states"),
    [
        ("name", ..., "name is missing"),
        ("name", "", "wrong name"),
        ("name", "a b", "wrong name; given: 'a b'; allowed: letters"),
        ("name", "a@b", "wrong name"),
        ("name", 3, "wrong name; given: 3"),
        ("file", ..., "file is missing"),
        ("runtime", ..., "runtime is missing"),
        ("runtime", "caffe", f"wrong runtime; given: 'caffe'; allowed: {', '.join(BACKENDS)}"),
        ("label_offset", -1, "wrong label_offset; given: -1; allowed: a whole number from 0"),
        ("label_offset", True, "wrong label_offset"),
        ("label_offset", 1.0, "wrong label_offset"),
        ("threads", 0, "wrong threads; given: 0"),
        ("providers", "cpu", "wrong providers; given: 'cpu'; allowed: a list of strings"),
        ("settings", [1], "wrong settings"),
        ("sha256", "abc", "wrong sha256; given: 'abc'; allowed: 64 hexadecimal digits"),
        ("git_blob_sha1", "g" * 40, "wrong git_blob_sha1"),
        ("input", ..., "input is missing"),
        ("input", 3, "input is not a table"),
        ("input.size", ..., "input.size is missing"),
        ("input.size", [32], r"wrong input.size; given: \[32\]; allowed: \[height, width\]"),
        ("input.size", [32, 0], "wrong input.size"),
        ("input.size", [32, 2.5], "wrong input.size"),
        ("input.size", [32, 100_000], "wrong input.size"),
        ("input.layout", "NHW", "wrong input.layout; given: 'NHW'; allowed: NHWC, NCHW; NHW only with channels GRAY"),
        ("files", {"../w.data": "0" * 64}, "wrong files; .*; allowed: a table: file beneath the model's folder"),
        ("files", {"w.data": "0" * 63}, "wrong files"),
        ("files", ["w.data"], "wrong files"),
        ("input.layout", "HWC", "wrong input.layout; given: 'HWC'; allowed: NHWC, NCHW"),
        ("input.dtype", "float", "wrong input.dtype"),
        ("input.channels", "rgb", "wrong input.channels; given: 'rgb'; allowed: RGB, BGR, GRAY"),
        ("input.resize", ..., "input.resize is missing"),
        ("input.resize", "pad", "wrong input.resize; given: 'pad'; allowed: center-crop, squash"),
        ("input.crop_fraction", 0, "wrong input.crop_fraction; given: 0; allowed: a number above 0 and up to 1"),
        ("input.crop_fraction", 1.1, "wrong input.crop_fraction"),
        ("input.interpolation", "lanczos", "wrong input.interpolation"),
        ("input.mean", [0.1], "wrong input.mean"),
        ("input.std", [0.1, 0.0, 0.1], "wrong input.std"),
        ("input.colour", 1, "unknown field input.colour; given: 1; allowed: channels, crop_fraction"),
        ("output", ..., "output is missing"),
        ("output.activation", "tanh", "wrong output.activation; given: 'tanh'; allowed: softmax, none, sigmoid"),
        ("output.more", 1, "unknown field output.more"),
        ("sha-256", "x", "unknown field sha-256"),
        ("views", 3, "wrong views"),
        ("views", [3], r"views\[0\] is not a table"),
        ("views", [{"mirror": True}], r"views\[0\].name is missing"),
        ("views", [{"name": "x"}], "changes nothing"),
        ("views", [{"name": "x", "size": [32, 48]}], "changes nothing"),
        ("views", [{"name": "x", "mirror": "yes"}], r"wrong views\[0\].mirror; given: 'yes'; allowed: true, false"),
        ("views", [{"name": "x", "crop_fraction": 2}], r"wrong views\[0\].crop_fraction"),
        ("views", [{"name": "x", "mirror": True, "flip": 1}], r"unknown field views\[0\].flip"),
        ("views", [{"name": "x", "size": 24}], r"wrong views\[0\].size; given: 24; allowed: \[height, width\]"),
        ("views", [{"name": "x", "size": [24, 0]}], r"wrong views\[0\].size"),
        ("views", [{"name": "x", "mirror": True}] * 2, "duplicate name; given: first@x"),
    ],
)
def test_wrong_entries_name_file_entry_field_and_what_is_allowed(
    tmp_path: Path, field: str, value: Any, states: str
) -> None:
    file = manifest(tmp_path, {**ENTRY, "name": "before", "views": []}, changed(field, value))
    with pytest.raises(ZooError, match=states) as caught:
        read_zoo(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    if "duplicate" not in states:
        assert "models[1]" in message


@pytest.mark.parametrize(
    ("top", "states"),
    [
        ({"name": None}, "name is missing"),
        ({"task": "detection"}, "wrong task; given: 'detection'; allowed: image-classification"),
        ({"labels": None}, "labels is missing"),
        ({"labels": "absent.txt"}, "label file cannot be read"),
        ({"labels": ["one"]}, "wrong labels"),
        ({"labels": "../labels.txt"}, "wrong labels; given: '../labels.txt'; allowed: a path beneath"),
        ({"models": []}, r"no \[\[models\]\] entry"),
        ({"models": None}, r"no \[\[models\]\] entry"),
        ({"models": {"a": 1}}, "wrong models"),
        ({"models": ["x"]}, r"models\[0\]: entry is not a table"),
        ({"version": 2}, "unknown field version"),
    ],
)
def test_wrong_tops(tmp_path: Path, top: dict[str, Any], states: str) -> None:
    with pytest.raises(ZooError, match=states):
        read_zoo(manifest(tmp_path, ENTRY, **top))


def test_duplicate_models(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"duplicate name; given: first;"):
        read_zoo(manifest(tmp_path, ENTRY, ENTRY))


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00", b"[[[", b"a=1\na=2"])
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "zoo.toml").write_bytes(content)
    with pytest.raises(ZooError, match=r"zoo\.toml: manifest is not TOML"):
        read_zoo(tmp_path / "zoo.toml")


def test_no_manifest(tmp_path: Path) -> None:
    for path in (tmp_path / "zoo.toml", tmp_path):
        with pytest.raises(ZooError, match="manifest cannot be read"):
            read_zoo(path)


def test_paths_stay_in_the_manifests_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "zoo", tmp_path / "outside"
    (inside / "models").mkdir(parents=True)
    outside.mkdir()
    (outside / "m.onnx").write_bytes(b"m")
    (inside / "models" / "link.onnx").symlink_to(outside / "m.onnx")
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "in.onnx").symlink_to(inside / "models" / "m.onnx")
    for file in ("../outside/m.onnx", "models/../../outside/m.onnx", "models/link.onnx", "loop/m.onnx", "a\0b"):
        with pytest.raises(ZooError, match=r"allowed: a (path beneath|non-empty string)"):
            read_zoo(manifest(inside, {**ENTRY, "file": file}))
    for file in ("models/../models/m.onnx", "in.onnx", str(outside / "m.onnx")):
        read_zoo(manifest(inside, {**ENTRY, "file": file}))


def test_a_zoo_reached_through_a_link_is_read(tmp_path: Path) -> None:
    small = write_zoo(tmp_path / "real", correct=np.ones((1, 1), bool))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read_zoo(tmp_path / "link" / small.zoo.name, require_files=True).name == "small"


def test_required_files(tmp_path: Path) -> None:
    file = manifest(tmp_path, ENTRY)
    with pytest.raises(ModelError, match=r"model file of first is missing; fetch it with: premodel zoo pull"):
        read_zoo(file, require_files=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/first.onnx").write_bytes(b"m")
    read_zoo(file, require_files=True)


def small_file(folder: Path) -> Path:
    (folder / "models").mkdir()
    file = folder / "models/first.onnx"
    file.write_bytes(b"a model")
    return file


def test_verify(tmp_path: Path) -> None:
    file = small_file(tmp_path)
    good = {"sha256": file_sha256(file).upper(), "git_blob_sha1": file_git_blob_sha1(file)}
    verify(read_zoo(manifest(tmp_path, {**ENTRY, **good})).candidates[0].model)
    verify(read_zoo(manifest(tmp_path, ENTRY)).candidates[0].model)
    for kind, digits in (("sha256", 64), ("git_blob_sha1", 40)):
        model = read_zoo(manifest(tmp_path, {**ENTRY, **good, kind: "0" * digits})).candidates[0].model
        with pytest.raises(ModelError, match=rf"wrong {kind}; given: {good[kind].lower()}; allowed: {'0' * digits}"):
            verify(model)


def test_keys_need_the_file_only_if_its_digest_is_not_stated(tmp_path: Path) -> None:
    stated = read_zoo(manifest(tmp_path, {**ENTRY, "sha256": "0" * 64})).candidates[0]
    assert len(stated.prediction_key) == 64
    unstated = read_zoo(manifest(tmp_path, {**ENTRY, "git_blob_sha1": "0" * 40})).candidates[0]
    with pytest.raises(ModelError, match="is missing"):
        _ = unstated.prediction_key
    file = small_file(tmp_path)
    computed = read_zoo(manifest(tmp_path, ENTRY)).candidates[0]
    given_digest = read_zoo(manifest(tmp_path, {**ENTRY, "sha256": file_sha256(file)})).candidates[0]
    assert computed.prediction_key == given_digest.prediction_key


class TestKeys:
    @pytest.fixture
    def zoo(self, tmp_path: Path) -> Zoo:
        return read_zoo(manifest(tmp_path, {**ENTRY, "sha256": "0" * 64}))

    def test_names_places_and_origins_do_not_count(self, zoo: Zoo) -> None:
        candidate = zoo.candidates[1]
        model = replace(
            candidate.model, name="other", file=Path("/elsewhere"), url="", license="", git_blob_sha1="1" * 40
        )
        other = replace(candidate, model=model, view=replace(candidate.view, name="turned"))
        assert other.prediction_key == candidate.prediction_key
        assert other.timing_key == candidate.timing_key

    @pytest.mark.parametrize(
        "change",
        [
            {"sha256": "1" * 64},
            {"runtime": "litert"},
            {"label_offset": 0},
            {"activation": "softmax"},
            {"providers": ()},
            {"settings": {}},
        ],
    )
    def test_what_decides_the_answer_counts(self, zoo: Zoo, change: dict[str, Any]) -> None:
        candidate = zoo.candidates[0]
        other = replace(candidate, model=replace(candidate.model, **change))
        assert other.prediction_key != candidate.prediction_key
        assert other.timing_key != candidate.timing_key

    @pytest.mark.parametrize(
        "change",
        [
            {"size": (32, 32)},
            {"layout": "NHWC"},
            {"dtype": "uint8"},
            {"channels": "RGB"},
            {"resize": "center-crop"},
            {"crop_fraction": 0.91},
            {"interpolation": "nearest"},
            {"mean": None},
            {"std": (0.5, 0.5, 0.6)},
        ],
    )
    def test_every_field_of_the_input_counts(self, zoo: Zoo, change: dict[str, Any]) -> None:
        candidate = zoo.candidates[0]
        other = replace(candidate, model=replace(candidate.model, input=replace(candidate.model.input, **change)))
        assert other.prediction_key != candidate.prediction_key

    def test_views_and_number_of_labels_count(self, zoo: Zoo) -> None:
        keys = {candidate.prediction_key for candidate in zoo.candidates}
        assert len(keys | {replace(zoo.candidates[0], n_labels=4).prediction_key}) == 4

    def test_a_view_with_the_models_own_crop_has_the_models_answers(self, zoo: Zoo) -> None:
        plain = zoo.candidates[0]
        same = replace(plain, view=replace(plain.view, name="same", crop_fraction=0.9))
        assert same.prediction_key == plain.prediction_key

    def test_threads_decide_the_time_but_not_the_answer(self, zoo: Zoo) -> None:
        candidate = zoo.candidates[0]
        other = candidate.with_threads(4)
        assert other.threads == 4
        assert other.prediction_key == candidate.prediction_key
        assert other.timing_key != candidate.timing_key
        assert other.network_key != candidate.network_key

    def test_views_share_the_network_key(self, zoo: Zoo) -> None:
        assert len({candidate.network_key for candidate in zoo.candidates}) == 1

    def test_a_view_of_another_size_has_a_network_of_its_own(self, tmp_path: Path) -> None:
        small_file(tmp_path)
        views = [{"name": "small", "size": [24, 36]}, {"name": "turned", "size": [24, 36], "mirror": True}]
        plain, small, turned = read_zoo(manifest(tmp_path, {**ENTRY, "views": views})).candidates
        assert small.input == replace(plain.input, size=(24, 36))
        assert small.network_key == turned.network_key != plain.network_key
        assert len({one.prediction_key for one in (plain, small, turned)}) == 3
        back = candidate_from_json(json.loads(json.dumps(candidate_to_json(turned))), tmp_path)
        assert (back.view, back.network_key) == (turned.view, turned.network_key)

    def test_a_view_that_states_the_models_own_size_shares_its_network(self, tmp_path: Path) -> None:
        small_file(tmp_path)
        views = [{"name": "turned", "size": [32, 48], "mirror": True}]
        plain, turned = read_zoo(manifest(tmp_path, {**ENTRY, "views": views})).candidates
        assert turned.network_key == plain.network_key
        assert turned.view == View("turned", mirror=True)

    def test_a_model_on_a_server_has_no_view_of_another_size(self, tmp_path: Path) -> None:
        entry = {key: value for key, value in ENTRY.items() if key not in ("providers", "settings", "views")}
        entry |= {"runtime": "oip", "url": "http://board:8090", "sha256": "0" * 64}
        assert read_zoo(manifest(tmp_path, entry)).candidates[0].model.is_remote
        with pytest.raises(ZooError, match=r"wrong views\[0\].size; given: \[24, 36\]; allowed: none for a model on a"):
            read_zoo(manifest(tmp_path, {**entry, "views": [{"name": "small", "size": [24, 36]}]}))

    def test_known_key(self, zoo: Zoo) -> None:
        """Keys stand in stores: a change of how they are made must be noticed."""
        first = zoo.candidates[0]
        assert first.prediction_key == "e1a69eb0b1d35067d27e0e57c4c9b3cbecda702f6a23628e08c238c3cd615d90"
        whole = "8fa66ea8960cdfa7ca7b8d815d7f0292eb9affd4ebb77086eda93e17d7e6cdf3"
        assert first.with_detail(0).prediction_key == whole, "what decodes every pixel has the key it always had"


class TestJson:
    def test_there_and_back(self, tmp_path: Path) -> None:
        file = small_file(tmp_path)
        for candidate in read_zoo(manifest(tmp_path, ENTRY)).candidates:
            for folder in (None, tmp_path, tmp_path / "elsewhere"):
                data = json.loads(json.dumps(candidate_to_json(candidate, folder), allow_nan=False))
                back = candidate_from_json(data, folder or tmp_path)
                assert back.model.file == file
                assert back.model.sha256 == file_sha256(file)
                assert replace(back, model=replace(back.model, sha256=None)) == candidate
                assert (back.prediction_key, back.timing_key) == (candidate.prediction_key, candidate.timing_key)
            assert candidate_to_json(candidate, tmp_path)["file"] == "models/first.onnx"

    def test_wrong_tables_raise_the_callers_error(self, tmp_path: Path) -> None:
        small_file(tmp_path)
        data = candidate_to_json(read_zoo(manifest(tmp_path, ENTRY)).candidates[0], tmp_path)
        wrong: list[Any] = [3, {}, {**data, "extra": 1}, {**data, "file": "../x"}, {**data, "view": {"mirror": 2}}]
        wrong += [
            {key: value for key, value in data.items() if key != name} for name in ("name", "view", "labels", "input")
        ]
        for table in wrong:
            with pytest.raises(BundleError):
                candidate_from_json(table, tmp_path, BundleError)


junk = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-5, 10**6), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=6)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
paths = [*ENTRY, *(f"input.{name}" for name in ENTRY["input"]), "output.activation", "settings.output"]  # type: ignore[attr-defined]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(paths), value=junk)
def test_any_value_anywhere_is_read_or_refused(tmp_path: Path, path: str, value: Any) -> None:
    entry = changed(path, value)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    (tmp_path / "zoo.toml").write_text(
        'name = "z"\ntask = "image-classification"\nlabels = "labels.txt"\nmodels = [' + toml(entry) + "]"
    )
    with suppress(ZooError):
        for candidate in read_zoo(tmp_path / "zoo.toml").candidates:
            file = candidate.model.file
            assert str(value).startswith("/") or file.resolve().is_relative_to(tmp_path.resolve())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.text(max_size=4)), min_size=1, max_size=3
    )
)
def test_any_edit_of_the_text_is_read_or_refused_in_one_line(
    tmp_path: Path, cuts: list[tuple[float, int, str]]
) -> None:
    file = manifest(tmp_path, ENTRY)
    text = file.read_text()
    for place, length, inserted in cuts:
        start = int(place * len(text))
        text = text[:start] + inserted + text[start + length :]
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(ZooError):
        read_zoo(file)


@pytest.mark.parametrize("digest", [True, False])
def test_what_is_written_of_a_model_of_several_files_is_the_same_model(tmp_path: Path, digest: bool) -> None:
    """With its digests stated, or read from the files: written and read again it has the keys that it had."""
    folder = write_external_zoo(tmp_path, stated=digest, digest=digest)
    (candidate,) = read_zoo(folder / "zoo.toml").candidates
    again = candidate_from_json(candidate_to_json(candidate, folder), folder)
    assert again.model.sha256 == file_sha256(candidate.model.file)
    assert again.prediction_key == candidate.prediction_key
    verify(again.model)
    third = candidate_from_json(candidate_to_json(again, folder), folder)
    assert third.model == again.model
