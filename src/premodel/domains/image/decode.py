"""From an encoded image to a model's input tensor: the same code in profiling and on the device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import MAX_FILE_BYTES, MAX_PIXELS
from premodel.domains.image.header import FORMATS, Header, avif_turn, read_header
from premodel.errors import ImageError
from premodel.files import read_regular
from premodel.signatures import kind_of_file

PREPROCESSING_VERSION = 1
"""Raised whenever `decode` or `preprocess` may give other bytes than before; part of every prediction key."""

FREE_SCANS = 16
MAX_SCANNED_PIXELS = 500_000_000
"""A progressive JPEG is decoded once per scan, and one of 30 bytes can cost as much as the whole image."""


@dataclass(frozen=True, eq=False)
class Image:
    """A decoded image.

    Attributes
    ----------
    rgb:
        uint8 (height, width, 3), C-contiguous; never written to.
    full_size:
        Width and height in pixels of what was decoded at a fraction of its size; None of what was decoded whole.
    """

    rgb: NDArray[np.uint8]
    full_size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[0])


def decode(source: Any, short_side: int = 0) -> Image:
    """Decode an image.

    Parameters
    ----------
    source:
        A path (str or Path), encoded bytes, a uint8 RGB array (height, width, 3), or a PIL image (recognised by its
        `convert` method; turned as its EXIF orientation states, like the file that it was read from).
    short_side:
        A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, the smallest whose shorter side has so many pixels at
        least; 0 for all pixels. Arrays, PIL images and other formats are as they are.

    Notes
    -----
    Encoded images follow OpenCV's colour decoding: grey becomes three equal channels, alpha is dropped, not composited,
    16 bits are scaled to 8, palettes and CMYK are converted, the EXIF orientation is applied, of several frames the
    first is taken. The orientation of AVIF files is applied here, since OpenCV does not.

    A file that lacks pixels is refused as truncated, although OpenCV would fill the rest with grey: a half-grey image
    would be a wrong sample without a word. A JPEG or PNG that lacks only the mark of its end is read. Wrong bytes
    inside a whole file are found only where the format has a checksum (PNG).

    PIL images whose pixels would not be those of the same file are refused: 16 and 32 bits, CMYK and further colour
    spaces, TIFF files turned by their XMP data. Elsewhere an orientation that is not in the EXIF data is applied
    neither to PIL images nor to files.

    Raises
    ------
    ImageError
        The file cannot be read, is empty, truncated, of no known format or damaged, or has more than 200 megapixels,
        which is refused from the header alone, before anything is allocated.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return _decode_bytes(data, f"image of {len(data)} bytes", short_side)
    if isinstance(source, str | Path):
        return _decode_bytes(read_file(Path(source)), str(source), short_side)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if callable(getattr(source, "convert", None)) and hasattr(source, "size"):
        return _from_pil(source)
    raise ImageError(
        "not an image",
        given=type(source).__name__,
        allowed="path, bytes, uint8 RGB array (height, width, 3), PIL image",
    )


