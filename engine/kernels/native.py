"""Compute kernels written as numba functions over the common signature `(args, begin, end)`.

    @compute_kernel
    def scale(args, begin, end):
        x = floats(args[0], (args[1],))
        ...

Compiled on first use and cached on disk. Division follows numpy (`error_model`), so that loops vectorise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import carray, cfunc, config, njit, types
from numba.extending import intrinsic

from engine.codegen.cache import cache_directory

if (directory := cache_directory()) is not None:
    # numba reads the variable when it is imported, which may have been long ago, and again when any such one changes.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(directory / "numba"))
    config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]

SIGNATURE = types.void(types.CPointer(types.int64), types.int64, types.int64)


class ComputeKernel:
    """A numba function with the kernels' signature; `address` compiles it or loads it from numba's cache."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @cached_property
    def _compiled(self) -> Any:
        try:
            return cfunc(SIGNATURE, cache=True, error_model="numpy")(self.function)
        except Exception:  # no folder to write into, or a damaged file in it; a fault of the code comes again below
            return cfunc(SIGNATURE, error_model="numpy")(self.function)

    @property
    def address(self) -> int:
        """Where the machine code stands."""
        return int(self._compiled.address)


def compute_kernel(function: Callable[..., None]) -> ComputeKernel:
    """Decorator."""
    return ComputeKernel(function)


def _pointer(element: types.Type) -> Any:
    @intrinsic
    def pointer(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(types.CPointer(element)))

        return types.CPointer(element)(types.int64), generate

    return pointer


@intrinsic
def real(context: Any, bits: Any) -> Any:
    """The double whose bits an argument holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


_float32, _float64, _int32, _int64, _uint8 = (_pointer(element) for element in
                                              (types.float32, types.float64, types.int32, types.int64, types.uint8))


@njit(inline="always")
def floats(address, shape):  # type: ignore[no-untyped-def]
    """A contiguous float32 array at an address."""
    return carray(_float32(address), shape)


@njit(inline="always")
def doubles(address, shape):  # type: ignore[no-untyped-def]
    """A contiguous float64 array at an address."""
    return carray(_float64(address), shape)


@njit(inline="always")
def ints(address, shape):  # type: ignore[no-untyped-def]
    """A contiguous int32 array at an address."""
    return carray(_int32(address), shape)


@njit(inline="always")
def longs(address, shape):  # type: ignore[no-untyped-def]
    """A contiguous int64 array at an address."""
    return carray(_int64(address), shape)


@njit(inline="always")
def octets(address, shape):  # type: ignore[no-untyped-def]
    """A contiguous uint8 array at an address."""
    return carray(_uint8(address), shape)


