"""The functions of scalar expressions over the whole of float32, against numpy in float64."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.codegen.host import host
from engine.expressions import EXPRESSIONS
from engine.kernels import elementwise
from engine.kernels.call import Buffer
from engine.ops import numpy_math
from tests.engine.lowered import WHOLE, perform

STRIDE = 4093
"""Every so-many-th bit pattern: a million of them, of every sign, exponent and kind of mantissa."""
TINY = 1.1754945e-38
"""Below the least normal number all that is promised is a number as small."""
SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        1e-45,
        -1e-45,
        1.17549435e-38,
        3.4028235e38,
        -3.4028235e38,
        88.72283,
        88.72284,
        -87.33655,
        -103.97,
        -104.0,
        0.5,
        2.0,
        math.e,
        0.625,
        0.9999999,
        1.0000001,
    ],
    "float32",
)

BOUNDS = {
    "exp": 1.0,
    "log": 0.85,
    "tanh": 1.3,
    "sigmoid": 1.5,
    "softplus": 2.75,
    "erf": 1.2,
    "expm1": 2.75,
    "log1p": 2.5,
    "sqrt": 0.0,
    "floor": 0.0,
    "abs": 0.0,
    "sin": 1.75,
    "cos": 1.75,
}
"""Units in the last place, beyond the float32 nearest to the exact result."""


ANGLES = 1e4
"""Up to which sine and cosine keep what is promised."""


def every_kind_of_float() -> np.ndarray:
    bits = np.arange(0, 2**32, STRIDE, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = np.linspace(-20, 20, 200_001).astype("float32")
    return np.concatenate([bits, near, SPECIAL])


def apply(monkeypatch: Any, name: str, x: np.ndarray) -> np.ndarray:
    """The compute kernel of one function of `m`."""
    monkeypatch.setitem(EXPRESSIONS, f"only {name}", lambda m, value: getattr(m, name)(value))
    out = np.full_like(x, 7.0)
    buffers = [Buffer(array.ctypes.data, array.shape, "float32") for array in (x, out)]
    perform([elementwise.chain(((f"only {name}", (0,), ()),), buffers[:1], buffers[1])], WHOLE)
    return out


def wanted(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(function(x.astype("float64")))


def ulps(received: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units of the last place of the exact result; 0 where both are NaN or the same infinity."""
    with np.errstate(all="ignore"):
        rounded = exact.astype("float32")
        unit = np.spacing(np.abs(rounded)).astype("float64")
        distance = np.abs(received.astype("float64") - exact) / unit
        flushed = (np.abs(exact) < TINY) & (np.abs(received) <= TINY)
        same = flushed | (received == rounded) | (np.isnan(received) & np.isnan(rounded))
        return np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))


@pytest.mark.parametrize("name", BOUNDS)
def test_error_over_the_whole_range(monkeypatch, name):
    x = every_kind_of_float()
    if name in ("sin", "cos"):
        x = x[~(np.abs(x) > ANGLES)]
    distance = ulps(apply(monkeypatch, name, x), wanted(getattr(numpy_math, name), x))
    worst = distance.argmax()
    assert distance[worst] <= BOUNDS[name], (
        f"{name}({x[worst]!r}): off by {distance[worst]:.2f} units in the last place"
    )


NARROW = """
import pytest
from tests.engine.codegen import test_scalar
for name in test_scalar.BOUNDS:
    with pytest.MonkeyPatch.context() as patch:
        test_scalar.test_error_over_the_whole_range(patch, name)
"""


@pytest.mark.parametrize("lanes", [8, 4])
def test_error_on_narrower_vectors(lanes):
    """As on a processor without AVX-512, and without AVX."""
    if host().lanes <= lanes:
        pytest.skip(f"this processor's vectors have {host().lanes} lanes")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "STOKER_KERNEL_LANES": str(lanes), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", NARROW], cwd=root, env=environment, capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins_on_either_side(monkeypatch, name):
    monkeypatch.setitem(EXPRESSIONS, f"only {name}", lambda m, x, y: getattr(m, name)(x, y))
    x, y = (
        grid.ravel().astype("float32")
        for grid in np.meshgrid([np.nan, -np.inf, -1, 0, 2, np.inf], [np.nan, -1, 0, np.inf])
    )
    out = np.empty_like(x)
    buffers = [Buffer(array.ctypes.data, array.shape, "float32") for array in (x, y, out)]
    perform([elementwise.chain(((f"only {name}", (0, 1), ()),), buffers[:2], buffers[2])], WHOLE)
    np.testing.assert_array_equal(out, getattr(np, name)(x, y))


def test_every_function_but_where_and_its_parts_is_tested():
    from engine.codegen.scalar import ScalarMath

    functions = {name for name in vars(ScalarMath) if not name.startswith("_")}
    assert functions - set(BOUNDS) == {"vector", "where", "maximum", "minimum", "fma", "polynomial"}
