"""Families whose values are stored in one row, and what such a row is called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from premodel.store.schema import GROUP


def group_key(keys: Sequence[str]) -> str:
    """Under what the values of these families are stored together; that of a family by itself is its own."""
    if len(keys) == 1:
        return keys[0]
    return GROUP + hashlib.sha256(json.dumps(list(keys)).encode()).hexdigest()[:48]


def group_rows(groups: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """The rows of the table of extractors that describe groups of several families."""
    distinct = {group_key(keys): json.dumps(list(keys)) for keys in groups if len(keys) > 1}
    return [{"version": key, "names": names, "needs": "{}"} for key, names in distinct.items()]
