"""The functions of scalar expressions on numpy arrays: the reference, in whatever precision the arrays have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

exp = np.exp
log = np.log
expm1 = np.expm1
log1p = np.log1p
sqrt = np.sqrt
floor = np.floor
abs = np.abs
tanh = np.tanh
sin = np.sin
cos = np.cos
maximum = np.maximum
minimum = np.minimum
power = np.power

_erf = np.vectorize(math.erf, otypes=[np.float64])


def where(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, keeping the dtype of the arrays among the two."""
    dtype = next((side.dtype for side in (yes, no) if isinstance(side, np.ndarray)), np.dtype("float32"))
    return np.where(condition, yes, no).astype(dtype)


def erf(x: Any) -> Any:
    """The error function, by the C library in double precision."""
    return _erf(x).astype(np.asarray(x).dtype)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
