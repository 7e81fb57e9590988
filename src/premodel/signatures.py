"""What a file is, by its first bytes: so that what is not an image or a model can be named as what it is."""

from __future__ import annotations

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_START = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive (a PyTorch .pt file and an .npz are such)"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (run: git lfs pull)"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\x1aE\xdf\xa3", "a Matroska video"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"\0\0\1\0", "a Windows icon"),
    (b"\0\x05\x16\x07", "an AppleDouble file, which macOS writes beside the file itself"),
)


def kind_of_file(data: bytes) -> str | None:
    """What the bytes are the beginning of, in words; None where it is not known.

    Examples
    --------
    >>> kind_of_file(b"<!DOCTYPE html><html>")
    'a web page'
    """
    for start, kind in _START:
        if data.startswith(start):
            return kind
    if data[257:262] == b"ustar":
        return "a tar archive"
    text = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if text.startswith((b"<svg", b"<?xml")):
        return "an SVG drawing" if b"<svg" in data[:4096] else "an XML document"
    if text.startswith((b'{"', b"{\n", b"[{")):
        return "a JSON document"
    if data[4:8] == b"ftyp":
        length = int.from_bytes(data[:4], "big")
        brands = data[8 : min(length, 256)] if length >= 16 else data[8:12]
        if any(brand in brands for brand in _HEIC_BRANDS):
            return "a HEIC image"
        if b"avif" not in brands:
            return "a video or another file of the MP4 family"
    return None
