"""All feature families, in the order of the paper's Table 2. A new family is one file and one line here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from premodel.domains.features import FeatureFamily
from premodel.domains.image.features.brightness import Brightness
from premodel.domains.image.features.contrast import Contrast
from premodel.domains.image.features.edge_angles import EdgeAngles
from premodel.domains.image.features.edge_lengths import EdgeLengths
from premodel.domains.image.features.hue import Hue
from premodel.domains.image.features.keypoints import Keypoints
from premodel.domains.image.features.main_object import MainObject
from premodel.domains.image.features.perceived_brightness import PerceivedBrightness
from premodel.errors import OptionError

FAMILIES: tuple[type[FeatureFamily], ...] = (
    Keypoints,
    Brightness,
    PerceivedBrightness,
    Contrast,
    EdgeLengths,
    EdgeAngles,
    MainObject,
    Hue,
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for family in FAMILIES for feature in family.features)
"""The names of all features, in the order of a full vector."""


def register(family: type[FeatureFamily]) -> None:
    """Add a family that another package brings, behind the others; before the extractor is loaded.

    Raises
    ------
    OptionError
        One of its features, or the family, has a name that there is; or features were extracted already.
    """
    global FAMILIES, FEATURE_NAMES
    names = tuple(feature.name for feature in family.features)
    if {family.name, *names} & {*FEATURE_NAMES, *(one.name for one in FAMILIES)}:
        raise OptionError("features must have names of their own", given=f"{family.name}: {', '.join(names)}")
    if f"{__package__}.extractor" in sys.modules:
        raise OptionError("a family of features must be registered before the first extraction", given=family.name)
    FAMILIES, FEATURE_NAMES = (*FAMILIES, family), (*FEATURE_NAMES, *names)


def families_of(names: Sequence[str]) -> tuple[type[FeatureFamily], ...]:
    """Find the families that give the features named, each once, in the order of the registry.

    Raises
    ------
    OptionError
        A name is unknown or given twice.
    """
    unknown = [name for name in names if name not in FEATURE_NAMES]
    if unknown:
        raise OptionError("unknown feature", given=", ".join(unknown), allowed=", ".join(FEATURE_NAMES))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError("a feature is named twice", given=", ".join(twice), allowed="each feature once")
    wanted = set(names)
    return tuple(family for family in FAMILIES if any(feature.name in wanted for feature in family.features))
