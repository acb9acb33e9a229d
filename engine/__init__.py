"""Stoker's deep-learning engine: definition -> graph -> autodiff -> passes -> plan -> runtime.

This package's face needs neither numba nor llvmlite; compute kernels load when a plan is bound.
"""

ENGINE_VERSION = "1"
WEIGHT_FORMATS = ("safetensors", "npz")
