"""JSON merge patch (RFC 7396), with one rule of our own for things that have a `type`."""

from __future__ import annotations

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """`target` changed by `patch`: objects are merged, null removes a field, everything else replaces.

    An object whose `type` differs from the one before replaces it whole: an SGD has no use for an Adam's options. Both
    are documents that the strict reader accepted, so their depth is bounded.
    """
    if not isinstance(patch, dict):
        return patch
    is_object = isinstance(target, dict)
    if not is_object or ("type" in patch and patch["type"] != target.get("type", patch["type"])):
        target = {}
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
