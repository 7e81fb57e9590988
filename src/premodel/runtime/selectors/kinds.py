"""Kinds of selectors by name, so that a selector can hold others; `registry` fills the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from premodel.errors import BundleError, OptionError
from premodel.runtime.selectors.base import Selector

KINDS: dict[str, Callable[[], type[Selector]]] = {}
"""Kind -> what gives its class when it is first asked for."""


def register(kind: str, load: Callable[[], type[Selector]]) -> None:
    """Let bundles name a kind of selector.

    Parameters
    ----------
    kind:
        `Selector.kind` of the class.
    load:
        Gives the class; called each time a selector of the kind is made.

    Raises
    ------
    OptionError
        There is one of that kind.
    """
    if kind in KINDS:
        raise OptionError("kind of selector must be a new one", given=kind, allowed="a name of its own")
    KINDS[kind] = load


def selector_from_components(kind: object, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Selector:
    """Make a selector of that kind from settings and arrays.

    Raises
    ------
    BundleError
        The kind is unknown, or as of `Selector.from_components`.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise BundleError("unknown kind of selector", given=kind, allowed=", ".join(KINDS), do="update premodel")
    return KINDS[kind]().from_components(settings, arrays)
