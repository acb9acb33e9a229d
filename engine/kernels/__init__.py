"""Compute kernels, one file per family. Each family's `bind` turns a kernel request and its buffers into calls."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

NUMBA = "engine.kernels.native"
"""Kernels that import this are compiled by numba: few trainings need them, and none of the others waits for it."""


def load_families() -> None:
    """Import every file here, those left out that need numba."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if module.name != NUMBA and not _needs_numba(module.name):
            importlib.import_module(module.name)


def _needs_numba(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None and NUMBA in Path(spec.origin).read_text(encoding="utf-8")
