"""What a subset of features costs: the sum of the cost items it needs, each measured once and paid once.

A part is the check of the image, an intermediate, a family, or the assembly of the vector. Because every part is
computed at most once per image and apart from the others, the cost of any subset is the sum over its cost items; a
subset is priced without being run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from premodel.domains.features import FeatureFamily
from premodel.domains.image.features.intermediates import declared
from premodel.domains.image.features.registry import families_of
from premodel.errors import OptionError

CHECK = "check"
"""The part in which the image is checked; paid by every extraction."""

ASSEMBLY = "assembly"
"""The part in which the vector is put together; paid by every extraction."""


def intermediates_of(families: Sequence[type[FeatureFamily]]) -> tuple[str, ...]:
    """Name the intermediates that the families need, directly or not, each after those that it reads."""
    order = declared()
    wanted: set[str] = set()
    waiting = [name for family in families for name in family.needs]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(order[name])
    return tuple(name for name in order if name in wanted)


def cost_items_of(names: Sequence[str]) -> tuple[str, ...]:
    """Name the cost items that a subset of features needs, in the order in which they are computed.

    Raises
    ------
    OptionError
        A feature is unknown or named twice.
    """
    families = families_of(names)
    return (CHECK, *intermediates_of(families), *(family.name for family in families), ASSEMBLY)


def cost_ms(names: Sequence[str], item_ms: Mapping[str, float]) -> float:
    """Price a subset of features from the measured cost items.

    Parameters
    ----------
    names:
        The features.
    item_ms:
        Milliseconds of each cost item, as `Extractor.time_cost_items` gives them, or their means over many images.

    Raises
    ------
    OptionError
        A feature is unknown or named twice, or a cost item that it needs was not measured.
    """
    items = cost_items_of(names)
    missing = [item for item in items if item not in item_ms]
    if missing:
        raise OptionError(
            "a cost item of the features was not measured",
            given=", ".join(missing),
            do="profile the features again",
        )
    return sum(item_ms[item] for item in items)
