"""What training will need, imported in the supervisor, so that a forked trainer begins at once.

Nothing is compiled here and no thread starts: a process that has done either must not fork.
"""

from __future__ import annotations

import importlib
import pkgutil

import engine.codegen
import engine.kernels
import engine.lowering
import engine.runtime
from engine import registry


def preload() -> None:
    """Import every registered entry, the compiler, and the compute kernels' sources."""
    for kind in registry.PACKAGES:
        registry.entries(kind)
    for package in (engine.codegen, engine.kernels, engine.lowering, engine.runtime):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
