"""From what a data set states of a label to the label's index in the zoo's list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.errors import DatasetError
from premodel.fields import is_text

WORDNET_ID = re.compile(r"n\d{8}")
AMBIGUOUS = -1
FROM_ZERO = "the labels seem to count from 1: count from 0, or write the names"


class LabelList:
    """The names of the labels, and how a value names one of them.

    A value names label i if it is

    - the index i, from 0; or
    - the i-th line of the list, whole; or
    - where lines start with a WordNet id ("n01440764 tench, Tinca tinca"): that id, or the line without it; or
    - where only one line can be meant: a name in another case, or with hyphens, underscores and spaces for each other.

    All values of one data set are read in one way: by index if every value is one, else by name. Names that are
    themselves numbers are refused where the two readings differ, so that no label is ever guessed; names of folders are
    names. Composed and
    decomposed forms of one name (Unicode NFC and NFD, as macOS names folders) are one name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._by_name: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            composed = _composed(name)
            head, _, tail = composed.partition(" ")
            keys = {composed}
            if WORDNET_ID.fullmatch(head):
                keys |= {head, tail.strip()}
            for key in keys - {""}:
                self._by_name.setdefault(key, []).append(index)
        self._loose: dict[str, set[int]] = {}
        for key, found in self._by_name.items():
            self._loose.setdefault(_loose(key), set()).update(found)

    def contains(self, value: str) -> bool:
        """Tell whether this value names one label."""
        return self._name(_composed(value)) not in (None, AMBIGUOUS)

    def index_of(self, name: str) -> int | None:
        """The label of this name, read as the class states; None if there is none or more than one."""
        exact = self._name(_composed(name))
        if exact is not None:
            return None if exact == AMBIGUOUS else exact
        return self._loosely(name)

    def resolve(
        self, values: Sequence[str | int], where: Callable[[int], str], *, by_name: bool = False
    ) -> NDArray[np.int32]:
        """Index of the label that each value names.

        Parameters
        ----------
        values:
            Integers are indices; strings are read as the class states.
        where:
            Place of the value at this position, for the message.
        by_name:
            The values are names where all of them are names of labels, though they could be read as indices too: those
            of folders.

        Raises
        ------
        DatasetError
            A value names no label, or more than one, or the two readings differ.
        """
        distinct = dict.fromkeys(values)
        if all(isinstance(value, int) for value in distinct):
            table = {value: self._index(str(value)) for value in distinct}
        else:
            table = self._read({_composed(str(value)): None for value in distinct}, values, where, by_name)
            table = {value: table[_composed(str(value))] for value in distinct}
        for position, value in enumerate(values):
            index = table[value]
            if index is None:
                raise DatasetError(
                    "unknown label", where=where(position), given=repr(value), allowed=self.allowed(),
                    do=FROM_ZERO if self._count_from_one(distinct) else None,
                )  # fmt: skip
            if index == AMBIGUOUS:
                twins = self._by_name[_composed(str(value))]
                raise DatasetError(
                    "label names more than one class",
                    where=where(position),
                    given=repr(value),
                    allowed=f"an index, such as {' or '.join(map(str, twins[:2]))}",
                )
        return np.fromiter((table[value] or 0 for value in values), np.int32, len(values))

    def _count_from_one(self, values: Iterable[str | int]) -> bool:
        """Are the values numbers from 1 to that of the labels."""
        numbers = {int(value) if re.fullmatch(r"[0-9]{1,9}", str(value)) else 0 for value in values}
        return min(numbers) == 1 and max(numbers) == len(self.names)

    def allowed(self) -> str:
        """What a label may be, for a message."""
        return f"0 to {len(self.names) - 1}, or a name such as {self.names[0]!r}"

    def _index(self, value: str) -> int | None:
        if not re.fullmatch(r"[0-9]{1,9}", value):
            return None
        return int(value) if int(value) < len(self.names) else None

    def _name(self, value: str) -> int | None:
        found = self._by_name.get(value, [])
        return None if not found else found[0] if len(found) == 1 else AMBIGUOUS

    def _loosely(self, value: str) -> int | None:
        """The only label whose name is the value but for case, hyphens and underscores."""
        found = self._loose.get(_loose(value), set())
        return next(iter(found)) if len(found) == 1 else None

    def _read(
        self, distinct: dict[str, None], values: Sequence[str | int], where: Callable[[int], str], by_name_first: bool
    ) -> dict[str | int, int | None]:
        by_index = {value: self._index(value) for value in distinct}
        by_name = {value: self._name(value) for value in distinct}
        if any(index is None for index in by_name.values()):
            by_name = {value: self._loosely(value) if index is None else index for value, index in by_name.items()}
        indexed = all(index is not None for index in by_index.values())
        named = all(index is not None for index in by_name.values())
        if named and by_name_first and AMBIGUOUS not in by_name.values():
            return {value: by_name[value] for value in distinct}
        if indexed and named and by_index != by_name:
            odd = next(value for value in distinct if by_index[value] != by_name[value])
            position = next(i for i, value in enumerate(values) if _composed(str(value)) == odd)
            raise DatasetError(
                "label can be read as an index and as a name, and they differ",
                where=where(position),
                given=repr(odd),
                allowed="label names that are not numbers",
                do="write the names in the zoo's label list out in words, and use them or the indices",
            )
        # The reading in which more values make sense is the one meant; the other values are then errors.
        hits_by_index = sum(index is not None for index in by_index.values())
        hits_by_name = sum(index is not None for index in by_name.values())
        chosen = by_index if indexed or (not named and hits_by_index > hits_by_name) else by_name
        return {value: chosen[value] for value in distinct}


class FreeTruths(LabelList):
    """Truths that are no labels: every text is one.

    Attributes
    ----------
    texts:
        Those of the rows read, in order.
    """

    def __init__(self) -> None:
        super().__init__(())
        self.texts: list[str] = []

    def resolve(
        self, values: Sequence[str | int], where: Callable[[int], str], *, by_name: bool = False
    ) -> NDArray[np.int32]:
        """-1 for each; the texts are kept.

        Raises
        ------
        DatasetError
            No database holds a text: it has a zero character, or half of a surrogate pair.
        """
        del by_name
        texts = [str(value) for value in values]
        for position, text in enumerate(texts):
            if not is_text(text):
                raise DatasetError(
                    "truth must hold no zero character and no half of a surrogate pair", where=where(position),
                    given=ascii(text[:60]),
                )  # fmt: skip
        self.texts.extend(texts)
        return np.full(len(values), -1, np.int32)


def _composed(name: str) -> str:
    """One form of a name, whoever wrote it."""
    return unicodedata.normalize("NFC", name).strip()


def _loose(name: str) -> str:
    return " ".join(_composed(name).casefold().replace("_", " ").replace("-", " ").split())
