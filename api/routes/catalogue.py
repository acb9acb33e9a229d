"""What a definition may name."""

from __future__ import annotations

from functools import cache
from typing import Any

from api.route import resource
from engine.catalogue import catalogue

router = resource("/catalogue", "catalogue")


@cache
def _catalogue() -> dict[str, Any]:
    return catalogue()


@router.get("")
def read_catalogue() -> dict[str, Any]:
    """Every registered layer, loss, metric, optimizer, schedule, transform and format, with options and defaults."""
    return _catalogue()
