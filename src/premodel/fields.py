"""Reading fields of untrusted tables (TOML, JSON): every mistake is named with its place, value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from premodel.errors import InputError, ZooError
from premodel.files import read_regular

MAX_MANIFEST_BYTES = 16 << 20
_PUNCTUATION = str.maketrans("", "", "._+-")
"""Of names: left out before the rest is tested."""


class Fields:
    """One table, read field by field; `done` refuses what nobody asked for.

    Parameters
    ----------
    data:
        The table as parsed.
    where:
        File and entry, for messages.
    error:
        Class of the errors raised.
    prefix:
        Name of the enclosing field with its dot, for messages.
    """

    def __init__(self, data: Any, where: str, error: type[InputError] = ZooError, prefix: str = "") -> None:
        self.where = where
        self.error = error
        self.prefix = prefix
        if not isinstance(data, Mapping):
            raise error(f"{prefix.rstrip('.') or 'entry'} is not a table", where=where, given=shown(data))
        self._data = data
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Is the field given."""
        return name in self._data

    def fail(self, name: str, allowed: object, do: str | None = None) -> InputError:
        """The error of a field with a wrong value."""
        given = shown(self._data.get(name))
        return self.error(f"wrong {self.prefix}{name}", where=self.where, given=given, allowed=allowed, do=do)

    def value(self, name: str, default: Any = ...) -> Any:
        """The field as parsed; without a default it must be there."""
        self._read.add(name)
        if name in self._data:
            return self._data[name]
        if default is ...:
            raise self.error(f"{self.prefix}{name} is missing", where=self.where)
        return default

    def text(self, name: str, default: Any = ..., allowed: Sequence[str] | None = None) -> str:
        """A non-empty string, one of `allowed` if given."""
        value = self.value(name, default)
        if value is default and default is not ...:
            return str(value)
        if not isinstance(value, str) or not value.strip() or not is_text(value):
            raise self.fail(name, ", ".join(allowed) if allowed else "a non-empty string")
        if allowed is not None and value not in allowed:
            raise self.fail(name, ", ".join(allowed))
        return value

    def name(self, name: str) -> str:
        """A name that is safe in commands, tables and file names."""
        value = self.text(name)
        if not is_name(value):
            raise self.fail(name, "letters, digits and . _ + -, starting with a letter or digit")
        return value

    def texts(self, name: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of non-empty strings."""
        value = self.value(name, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.fail(name, "a list of strings")
        if not is_text("".join(value)):  # all at once: a list of labels is long
            raise self.fail(name, "a list of strings")
        return tuple(value)

    def integer(self, name: str, low: int, high: int, default: Any = ...) -> int:
        """A whole number from low to high."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(name, f"a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: Any = ...) -> float:
        """A finite number above low and up to high."""
        value = self.value(name, default)
        if not is_number(value) or not low < value <= high:
            raise self.fail(name, f"a number above {low:g} and up to {high:g}")
        return float(value)

    def numbers(self, name: str, count: int, *, positive: bool = False) -> tuple[float, ...] | None:
        """`count` finite numbers, or one number for all of them; None if absent."""
        value = self.value(name, None)
        if value is None:
            return None
        values = value if isinstance(value, list) else [value] * count
        fits = len(values) == count and all(is_number(item) and (item > 0 or not positive) for item in values)
        if not fits:
            kind = "positive numbers" if positive else "numbers"
            raise self.fail(
                name, f"one number or a list of {count} {kind}" if count > 1 else f"a list of 1 {kind[:-1]}"
            )
        return tuple(float(item) for item in values)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self.fail(name, "true, false")
        return value

    def digest(self, name: str, characters: int) -> str | None:
        """A hexadecimal digest in lower case; None if absent."""
        value = self.value(name, None)
        if value is None:
            return None
        if not isinstance(value, str) or not is_hexadecimal(value, characters):
            raise self.fail(name, f"{characters} hexadecimal digits")
        return value.lower()

    def table(self, name: str) -> Fields:
        """A table inside this one; must be there."""
        return Fields(self.value(name), self.where, self.error, f"{self.prefix}{name}.")

    def tables(self, name: str) -> list[Any]:
        """A list, whose items the caller reads; empty if absent."""
        value = self.value(name, [])
        if not isinstance(value, list):
            raise self.fail(name, "a list of tables")
        return value

    def done(self) -> None:
        """Refuse fields that were not read."""
        unknown = [str(name) for name in self._data if name not in self._read]
        if unknown:
            raise self.error(
                f"unknown field {self.prefix}{unknown[0]}",
                where=self.where,
                given=shown(self._data[unknown[0]]),
                allowed=", ".join(sorted(self._read)),
            )


def is_number(value: object) -> bool:
    """A finite int or float that is not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def is_text(value: str) -> bool:
    """Text that a file can hold and a system call take: no zero character, no half of a surrogate pair."""
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_name(value: str) -> bool:
    """A name that is safe in commands, tables and files: ASCII letters and digits, and behind the first . _ + - too."""
    return value.isascii() and value[:1].isalnum() and value.translate(_PUNCTUATION).isalnum()


def is_hexadecimal(value: str, characters: int) -> bool:
    """A number of so many hexadecimal digits."""
    return len(value) == characters and not set(value.lower()) - set("0123456789abcdef")


def shown(value: object) -> str:
    """A value for a message, shortened."""
    try:
        text = repr(value)
    except RecursionError:  # thousands of tables inside one another
        text = f"{type(value).__name__} nested too deep to show"
    return text if len(text) <= 80 else text[:77] + "..."


def is_json(value: object) -> bool:
    """Made of tables, lists, strings, booleans and finite numbers only."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and is_json(item) for name, item in value.items())
    if isinstance(value, list):
        return all(is_json(item) for item in value)
    return isinstance(value, str | bool) or is_number(value)


def read_toml(path: Path) -> dict[str, Any]:
    """A manifest as parsed; ZooError if it cannot be read."""
    import tomllib  # here: a device that opens a bundle reads no manifest

    try:
        return tomllib.loads(read_regular(path, MAX_MANIFEST_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ZooError(f"manifest cannot be read ({error.strerror})", where=path) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits and unknown dates, too
        raise ZooError(f"manifest is not TOML ({error})", where=path) from error
