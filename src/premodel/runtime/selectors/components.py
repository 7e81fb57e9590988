"""Reading the components of a selector out of a bundle, with one form of message for what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError

MAX_WEIGHT = 1e100
"""Of a selector's number whose size has no meaning of its own: products and sums of such are numbers."""


class Components:
    """Settings and arrays of one selector, checked as they are read.

    Parameters
    ----------
    kind:
        Kind of the selector, for messages.
    settings, arrays:
        As given to `Selector.from_components`.
    """

    def __init__(self, kind: str, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.where = f"selector {kind}"
        self._settings = settings
        self._arrays = arrays

    def setting(self, name: str) -> Any:
        """A setting; BundleError if it is missing."""
        if name not in self._settings:
            raise BundleError("a setting is missing", where=self.where, given=name, do="train the bundle again")
        return self._settings[name]

    def names(self) -> tuple[str, ...]:
        """The feature names; BundleError if they are not distinct texts."""
        names = self.setting("features")
        valid = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
        if not valid or not names or len(set(names)) != len(names):
            raise BundleError("wrong feature names", where=self.where, given=names, allowed="distinct names")
        return tuple(names)

    def count(self, name: str) -> int:
        """A setting that counts something; BundleError unless it is a whole number of at least 1."""
        value = self.setting(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BundleError(f"wrong {name}", where=self.where, given=value, allowed="a whole number from 1")
        return value

    def number(self, name: str) -> float:
        """A setting that is a finite number."""
        value = self.setting(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise BundleError(f"wrong {name}", where=self.where, given=value, allowed="a finite number")
        return float(value)

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array of that type and shape; None in `shape` allows any length there.

        Raises
        ------
        BundleError
            It is missing, or of another type or shape.
        """
        if name not in self._arrays:
            raise BundleError("an array is missing", where=self.where, given=name, do="train the bundle again")
        array = np.asarray(self._arrays[name])
        fits = array.ndim == len(shape) and all(
            want is None or have == want for have, want in zip(array.shape, shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not fits:
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise BundleError(
                f"wrong array {name}",
                where=self.where,
                given=f"{array.dtype} {array.shape}",
                allowed=f"{np.dtype(dtype)} ({sizes})",
            )
        return array

    def finite(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array as `array` gives it, of finite numbers only; BundleError otherwise."""
        array = self.array(name, dtype, shape)
        if not np.isfinite(array).all():
            raise BundleError(f"array {name} holds NaN or infinity", where=self.where, allowed="finite numbers")
        return array

    def within(
        self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...], low: float, high: float
    ) -> NDArray[Any]:
        """An array as `array` gives it, of numbers from low to high only; BundleError otherwise."""
        array = self.array(name, dtype, shape)
        if array.size and not (array.min() >= low and array.max() <= high):  # NaN is neither
            raise BundleError(
                f"a number of array {name} is out of range", where=self.where, allowed=f"{low:g} to {high:g}"
            )
        return array

    def require(self, holds: bool, what: str) -> None:
        """Raise BundleError with `what` unless `holds`."""
        if not holds:
            raise BundleError(what, where=self.where, do="train the bundle again")
