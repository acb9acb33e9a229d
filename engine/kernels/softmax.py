"""Softmax and cross-entropy over rows of classes, a vector of them at a time.

    for row:
        largest = max(x)
        y = exp(x - largest); total = sum(y), in double precision
        y = y / total
        loss = ln(total) - (x[label] - largest)

The largest class adds exactly 1 to the total, so ln(total) is ln(1 + rest): a loss near 0 loses no digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod

import llvmlite.ir as ir

from engine.codegen.builder import F64, Code, Index, Loop
from engine.codegen.host import host
from engine.codegen.objects import compiled
from engine.codegen.scalar import ScalarMath, Vector
from engine.kernels.call import Buffer, Call, call
from engine.lowering.request import KernelRequest

CHUNK = 1024
"""Elements to aim at in one chunk: each takes an exp."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    kernels = {"forward": forward, "grad": grad, "sparse_cross_entropy": sparse_cross_entropy,
               "sparse_cross_entropy_grad": sparse_cross_entropy_grad, "cross_entropy": cross_entropy,
               "cross_entropy_grad": cross_entropy_grad}
    classes = reads[0].shape[-1]
    count = prod(reads[0].shape[:-1])
    per_chunk = max(1, CHUNK // classes)
    addresses = [buffer.address for buffer in (*reads, *writes)]
    return [call(kernels[request.function](), [count, classes, per_chunk, *addresses], -(-count // per_chunk),
                 f"softmax {request.function}")]


class Rows:
    """A kernel over rows. args: rows, classes, rows a chunk, then the addresses of the values."""

    def __init__(self, name: str) -> None:
        self.code = Code(name, host().lanes)
        self.m = ScalarMath(self.code)
        self.doubles = ir.VectorType(F64, self.code.lanes)
        self.classes = self.code.arg(1)

    @contextmanager
    def each(self) -> Iterator[Index]:
        """`for row:`"""
        per_chunk = self.code.arg(2)
        stop = (self.code.end * per_chunk).minimum(self.code.arg(0))
        with self.code.loop(self.code.begin * per_chunk, stop) as row:
            yield row.index

    def value(self, number: int, at: Index, dtype: str = "float32") -> ir.Value:
        """The address of element `at` of a value."""
        return self.code.at(self.code.pointer(3 + number), at, dtype)

    @contextmanager
    def columns(self, *carry: ir.Value) -> Iterator[tuple[Loop, ir.Value]]:
        """`for column:`, with the mask of the classes that there are."""
        with self.code.loop(0, self.classes, self.code.lanes, carry) as column:
            yield column, self.code.mask(self.classes - column.index)

    def load(self, row: ir.Value, column: Loop, mask: ir.Value, otherwise: float = 0.0) -> Vector:
        """Some columns of a row."""
        return Vector(self.m, self.code.load(self.code.at(row, column.index), mask=mask, otherwise=otherwise))

    def store(self, value: Vector, row: ir.Value, column: Loop, mask: ir.Value) -> None:
        """Write some columns of a row."""
        self.code.store(value.value, self.code.at(row, column.index), mask=mask)

    def double(self, value: Vector) -> ir.Value:
        """In double precision."""
        return self.code.ir.fpext(value.value, self.doubles)

    def single(self, value: ir.Value) -> Vector:
        """Rounded to float32."""
        return Vector(self.m, self.code.ir.fptrunc(value, self.code.vector))

    def sum(self, terms: Callable[[Loop, ir.Value], ir.Value]) -> ir.Value:
        """The sum of a row's terms, all double, in every lane."""
        with self.columns(ir.Constant(self.doubles, [0.0] * self.code.lanes)) as (column, mask):
            column.carry = [self.code.ir.fadd(column.values[0], terms(column, mask))]
        return self.code.across(column.values[0], self.code.ir.fadd)

    def exponentials(self, x: ir.Value, y: ir.Value) -> tuple[Vector, Vector, Vector]:
        """y = exp(x - largest); the largest, the total and its logarithm."""
        m, code = self.m, self.code
        with self.columns(code.splat(-math.inf)) as (column, mask):
            higher = m.maximum(Vector(m, column.values[0]), self.load(x, column, mask, -math.inf))
            column.carry = [higher.value]
        largest = Vector(m, code.across(column.values[0], lambda a, b: m.maximum(Vector(m, a), Vector(m, b)).value))

        def exponential(column: Loop, mask: ir.Value) -> ir.Value:
            value = m.exp(self.load(x, column, mask, -math.inf) - largest)
            self.store(value, y, column, mask)
            return self.double(value)

        total = self.sum(exponential)
        rest = self.single(code.ir.fsub(total, ir.Constant(self.doubles, [1.0] * code.lanes)))
        return largest, self.single(total), m.log1p(rest)

    def divide(self, y: ir.Value, total: Vector) -> None:
        """y = y / total"""
        with self.columns() as (column, mask):
            self.store(self.load(y, column, mask) / total, y, column, mask)


@compiled
def forward() -> str:
    """Values: x, y."""
    rows = Rows("softmax")
    with rows.each() as row:
        x, y = (rows.value(number, row * rows.classes) for number in range(2))
        _, total, _ = rows.exponentials(x, y)
        rows.divide(y, total)
    return rows.code.finish()


@compiled
def grad() -> str:
    """dx = y * (g - sum(y * g)). Values: y, g, dx."""
    rows = Rows("softmax_grad")
    code = rows.code
    with rows.each() as row:
        y, g, dx = (rows.value(number, row * rows.classes) for number in range(3))
        total = rows.sum(lambda column, mask: code.ir.fmul(rows.double(rows.load(y, column, mask)),
                                                           rows.double(rows.load(g, column, mask))))
        with rows.columns() as (column, mask):
            apart = rows.single(code.ir.fsub(rows.double(rows.load(g, column, mask)), total))
            rows.store(rows.load(y, column, mask) * apart, dx, column, mask)
    return code.finish()


@compiled
def sparse_cross_entropy() -> str:
    """NaN where the label is no class. Values: logits, labels, loss, probabilities."""
    rows = Rows("sparse_cross_entropy")
    code, m = rows.code, rows.m
    with rows.each() as row:
        x, y = rows.value(0, row * rows.classes), rows.value(3, row * rows.classes)
        largest, total, logarithm = rows.exponentials(x, y)
        rows.divide(y, total)
        label, known = _label(rows, row, 1)
        own = Vector(m, code.splat(code.load_scalar(code.at(x, label))))
        loss = code.first((logarithm - (own - largest)).value)
        loss = code.ir.select(known, loss, ir.Constant(loss.type, math.nan))
        code.store_scalar(loss, rows.value(2, row))
    return code.finish()


@compiled
def sparse_cross_entropy_grad() -> str:
    """dx = (probability - (1 at the label)) * g. Values: probabilities, labels, g, dx."""
    rows = Rows("sparse_cross_entropy_grad")
    code, m = rows.code, rows.m
    with rows.each() as row:
        y, dx = rows.value(0, row * rows.classes), rows.value(3, row * rows.classes)
        g = Vector(m, code.splat(code.load_scalar(rows.value(2, row))))
        with rows.columns() as (column, mask):
            rows.store(rows.load(y, column, mask) * g, dx, column, mask)
        label, _ = _label(rows, row, 1)
        own = Vector(m, code.splat(code.load_scalar(code.at(y, label))))
        code.store_scalar(code.first(((own - 1.0) * g).value), code.at(dx, label))
    return code.finish()


def _label(rows: Rows, row: Index, number: int) -> tuple[Index, ir.Value]:
    """A row's label, brought into the range of the classes, and whether it was in it."""
    code = rows.code
    label = Index(code, code.ir.sext(code.load_scalar(rows.value(number, row, "int32"), "int32"), row.value.type))
    known = code.ir.and_(label.compare(">=", 0), label.compare("<", rows.classes))
    return label.maximum(0).minimum(rows.classes - 1), known


@compiled
def cross_entropy() -> str:
    """loss = sum(target * (ln(total) - (x - largest))). Values: logits, target, loss, probabilities."""
    rows = Rows("cross_entropy")
    code = rows.code
    with rows.each() as row:
        x, target, y = (rows.value(number, row * rows.classes) for number in (0, 1, 3))
        largest, total, logarithm = rows.exponentials(x, y)
        rows.divide(y, total)
        loss = rows.sum(lambda column, mask: code.ir.fmul(
            rows.double(rows.load(target, column, mask)),
            rows.double(logarithm - (rows.load(x, column, mask) - largest))))
        code.store_scalar(code.first(rows.single(loss).value), rows.value(2, row))
    return code.finish()


@compiled
def cross_entropy_grad() -> str:
    """dx = (probability * sum(target) - target) * g. Values: probabilities, target, g, dx."""
    rows = Rows("cross_entropy_grad")
    code, m = rows.code, rows.m
    with rows.each() as row:
        y, target, dx = (rows.value(number, row * rows.classes) for number in (0, 1, 3))
        total = rows.single(rows.sum(lambda column, mask: rows.double(rows.load(target, column, mask))))
        g = Vector(m, code.splat(code.load_scalar(rows.value(2, row))))
        with rows.columns() as (column, mask):
            apart = m.fma(rows.load(y, column, mask), total, -rows.load(target, column, mask))
            rows.store(apart * g, dx, column, mask)
    return code.finish()