def read_file(path: Path) -> bytes:
    """The bytes of an image file; ImageError naming it if it cannot be read."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(
                "image refused", where=path, given=f"{size} bytes", allowed=f"up to {MAX_FILE_BYTES} bytes"
            )
        return read_regular(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"image cannot be read ({reason})", where=path) from error


def reduction(header: Header, short_side: int) -> int:
    """By what a JPEG's sides are divided in decoding: 1, 2, 4 or 8.

    Notes
    -----
    These are the scales at which libjpeg leaves work out: it computes fewer coefficients of each block. A file that
    lacks its end is decoded whole, since they show whether pixels are missing.
    """
    if short_side <= 0 or header.format != "JPEG" or not header.complete:
        return 1
    shorter = min(header.width, header.height)
    return next((scale for scale in (8, 4, 2) if shorter // scale >= short_side), 1)


def _decode_bytes(data: bytes, where: str, short_side: int) -> Image:
    if not data:
        raise ImageError("image is empty", where=where)
    header = read_header(data)
    if header is None:
        kind = kind_of_file(data)
        if kind is not None:
            raise ImageError(f"not an image that can be read: it is {kind}", where=where, allowed=FORMATS)
        raise ImageError("not an image, or its header is damaged", where=where, allowed=FORMATS)
    if header.unsupported:
        raise ImageError(
            f"{header.format} image has {header.unsupported}", where=where, allowed="8 or 16 bits per channel",
            do="convert it",
        )  # fmt: skip
    _check_size(header.width, header.height, where)
    if header.scans > FREE_SCANS and header.scans * header.width * header.height > MAX_SCANNED_PIXELS:
        raise ImageError(
            "image refused before decoding",
            where=where,
            given=f"{header.scans} scans of {header.width} x {header.height} pixels",
            allowed=f"up to {FREE_SCANS} scans, or {MAX_SCANNED_PIXELS // 1_000_000} megapixels in all",
        )
    if not header.complete:
        return Image(_without_end(data, header, where))
    scale = reduction(header, short_side)
    if scale == 8 and header.scans > 1:
        from premodel.domains.image.progressive import without_unused_scans  # here: most photographs have one scan

        data = without_unused_scans(data)
    rgb = _imdecode(data, header, where, scale)
    if scale > 1:
        turned = (rgb.shape[0] > rgb.shape[1]) != (header.height > header.width)
        full = (header.height, header.width) if turned else (header.width, header.height)
        return Image(rgb, full)
    return Image(rgb if header.format != "AVIF" else _turned(rgb, data))


def _without_end(data: bytes, header: Header, where: str) -> NDArray[np.uint8]:
    """The pixels of a file without the mark of its end; ImageError if some of them are missing as well."""
    from premodel.domains.image.recovery import jpeg_without_end, png_without_end  # here: hardly any file needs it

    if header.format == "JPEG":
        rgb = jpeg_without_end(data, lambda whole: _imdecode(whole, header, where))
    elif header.format == "PNG":
        whole = png_without_end(data)
        rgb = None if whole is None else _imdecode(whole, header, where)
    else:
        rgb = None
    if rgb is None:
        raise ImageError(f"{header.format} image is truncated", where=where, given=f"{len(data)} bytes")
    return rgb


def _turned(rgb: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    """An AVIF image as its file states that it is to be shown."""
    quarters, flip = avif_turn(data)
    if quarters:
        rgb = np.rot90(rgb, quarters)
    if flip is not None:
        rgb = np.flip(rgb, flip)
    return np.ascontiguousarray(rgb)


_MODES = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""Reduced ones give BGR: OpenCV does not combine them with RGB."""


def _imdecode(data: bytes, header: Header, where: str, scale: int = 1) -> NDArray[np.uint8]:
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), _MODES[scale])
        if rgb is not None and scale > 1:
            rgb = cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB, dst=rgb)
    except cv2.error as error:
        raise ImageError(f"{header.format} image cannot be decoded ({error.err})", where=where) from error
    if rgb is None:
        raise ImageError(f"{header.format} image is damaged", where=where, given=f"{len(data)} bytes")
    return rgb  # type: ignore[return-value]


def _check_size(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            "image refused before decoding",
            where=where,
            given=f"{width} x {height} pixels",
            allowed=f"up to {MAX_PIXELS // 1_000_000} megapixels",
        )


def check_pixels(width: int, height: int, max_pixels: int, where: str) -> None:
    """ImageError if a server may not decode so many pixels."""
    if width * height > max_pixels:
        raise ImageError(
            "image refused before decoding",
            where=where,
            given=f"{width} x {height} pixels",
            allowed=f"up to {max_pixels} pixels",
        )


