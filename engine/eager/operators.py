"""What can be written with values: operators, indexing, and the methods that numpy's arrays have.

Tensors and the symbols of a traced graph share it. Each operator is one or two ops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Protocol

import numpy as np

from engine.errors import EngineError
from engine.graph.ir import Value
from engine.ops.base import ShapeMismatch

Axes = int | Sequence[int] | None


class Misuse(ShapeMismatch, EngineError):
    """An op, or what is written as an operator, does not fit what it is given: `op: expected …, received …`."""

    def __init__(self, op: str, expected: str, received: object) -> None:
        super().__init__(expected, received)
        self.op = op
        self.args = (f"{op}: expected {expected}, received {received}",)


class Maker(Protocol):
    """What applies ops: at once, or to a graph."""

    symbolic: bool

    def call(self, op: str, *operands: Any, **attrs: Any) -> Any:
        """The op on values, arrays or numbers: its output, or a tuple of its outputs."""


class Operators(Value):
    """A value with operators. Values are compared by `equal`: `==` asks whether two are the same object."""

    @property
    def maker(self) -> Maker:
        """What applies ops to it."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.type.rank

    def _call(self, op: str, *operands: Any, **attrs: Any) -> Any:
        symbolic = (each.maker for each in operands if isinstance(each, Operators) and each.maker.symbolic)
        return next(symbolic, self.maker).call(op, *operands, **attrs)

    def __add__(self, other: Any) -> Any:
        return self._call("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._call("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._call("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._call("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._call("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._call("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._call("divide", other, self)

    def __neg__(self) -> Any:
        return self._call("negative", self)

    def __abs__(self) -> Any:
        return self._call("abs", self)

    def __pow__(self, exponent: float) -> Any:
        if isinstance(exponent, bool) or not isinstance(exponent, (int, float)):
            raise Misuse("power", "a number as the exponent", type(exponent).__name__)
        return self._call("power", self, exponent=float(exponent))

    def __gt__(self, other: Any) -> Any:
        return self._call("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._call("greater_equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return self._call("greater", other, self)

    def __le__(self, other: Any) -> Any:
        return self._call("greater_equal", other, self)

    def __matmul__(self, other: Any) -> Any:
        if not isinstance(other, Value):
            raise Misuse("matmul", "a value on either side", type(other).__name__)
        left, right = self.type.rank, other.type.rank
        if left > 2 and left == right:
            return self._call("batch_matmul", self, other)
        if left > 2 and right == 2:
            rows = self.reshape(-1, self.shape[-1])
            return rows._call("matmul", rows, other).reshape(*self.shape[:-1], other.shape[-1])
        return self._call("matmul", self, other)

    # Shapes

    def reshape(self, *shape: Any) -> Any:
        """The same elements in the same order under another shape; -1 stands for what is left over."""
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        if shape.count(-1) > 1 or any(isinstance(dim, int) and dim < -1 for dim in shape):
            raise Misuse("reshape", "sizes of at least 0, one of them -1 at most", shape)
        if -1 in shape:
            shape = self._filled(shape)
        return self._call("reshape", self, shape=shape)

    def _filled(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        have, named = list(self.shape), [dim for dim in shape if dim != -1]
        for dim in [dim for dim in named if not isinstance(dim, int)]:  # an open batch cancels out
            if dim in have:
                have.remove(dim)
                named.remove(dim)
        count = math.prod(named)
        open_ = [dim for dim in have if not isinstance(dim, int)]
        others = math.prod(dim for dim in have if isinstance(dim, int))
        if open_:
            from engine.types import times

            if count and others % count == 0:
                return tuple(times(open_[0], others // count) if dim == -1 else dim for dim in shape)
        elif count and others % count == 0:
            return tuple(others // count if dim == -1 else dim for dim in shape)
        raise Misuse("reshape", f"sizes that divide {self.type}", shape)

    def transpose(self, *axes: Any) -> Any:
        """Dimension `axes[i]` as dimension i; without axes, all in the opposite order."""
        if len(axes) == 1 and isinstance(axes[0], (tuple, list)):
            axes = tuple(axes[0])
        order = tuple(axis % max(1, self.ndim) for axis in axes) or tuple(reversed(range(self.ndim)))
        return self._call("transpose", self, permutation=order)

    @property
    def T(self) -> Any:
        """All dimensions in the opposite order."""
        return self.transpose()

    # Sums

    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The sum over some dimensions, or over all."""
        return self._reduced("reduce_sum", axis, keepdims)

    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The mean over some dimensions, or over all."""
        return self._reduced("reduce_mean", axis, keepdims)

    def max(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The largest value over some dimensions, or of all."""
        return self._reduced("reduce_max", axis, keepdims)

    def _reduced(self, op: str, axis: Axes, keepdims: bool) -> Any:
        axes = tuple(range(self.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        return self._call(op, self, axes=axes, keepdims=keepdims)

    # Parts

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise TypeError(f"expected a first dimension of known size, received {self.type}")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Numbers, ranges (with steps), `…`, None, and as the only index an array of rows' numbers."""
        if isinstance(index, (list, np.ndarray)) or (isinstance(index, Value) and index.type.rank):
            return self._rows(index)
        parts = index if isinstance(index, tuple) else (index,)
        given = sum(part is not None and part is not Ellipsis for part in parts)
        if given > self.ndim:
            raise Misuse("[]", f"at most {self.ndim} indices", given)
        found: Any = self
        shape: list[Any] = []
        axis = 0
        for part in _spelt_out(parts, self.ndim - given):
            if part is None:
                shape.append(1)
                continue
            found, kept = _part(found, axis, part)
            shape += [found.shape[axis]] if kept else []
            axis += 1
        return found if tuple(shape) == found.shape else found.reshape(*shape)

    def _rows(self, index: Any) -> Any:
        if isinstance(index, (list, np.ndarray)):
            index = np.asarray(index)
            if index.dtype.kind not in "iu" and index.size:
                raise Misuse("[]", "whole numbers", f"{index.dtype} {list(index.shape)}")
            count = len(self)
            if ((index < -count) | (index >= count)).any():
                raise IndexError(f"expected numbers from {-count} to {count - 1}, received {index.tolist()}")
            index = np.where(index < 0, index + count, index).astype(np.int32)
        table = self.reshape(len(self), -1)
        return table._call("embedding", table, index).reshape(*index.shape, *self.shape[1:])


def _spelt_out(parts: tuple[Any, ...], missing: int) -> list[Any]:
    """An index for each dimension, and the Nones between them."""
    places = [place for place, part in enumerate(parts) if isinstance(part, EllipsisType)]
    if len(places) > 1:
        raise Misuse("[]", "at most one …", f"{len(places)} of them")
    place = places[0] if places else len(parts)
    return [*parts[:place], *[slice(None)] * missing, *parts[place + 1:]]


def _part(value: Any, axis: int, part: Any) -> tuple[Any, bool]:
    """What an index leaves of a dimension, and whether the dimension itself stays."""
    size = value.shape[axis]
    if part == slice(None):
        return value, True
    if not isinstance(size, int):
        raise Misuse("[]", "all of an open batch", part)
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        places = range(start, stop, step)
        if not places:
            raise Misuse("[]", "at least one place", part)
        if step == 1:
            return value._call("slice", value, axis=axis, start=start, stop=stop), True
        taps = tuple(((place, 1.0),) for place in places)
        return value._call("resample", value, axis=axis, taps=taps), True
    if isinstance(part, bool) or not isinstance(part, (int, np.integer)):
        raise Misuse("[]", "a number, a range, … or None", type(part).__name__)
    if not -size <= part < size:
        raise IndexError(f"expected a number from {-size} to {size - 1}, received {part}")
    start = int(part) % size
    return value._call("slice", value, axis=axis, start=start, stop=start + 1), False
