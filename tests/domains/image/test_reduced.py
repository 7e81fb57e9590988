"""Large photographs are decoded at a fraction of their size, everywhere in the same way, where candidates allow it."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.domains.image.decode import decode, reduction
from premodel.domains.image.domain import MARGIN, ImageDomain
from premodel.domains.image.header import Header, read_header
from premodel.domains.image.spec import InputSpec
from premodel.errors import ZooError
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json
from premodel.zoo.manifest import Zoo, read_zoo
from zoos import write_zoo

SPEC = InputSpec((224, 224), "NCHW", "float32", "RGB", "center-crop", 0.875, "bilinear", (0.0,), (1.0,))


def photograph(width: int, height: int, *, quality: int = 90, progressive: bool = False) -> bytes:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8)
    pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return bytes(cv2.imencode(".jpg", pixels, options)[1].tobytes())


def header_of(width: int, height: int) -> Header:
    return Header("JPEG", width, height, True)


@pytest.mark.parametrize(
    ("width", "height", "short_side", "scale"),
    [
        (4000, 3000, 320, 8),
        (4000, 3000, 375, 8),
        (4000, 3000, 376, 4),
        (3000, 4000, 376, 4),
        (1920, 1080, 320, 2),
        (640, 480, 320, 1),
        (639, 639, 320, 1),
        (4000, 3000, 0, 1),
    ],
)
def test_the_smallest_scale_that_keeps_the_shorter_side(width: int, height: int, short_side: int, scale: int) -> None:
    assert reduction(header_of(width, height), short_side) == scale


def test_only_whole_jpeg_files_are_reduced() -> None:
    assert reduction(replace(header_of(4000, 3000), format="PNG"), 320) == 1
    assert reduction(replace(header_of(4000, 3000), complete=False), 320) == 1


@pytest.mark.parametrize("progressive", [False, True])
def test_a_reduced_photograph_looks_like_the_whole_one(progressive: bool) -> None:
    data = photograph(1600, 1200, progressive=progressive)
    whole, reduced = decode(data), decode(data, 300)
    assert reduced.rgb.shape == (300, 400, 3)
    assert reduced.full_size == (1600, 1200)
    assert reduced.rgb.flags.c_contiguous
    alike = cv2.resize(whole.rgb, (400, 300), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(alike - reduced.rgb).mean() < 3


def test_red_stays_red() -> None:
    red = np.zeros((1600, 1600, 3), np.uint8)
    red[:, :, 2] = 250  # OpenCV writes BGR
    data = bytes(cv2.imencode(".jpg", red)[1].tobytes())
    for short_side in (0, 200, 400, 800):
        assert decode(data, short_side).rgb.reshape(-1, 3).mean(axis=0) == pytest.approx((250, 0, 0), abs=3)


def test_an_orientation_is_applied_and_the_size_is_that_of_the_whole_image() -> None:
    directory = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(directory)) + b"Exif\0\0" + directory
    data = photograph(1600, 1200)
    turned = data[:2] + exif + data[2:]
    assert read_header(turned) is not None
    whole, reduced = decode(turned), decode(turned, 300)
    assert (whole.width, whole.height) == (1200, 1600)
    assert (reduced.width, reduced.height) == (300, 400)
    domain = ImageDomain(300)
    assert domain.size(reduced) == domain.size(whole) == {"width": 1200, "height": 1600}


def test_arrays_pictures_and_other_formats_are_as_they_are() -> None:
    pixels: NDArray[np.uint8] = np.zeros((1200, 1600, 3), np.uint8)
    png = bytes(cv2.imencode(".png", pixels)[1].tobytes())
    for source in (pixels, png):
        assert decode(source, 100).rgb.shape == (1200, 1600, 3)


def test_crops_stay_larger_than_inputs_by_the_margin() -> None:
    domain = ImageDomain()
    side = domain.detail([SPEC])
    assert side % 8 == 0
    assert 0 <= side * SPEC.crop_fraction - MARGIN * 224 < 8
    larger = replace(SPEC, size=(260, 200), crop_fraction=0.5)
    assert domain.detail([SPEC, larger]) * 0.5 >= MARGIN * 260


def test_keys_of_answers_and_features_say_how_inputs_were_decoded() -> None:
    whole, reduced = ImageDomain(), ImageDomain().at(320)
    view = whole.plain_view()
    assert whole.answer_key(view) == {"mirror": False, "preprocessing": whole.version}
    assert reduced.answer_key(view) == {**whole.answer_key(view), "short_side": 320}
    assert reduced.features_version != whole.features_version
    assert {group.key for group in reduced.feature_groups}.isdisjoint(group.key for group in whole.feature_groups)
    assert reduced.at(0).answer_key(view) == whole.answer_key(view)


@pytest.fixture
def small_zoo(tmp_path: Path) -> Path:
    return write_zoo(tmp_path, correct=np.ones((6, 2), bool)).zoo


def with_decode(manifest: Path, value: str) -> Zoo:
    text = manifest.read_text()
    manifest.write_text(f"decode = {value}\n{text}")
    return read_zoo(manifest)


def test_the_manifest_may_want_every_pixel_or_a_number_of_them(small_zoo: Path) -> None:
    before = small_zoo.read_text()
    usual = read_zoo(small_zoo)
    assert usual.detail == ImageDomain().detail(candidate.input for candidate in usual.candidates) > 0
    full = with_decode(small_zoo, '"full"')
    assert full.detail == 0
    small_zoo.write_text(before)
    chosen = with_decode(small_zoo, "500")
    assert {candidate.model.detail for candidate in chosen.candidates} == {500}
    keys = [zoo.candidates[0].prediction_key for zoo in (usual, full, chosen)]
    assert len(set(keys)) == 3
    for value in ('"half"', "0", "true", "-1", "1.5"):
        small_zoo.write_text(before)
        with pytest.raises(ZooError, match=r'wrong decode.*"full"'):
            with_decode(small_zoo, value)


def test_it_goes_with_the_candidate_and_what_states_none_decodes_everything(small_zoo: Path) -> None:
    zoo = read_zoo(small_zoo)
    data = candidate_to_json(zoo.candidates[0])
    assert candidate_from_json(data, Path("/")).model.detail == zoo.detail
    assert data.pop("detail") == zoo.detail
    old = candidate_from_json(data, Path("/"))
    assert old.model.detail == 0
    assert old.prediction_key == zoo.candidates[0].with_detail(0).prediction_key


def test_profile_keeps_what_was_decoded_otherwise_apart(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((8, 2), bool))
    from premodel.profiling.datasets.registry import read_dataset

    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    store = tmp_path / "s.db"
    options = ProfileOptions(passes=("predictions", "features"))
    first = profile(zoo, dataset, store, options)
    again = profile(zoo, dataset, store, options)
    full = profile(with_decode(small.zoo, '"full"'), dataset, store, options)
    counts = [(one.predictions.predictions, one.features.vectors) for one in (first, again, full)]  # type: ignore[union-attr]
    assert counts == [(16, 8), (0, 0), (16, 8)]
    with Store(store) as opened:
        tables = load_tables(opened, passes=("predictions", "features"))
    assert tables.conditions["extractor"] == ImageDomain().features_version
