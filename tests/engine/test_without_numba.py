"""Trainings as they are usual need no numba: it takes a second to come in, and longer to compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
sys.modules["numba"] = None
from engine import warm
from worker.preload import preload
preload()
warm.shared_kernels()
layers = [
    {"type": "Conv2D", "filters": 4, "kernel_size": 3, "use_bias": False}, {"type": "BatchNormalization"},
    {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu6"},
    {"type": "MaxPooling2D"}, {"type": "Dropout", "rate": 0.2}, {"type": "Flatten"},
    {"type": "Dense", "units": 8, "activation": "tanh", "kernel_regularizer": {"type": "L2"}},
    {"type": "Dense", "units": 3},
]
augmentation = [{"type": "RandomFlip"}, {"type": "RandomTranslation", "height_factor": 0.1, "width_factor": 0.1}]
for optimizer in ({"type": "Adam", "clipnorm": 1.0}, {"type": "SGD", "momentum": 0.9}, {"type": "RMSprop"}):
    warm.job_kernels({"model": {"inputs": {"x": {"shape": [12, 12, 3]}}, "layers": layers},
                      "data": {"augmentation": augmentation},
                      "training": {"batch_size": 8, "optimizer": optimizer, "metrics": ["accuracy"]}})
"""


def test_a_training_its_evaluation_and_its_model_import_no_numba():
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'client'}"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=100,
                          check=False)
    assert done.returncode == 0, done.stderr
