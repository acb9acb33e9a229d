"""Every drawn configuration against the arrays that keras_layers.py wrote: a line a layer.

    python -m tests.parity.compare ARRAYS [LAYER …]

Each layer is read from the configuration that Keras itself wrote, and computed by its compiled plan. The process fails
where an error is above 1e-4 of the largest value.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict

import numpy as np

from tests.parity import comparison, drawn

ALLOWED = 1e-4
BESIDES = ("name", "trainable", "dtype")
"""What a Keras configuration has that belongs to the layer's place in a model."""


def main(path: str, layers: list[str]) -> int:
    """Print the table; the number of layers that differ."""
    stored = np.load(path)
    configs = json.loads(str(stored["configs"]))
    arrays: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for key in stored.files:
        layer, _, rest = key.partition("/")
        if rest:
            number, _, name = rest.partition("/")
            arrays[f"{layer}/{number}"][name] = stored[key]
    wrong = 0
    print("| layer | configurations | largest error of outputs | of gradients |\n| --- | --- | --- | --- |")
    for layer in layers or drawn.LAYERS:
        forward = backward = 0.0
        for number, configuration in enumerate(drawn.configurations(layer)):
            name = f"{layer}/{number}"
            written = {key: value for key, value in configs[name].items() if key not in BESIDES}
            try:
                received = comparison.planned(*comparison.build(name, {"type": layer, **written}, configuration))
                assert set(arrays[name]) in ({"output"}, set(received)), f"{sorted(received)}, {sorted(arrays[name])}"
                errors = {key: comparison.error(received[key], expected) for key, expected in arrays[name].items()}
            except Exception as fault:
                print(f"{name} {configuration}: {fault!r} {getattr(fault, 'faults', '')}")
                errors = {"output": float("inf")}
            if max(errors.values()) > ALLOWED:
                print(f"{name} {configuration}: {errors}")
            forward = max([forward, *(errors.pop(key) for key in list(errors) if key.startswith("output"))])
            backward = max([backward, *errors.values()])
        wrong += max(forward, backward) > ALLOWED
        print(f"| {layer} | {drawn.COUNT} | {forward:.1e} | {backward:.1e} |", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2:]) else 0)
