"""Pictures sheared, seen askew and turned over by given numbers, against Keras: `make parity` runs it there.

    python tests/parity/moving.py

writes lengths and products of what Keras's layers make of given transformations into figures/moving.json for
`test_moving.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

FIGURES = Path(__file__).parent / "figures" / "moving.json"
FILLS = ("reflect", "constant", "nearest", "wrap")
CASES: list[tuple[str, dict[str, Any], list[float]]] = [
    *(("RandomShear", {"x_factor": 1.0, "y_factor": 1.0, "fill_mode": fill, "fill_value": 0.25}, [sign, x, y])
      for fill, sign, x, y in zip(FILLS, (0.2, 0.7, 0.7, 0.2), (0.31, 0.83, -0.47, 0.9), (-0.6, 0.37, 0.71, 0.93),
                                  strict=True)),
    *(("RandomPerspective", {"interpolation": how, "fill_value": 0.25}, [0.9, 0.1, *corners])
      for how in ("bilinear", "nearest") for corners in ([0.8, 1.1, 0.9, 1.2], [1.4, 0.7, 1.3, 1.1])),
    *(("Solarization", {"value_range": [-1, 1]}, numbers) for numbers in ([10.0, 90.0], [70.0, 200.0], [0.0, 255.0])),
    ("RandomPerspective", {}, [0.1, 0.9, 0.8, 1.1, 0.9, 1.2]),
]
"""A layer, its options, and the numbers that it draws for all pictures in the order in which it asks for them."""
SHAPE = (2, 6, 7, 3)


def given(name: str, numbers: list[float]) -> dict[str, Any]:
    """What Keras's layer would have drawn."""
    height, width = SHAPE[1:3]
    every = np.ones((SHAPE[0], 1), np.float32)
    if name == "RandomShear":
        sign = -1 if numbers[0] > 0.5 else 1
        return {"shear_factor": sign * np.concatenate([numbers[1] * every, numbers[2] * every], 1),
                "input_shape": SHAPE}
    if name == "Solarization":
        return {key: number * every[..., None, None] for key, number in zip(("additions", "thresholds"), numbers,
                                                                            strict=True)}
    start = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32)
    right, below, x, y = numbers[2:]
    end = start * np.array([[1, 1], [right, 1], [1, below], [x, y]], np.float32)
    return {"apply_perspective": np.array([numbers[0] > numbers[1]] * SHAPE[0]), "input_shape": SHAPE,
            "start_points": np.stack([start] * SHAPE[0]), "end_points": np.stack([end] * SHAPE[0])}


def main() -> None:
    """Ask Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import cases  # type: ignore[import-not-found]
    import keras

    figures = []
    for place, (name, options, numbers) in enumerate(CASES):
        x = cases.draw(f"moving/{place}", SHAPE)
        layer = getattr(keras.layers, name)(**options)
        y = np.asarray(layer.transform_images(x, given(name, numbers), training=True))
        v = cases.draw(f"moving/{place}/v", y.shape)
        figures.append([float(f"{np.linalg.norm(y):.7g}"), float(f"{(y * v).sum(dtype=np.float64):.7g}")])
    FIGURES.write_text(f'{{"peer": {{"keras": "{keras.__version__}"}}, "cases": {json.dumps(figures)}}}\n',
                       encoding="utf-8")


if __name__ == "__main__":
    main()
