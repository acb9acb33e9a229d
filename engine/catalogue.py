"""Everything that a definition can name, with options, defaults and a first sentence: made from the registry.

`python -m engine.catalogue` prints it.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

from engine import registry
from engine.options import describe

GROUPS = {
    "layers": "layer",
    "cells": "cell",
    "activations": "activation",
    "losses": "loss",
    "metrics": "metric",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "initializers": "initializer",
    "regularizers": "regularizer",
    "constraints": "constraint",
    "templates": "template",
    "callbacks": "callback",
    "transforms": "transform",
    "augmentations": "augmentation",
    "formats": "format",
    "weights_formats": "weights_format",
}


def catalogue() -> dict[str, dict[str, dict[str, Any]]]:
    """`{"layers": {"Dense": {"description": …, "options": {"units": {"type": "integer", …}}}}, "losses": …}`."""
    return {group: {name: {"description": _first_paragraph(cls), "options": describe(cls)}
                    for name, cls in registry.entries(kind).items()}
            for group, kind in GROUPS.items()}


def _first_paragraph(cls: type) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(catalogue()) + "\n")
