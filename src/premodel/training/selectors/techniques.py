"""Techniques by name, so that one can be made of others; `registry` fills the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from premodel.errors import OptionError
from premodel.training.selectors.base import Fit


@dataclass(frozen=True)
class Technique:
    """A way of fitting a selector.

    Attributes
    ----------
    name:
        As users write it.
    load:
        Gives the fit when it is first asked for.
    is_level:
        Does it fit one two-class model per candidate, so that it may stand at a level of a chain.
    exclusive:
        Are its scores shares of classes (`Selector.exclusive`): one classifier over the candidates and none.
    """

    name: str
    load: Callable[[], Fit]
    is_level: bool = False
    exclusive: bool = False


TECHNIQUES: dict[str, Technique] = {}
"""Every technique with a name of its own; besides these, levels joined by dots make a chain."""


def register(technique: Technique) -> None:
    """Let users name a technique.

    Raises
    ------
    OptionError
        There is one of that name, or it has a dot, which joins the levels of a chain.
    """
    if technique.name in TECHNIQUES or "." in technique.name:
        raise OptionError("name of a technique must be a new one", given=technique.name, allowed="a name without dots")
    TECHNIQUES[technique.name] = technique


def levels() -> tuple[str, ...]:
    """Techniques that may stand at a level of a chain."""
    return tuple(name for name, technique in TECHNIQUES.items() if technique.is_level)
