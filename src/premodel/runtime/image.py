"""Decoding by hand, for programs that import it from here: `premodel.domains.image.decode` is where it is written."""

from premodel.domains.image.decode import Image, decode

__all__ = ["Image", "decode"]
