"""Hostile inputs that once got through."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from faults.hostile import Ground, lay_ground
from premodel.container import open_sealed, write_sealed
from premodel.domains.image.decode import decode
from premodel.errors import BundleError, ImageError, ModelError, ZooError
from premodel.files import file_sha256
from premodel.runtime.bundle import HEADER, read_bundle
from premodel.zoo.manifest import read_zoo
from premodel.zoo.verify import verify


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return lay_ground(tmp_path_factory.mktemp("ground"))


def progressive_jpeg(scans: int) -> bytes:
    """A small file that makes the decoder pass over all of a large image once per scan."""
    data = cv2.imencode(".jpg", np.zeros((3000, 3000, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * scans + data[end:]


def test_a_jpeg_of_endless_scans_is_refused_before_decoding() -> None:
    with pytest.raises(ImageError, match="scans of 3000 x 3000 pixels; allowed: up to 16 scans"):
        decode(progressive_jpeg(10_000))
    assert decode(progressive_jpeg(0)).width == 3000


def png_chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    import zlib

    return (
        struct.pack(">I", len(data) if length is None else length)
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"x", 3_000_000_000),
        png_chunk(b"IDAT", b"x", 0x7FFFFFFF),
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
    ],
    ids=["huge text", "huge data", "second header"],
)
def test_a_png_whose_chunks_lie_is_refused_before_decoding(chunk: bytes) -> None:
    data = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    assert decode(data).width == 40
    with pytest.raises(ImageError, match=r"truncated|header is damaged"):
        decode(data[:33] + chunk + data[33:])


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.png", tmp_path / "link.png"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link, Path("/dev/zero")):
        with pytest.raises(ImageError, match="not a regular file"):
            decode(path)
        with pytest.raises(ModelError, match="not a regular file"):
            file_sha256(path)
    (tmp_path / "zoo.toml").write_text('name = "x"\ntask = "image-classification"\nlabels = "/dev/zero"\n')
    with pytest.raises(ZooError, match="not a regular file"):
        read_zoo(tmp_path / "zoo.toml")
    with pytest.raises(ZooError, match="not a regular file"):
        read_zoo(pipe)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("label_offset = " + "9" * 5000, "not TOML"),
        ("label_offset = " + "[" * 400 + "]" * 400, "label_offset"),
        ("label_offset = " + "[" * 5000, "not TOML"),
        ("label_offset = nan", "label_offset"),
        ("threads = inf", "threads"),
    ],
)
def test_values_beyond_all_measure_in_a_manifest(ground: Ground, line: str, message: str) -> None:
    path = ground.made[1].small.zoo.with_name("beyond.toml")
    path.write_text(ground.made[1].small.zoo.read_text().replace("[[models]]\n", f"[[models]]\n{line}\n", 1))
    with pytest.raises(ZooError, match=message) as caught:
        read_zoo(path)
    assert len(str(caught.value)) < 5000


def test_a_file_name_too_long_is_a_missing_file(ground: Ground) -> None:
    path = ground.made[1].small.zoo.with_name("long.toml")
    path.write_text(ground.made[1].small.zoo.read_text().replace("models/m0.npz", "m" * 5000))
    with pytest.raises((ModelError, ZooError)):
        verify(read_zoo(path).candidates[0].model)


def rewritten(ground: Ground, change: Callable[[dict[str, Any]], None]) -> Path:
    with open_sealed(ground.made[1].path) as container:
        members: dict[str, Any] = {name: container.read(name) for name in container.sizes}
    header = json.loads(members[HEADER])
    change(header)
    path = ground.inside / "rewritten.premodel"
    write_sealed(path, {**members, HEADER: json.dumps(header).encode()})
    return path


def test_text_that_no_file_can_hold(ground: Ground) -> None:
    for text in ("\ud800", "a\0b"):
        path = rewritten(ground, lambda header, text=text: header.update(folder=text))  # type: ignore[misc]
        with pytest.raises(BundleError, match="folder"):
            read_bundle(path)
        path = rewritten(ground, lambda header, text=text: header["labels"].__setitem__(0, text))  # type: ignore[misc]
        with pytest.raises(BundleError, match="labels"):
            read_bundle(path)


def test_a_member_without_a_name(ground: Ground) -> None:
    path = ground.inside / "nameless.premodel"
    write_sealed(path, {"": b"x", HEADER: b"{}"})
    with pytest.raises(BundleError, match="nameless"):
        read_bundle(path)


def test_a_zip_that_unpacks_to_much_is_refused_unread(ground: Ground) -> None:
    path = ground.inside / "bomb.premodel"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(HEADER, b" " * (64 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleError):
        read_bundle(path)