def _from_array(array: NDArray[Any]) -> Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(
            "wrong image array", given=f"{array.dtype} {array.shape}", allowed="uint8 RGB (height, width, 3)"
        )
    _check_size(array.shape[1], array.shape[0], "image array")
    return Image(np.ascontiguousarray(array))


PIL_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})
"""Modes of PIL whose pixels are those that the same file gives by its path."""
EXIF_ORIENTATION = 0x0112
TIFF_BITS_PER_SAMPLE = 258
FURTHER_ORIENTATIONS = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where else PIL looks for an orientation."""
TURNS = {
    2: lambda rgb: np.flip(rgb, 1),
    3: lambda rgb: np.rot90(rgb, 2),
    4: lambda rgb: np.flip(rgb, 0),
    5: lambda rgb: np.swapaxes(rgb, 0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: np.rot90(np.swapaxes(rgb, 0, 1), 2),
    8: lambda rgb: np.rot90(rgb),
}
"""What each EXIF orientation asks for."""


def _from_pil(picture: Any) -> Image:
    width, height = picture.size
    _check_size(width, height, "PIL image")
    mode = getattr(picture, "mode", "RGB")
    if mode not in PIL_MODES:
        raise ImageError(
            "the pixels of this PIL image would not be those of its file", given=f"mode {mode}",
            allowed=", ".join(sorted(PIL_MODES)), do="give its path or bytes, or convert it to RGB as you want it",
        )  # fmt: skip
    if _is_deep(picture):
        raise ImageError(
            "the pixels of this PIL image would not be those of its file", given="more than 8 bits per channel",
            allowed="8 bits", do="give its path or bytes",
        )  # fmt: skip
    try:
        _refuse_turned_by_xmp(picture)
        rgb = np.asarray(picture.convert("RGB"))
        turn = TURNS.get(_exif_orientation(picture))
    except (OSError, ValueError, SyntaxError) as error:  # what PIL raises while decoding lazily
        raise ImageError(f"PIL image cannot be decoded ({error})") from error
    return _from_array(rgb if turn is None else turn(rgb))


def _is_deep(picture: Any) -> bool:
    """Has PIL opened a file of 16 bits per channel in a mode of 8; it rounds them in another way than OpenCV."""
    bits = getattr(picture, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE, 8)
    if max(bits if isinstance(bits, tuple) else (bits,)) > 8:
        return True
    if getattr(picture, "format", None) != "PPM":
        return False
    arguments = [tile[3] for tile in getattr(picture, "tile", ())]
    return any(isinstance(found, tuple) and found[-1] > 255 for found in arguments if found)


def _refuse_turned_by_xmp(picture: Any) -> None:
    """ImageError if PIL will turn, or has turned, a TIFF as XMP data say, which OpenCV does not read."""
    tags = getattr(picture, "tag_v2", None)
    if tags is None or EXIF_ORIENTATION in tags or "xmp" not in picture.info:
        return
    if picture.getexif().get(EXIF_ORIENTATION, 1) != 1:
        raise ImageError(
            "the pixels of this PIL image would not be those of its file", given="an orientation in its XMP data alone",
            allowed="an orientation in its EXIF data", do="give its path or bytes",
        )  # fmt: skip


def _exif_orientation(picture: Any) -> Any:
    """The orientation that the EXIF data of a PIL image state.

    PIL also takes one from XMP data, and from the text of a PNG that older programs kept EXIF data in; OpenCV does not.
    """
    if not hasattr(picture, "getexif"):
        return None
    exif = picture.getexif()
    info = getattr(picture, "info", {})
    if not any(name in info for name in FURTHER_ORIENTATIONS):
        return exif.get(EXIF_ORIENTATION)
    stored = type(exif)()
    if info.get("exif"):
        stored.load(info["exif"])
    return stored.get(EXIF_ORIENTATION)


def set_threads(threads: int) -> None:
    """Threads of OpenCV's own pool, for the whole process: set by whoever measures or serves, never left to guess."""
    cv2.setNumThreads(threads)
