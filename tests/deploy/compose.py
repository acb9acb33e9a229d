"""Reading docker-compose.yml as Compose does, as far as this project uses it."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def load(variables: dict[str, str]) -> dict[str, Any]:
    """The file with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in. Raises KeyError if one must be."""

    def fill(match: re.Match[str]) -> str:
        name, form, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if form and form.endswith("-"):
            return rest
        raise KeyError(f"{name}: {rest}")

    return dict(yaml.safe_load(VARIABLE.sub(fill, (ROOT / "docker-compose.yml").read_text())))


def start_order(services: dict[str, Any]) -> list[str]:
    """Names in an order in which each comes after what it depends on. Raises ValueError for a circle."""
    order: list[str] = []
    waiting = dict(services)
    while waiting:
        free = [name for name, service in waiting.items() if not set(service.get("depends_on", {})) - set(order)]
        if not free:
            raise ValueError(f"services that wait for each other: {sorted(waiting)}")
        order += free
        waiting = {name: service for name, service in waiting.items() if name not in free}
    return order
