"""Which of Keras's names the catalogue has: `make parity` runs it in Keras's environment; it writes docs/keras.md.

    .venv/bin/python -m engine.catalogue > catalogue.json
    .venv-peers/bin/python tests/parity/coverage.py catalogue.json

Only public classes that can be written down as plain data are counted; for every other one a reason stands below.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

PAGE = Path(__file__).parent.parent.parent / "docs" / "keras.md"
CODE = "runs code that a definition would have to carry"
BASE = "a base class"
NOT_COUNTED: dict[str, dict[str, str]] = {
    "layers": {"Layer": BASE, "Wrapper": BASE, "Lambda": CODE, "TFSMLayer": CODE, "TorchModuleWrapper": CODE,
               "FlaxLayer": CODE, "JaxLayer": CODE, "InputLayer": "an input of the model", "InputSpec": "no layer"},
    "losses": {"Loss": BASE},
    "metrics": {"Metric": BASE, "MeanMetricWrapper": CODE, "Mean": "of a value that is no output",
                "Sum": "of a value that is no output"},
    "optimizers": {"Optimizer": BASE, "OptimizerMap": BASE,
                   "LossScaleOptimizer": "float32 needs no scaling of the loss",
                   "MultiOptimizer": "holds optimizers for lists of layers"},
    "schedules": {"LearningRateSchedule": BASE},
    "initializers": {"Initializer": BASE, "RandomInitializer": BASE},
    "regularizers": {"Regularizer": BASE},
    "constraints": {"Constraint": BASE},
}
MODULES = {"schedules": keras.optimizers.schedules, **{
    name: getattr(keras, name) for name in NOT_COUNTED if name != "schedules"}}
ELSEWHERE = {"layers": ("transforms", "augmentations", "cells")}
"""Groups of the catalogue that have what Keras has among its layers: preprocessing, and cells."""


def classes(module: Any) -> dict[str, list[str]]:
    """Keras's public classes by their own name, each with all the names it has there."""
    found: dict[str, list[str]] = {}
    for name, member in vars(module).items():
        if inspect.isclass(member) and not name.startswith("_"):
            found.setdefault(member.__name__, []).append(name)
    return found


def main(catalogue: dict[str, dict[str, Any]]) -> None:
    """Print covered and missing names, and write the page."""
    lines = ["# What Keras has and Stoker takes", "",
             f"Keras {keras.__version__}'s classes that are plain data, by module; `make parity` writes this page.",
             "", "| what | covered | missing | not counted |", "| --- | --- | --- | --- |"]
    for group, module in MODULES.items():
        known = set(catalogue[group]).union(*(catalogue[other] for other in ELSEWHERE.get(group, ())))
        skipped = NOT_COUNTED[group]
        wanted = {own: names for own, names in classes(module).items() if not {own, *names} & set(skipped)}
        missing = sorted(own for own, names in wanted.items() if not {own, *names} & known)
        covered = len(wanted) - len(missing)
        print(f"{group}: {covered} of {len(wanted)} covered; missing: {', '.join(missing) or 'none'}")
        reasons = ", ".join(f"`{name}` ({reason})" for name, reason in skipped.items() if reason != BASE)
        lines.append(f"| {group} | {covered} of {len(wanted)} | "
                     f"{', '.join(f'`{name}`' for name in missing) or 'none'} | {reasons} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
