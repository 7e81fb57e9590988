"""Every policy a bundle may name. A new one is one file of this package and one line here.

A policy's module is loaded when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from premodel.errors import BundleError, OptionError
from premodel.runtime.policies.base import Policy


def _load(module: str, name: str) -> type[Policy]:
    found: type[Policy] = getattr(import_module(module), name)
    return found


POLICIES: dict[str, Callable[[], type[Policy]]] = {
    "single": partial(_load, "premodel.runtime.policies.single", "Single"),
    "select": partial(_load, "premodel.runtime.policies.select", "Select"),
    "cascade": partial(_load, "premodel.runtime.policies.stopping", "Cascade"),
    "cascade-routing": partial(_load, "premodel.runtime.policies.stopping", "CascadeRouting"),
    "graded-cascade": partial(_load, "premodel.runtime.policies.graded_stopping", "GradedCascade"),
    "graded-cascade-routing": partial(_load, "premodel.runtime.policies.graded_stopping", "GradedCascadeRouting"),
}
"""Kind -> what gives its class."""


def register(policy: type[Policy]) -> None:
    """Let bundles name a policy that another package brings; it must be registered wherever they are opened.

    Raises
    ------
    OptionError
        Another policy is of that kind.
    """
    if POLICIES.setdefault(policy.kind, lambda: policy)() is not policy:
        raise OptionError("kind of policy must be a new one", given=policy.kind, allowed="a name of its own")


def policy_from_components(kind: object, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Policy:
    """Make a policy of its kind from settings and arrays.

    Raises
    ------
    BundleError
        The kind is unknown to this version, or settings and arrays are incomplete or contradict each other.
    """
    if not isinstance(kind, str) or kind not in POLICIES:
        do = "use the premodel version that made the bundle"
        raise BundleError("unknown policy", given=kind, allowed=", ".join(POLICIES), do=do)
    return POLICIES[kind]().from_components(settings, arrays)
