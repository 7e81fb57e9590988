"""Every policy a bundle may name: kind -> class. A new policy is one file of this package and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from premodel.errors import BundleError, OptionError
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.single import Single
from premodel.runtime.policies.stopping import Cascade, CascadeRouting

POLICIES: dict[str, type[Policy]] = {policy.kind: policy for policy in (Single, Select, Cascade, CascadeRouting)}


def register(policy: type[Policy]) -> None:
    """Let bundles name a policy that another package brings; it must be registered wherever they are opened.

    Raises
    ------
    OptionError
        Another policy is of that kind.
    """
    if POLICIES.setdefault(policy.kind, policy) is not policy:
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
    return POLICIES[kind].from_components(settings, arrays)
