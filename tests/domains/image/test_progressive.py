"""Progressive JPEG files at an eighth of their size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.domains.image import decode as image_module
from premodel.domains.image.decode import decode
from premodel.domains.image.progressive import without_unused_scans

RNG = np.random.default_rng(5)
COARSE = RNG.integers(0, 256, (40, 53, 3), np.uint8)
PHOTOGRAPH = cv2.resize(COARSE, (419, 317), interpolation=cv2.INTER_CUBIC) ^ RNG.integers(
    0, 32, (317, 419, 3), np.uint8
)
START_OF_SCAN = b"\xff\xda"


def jpeg(pixels: NDArray[Any] = PHOTOGRAPH, sampling: int = 0x221111, progressive: int = 1, restarts: int = 0) -> bytes:
    options = [
        cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling,
        cv2.IMWRITE_JPEG_RST_INTERVAL, restarts,
    ]  # fmt: skip
    return bytes(cv2.imencode(".jpg", pixels, options)[1])


def at_an_eighth(data: bytes) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("restarts", [0, 3])
@pytest.mark.parametrize("sampling", [0x221111, 0x211111, 0x121111, 0x111111, 0x411111])
def test_pixels_are_the_same_from_far_fewer_bytes(sampling: int, restarts: int) -> None:
    for pixels in (PHOTOGRAPH, PHOTOGRAPH[:, :, 0], PHOTOGRAPH[:8, :8], PHOTOGRAPH[:161, :32]):
        data = jpeg(pixels, sampling, restarts=restarts)
        short = without_unused_scans(data)
        np.testing.assert_array_equal(at_an_eighth(short), at_an_eighth(data))
        assert pixels.size < 50_000 or len(short) < 0.4 * len(data)


def test_more_blocks_than_one_run_holds() -> None:
    pixels = cv2.resize(PHOTOGRAPH[:, :, 0], (8 * 300, 8 * 250))
    data = jpeg(pixels)
    np.testing.assert_array_equal(at_an_eighth(without_unused_scans(data)), at_an_eighth(data))


def test_a_file_of_one_scan_stays_as_it_is() -> None:
    data = jpeg(progressive=0)
    assert without_unused_scans(data) is data


def test_a_file_whose_last_refinement_is_missing_stays_as_it_is() -> None:
    """Its decoder smooths blocks, means included."""
    data = jpeg()
    cut = data[: data.rindex(START_OF_SCAN)] + b"\xff\xd9"
    assert without_unused_scans(cut) is cut


@pytest.mark.parametrize("length", [2, 3, 40, 180, 2000, -2])
def test_a_file_that_is_cut_off_stays_as_it_is(length: int) -> None:
    cut = jpeg()[:length]
    assert without_unused_scans(cut) is cut


def test_damaged_bytes_raise_nothing() -> None:
    data = jpeg(PHOTOGRAPH[:64, :64])
    for place in range(2, len(data), 7):
        for value in (0x00, 0xFF, data[place] ^ 0x55):
            without_unused_scans(data[:place] + bytes([value]) + data[place + 1 :])


def test_a_long_run_of_empty_segments_is_given_up() -> None:
    data = jpeg()
    many = data[:2] + b"\xff\xfe\x00\x02" * 5000 + data[2:]
    assert without_unused_scans(many) is many


def test_decoding_leaves_the_scans_out_at_an_eighth_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    imdecode = cv2.imdecode

    def counted(values: NDArray[Any], mode: int) -> Any:
        read.append(len(values))
        return imdecode(values, mode)

    monkeypatch.setattr(image_module.cv2, "imdecode", counted)
    data = jpeg()
    for short_side in (0, 150, 70, 30):
        decode(data, short_side)
    assert read[:3] == [len(data)] * 3
    assert read[3] < 0.4 * len(data)
