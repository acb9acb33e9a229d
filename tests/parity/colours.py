"""Random changes of colour whose bounds leave nothing to chance, against Keras: `make parity` runs it there.

    python tests/parity/colours.py

writes lengths and products of what Keras's layers give in training into figures/colours.json for `test_colours.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

FIGURES = Path(__file__).parent / "figures" / "colours.json"
UNIT = {"value_range": [0, 1]}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("RandomBrightness", {"factor": [0.25, 0.25], **UNIT}), ("RandomBrightness", {"factor": [-0.002, -0.002]}),
    ("RandomContrast", {"factor": [0, 0], **UNIT}), ("RandomGrayscale", {"factor": 1}),
    ("RandomColorDegeneration", {"factor": [0.7, 0.7], **UNIT}),
    ("RandomSaturation", {"factor": [0.3, 0.3], **UNIT}), ("RandomSaturation", {"factor": [0.7, 0.7], **UNIT}),
    ("RandomSaturation", {"factor": [-0.4, -0.4], **UNIT}), ("RandomHue", {"factor": [0, 0], **UNIT}),
    ("RandomHue", {"factor": [1, 1], **UNIT}), ("RandomSharpness", {"factor": [0.1, 0.1], **UNIT}),
    ("RandomSharpness", {"factor": [0.9, 0.9], **UNIT}), ("RandomInvert", {"factor": [1, 1], **UNIT}),
    ("RandomColorJitter", {"brightness_factor": [0.1, 0.1], "saturation_factor": [0.6, 0.6], "hue_factor": [1, 1],
                           **UNIT}),
    *(("RandomRotation", {"factor": [part, part], "fill_mode": fill, "interpolation": how, "fill_value": 0.3})
      for part in (-0.15, 0.07, 0.45) for fill, how in (("reflect", "bilinear"), ("constant", "nearest"),
                                                        ("wrap", "bilinear"), ("nearest", "nearest"))),
    *(("RandomZoom", {"height_factor": [down, down], "width_factor": across, "fill_mode": fill, "fill_value": 0.3})
      for down, across in ((-0.37, None), (0.83, [0.2, 0.2]), (0.41, [-0.6, -0.6]))
      for fill in ("reflect", "constant", "wrap", "nearest")),
    *(("RandomTranslation", {"height_factor": [down, down], "width_factor": [0.21, 0.21], "fill_mode": fill})
      for down in (-0.37, 0.6) for fill in ("reflect", "constant", "wrap", "nearest")),
    ("Solarization", UNIT), ("RandomPosterization", {"factor": [3, 3], **UNIT}), ("RandomPosterization", {"factor": 1}),
    ("AutoContrast", UNIT), ("AutoContrast", {"value_range": [-3, 2]}), ("Equalization", UNIT),
    ("Equalization", {"bins": 9, **UNIT}), ("Equalization", {"value_range": [-1, 2], "bins": 40}),
    ("RandomGaussianBlur", {"factor": [1, 1], "kernel_size": [3, 5], "sigma": [0.7, 0.7], **UNIT}),
    ("RandomGaussianBlur", {"factor": [1, 1], "kernel_size": [5, 1], "sigma": [0.9, 0.9], **UNIT}),
    *(("ContrastLimitedAdaptiveHistogramEqualization", {"clip_limit": limit, "tile_grid_size": grid, **UNIT})
      for limit, grid in ((4.0, [2, 3]), (0, [2, 2]), (40.0, [3, 4]), (20.0, [1, 1]))),
    ("RandomGaussianBlur", {"factor": [1, 1], "sigma": [0, 0], "value_range": [0.2, 0.6]}),
]
SHAPE = (3, 5, 6, 3)


def picture(x: np.ndarray) -> np.ndarray:
    """Of numbers in [0, 1) one with grey and black parts."""
    x[0, 0, :3] = x[0, 0, :3, :1]
    x[1, 1] = 0
    return x


def main() -> None:
    """Ask Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import cases  # type: ignore[import-not-found]
    import keras

    figures = []
    for place, (name, options) in enumerate(CASES):
        y = np.asarray(getattr(keras.layers, name)(**options)(
            picture(cases.draw(f"colours/{place}", SHAPE, 0, 1)), training=True))
        v = cases.draw(f"colours/{place}/v", y.shape)
        figures.append([float(f"{np.linalg.norm(y):.7g}"), float(f"{(y * v).sum(dtype=np.float64):.7g}")])
    FIGURES.write_text(f'{{"peer": {{"keras": "{keras.__version__}"}}, "cases": {json.dumps(figures)}}}\n',
                       encoding="utf-8")


if __name__ == "__main__":
    main()
