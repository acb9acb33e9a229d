"""Scalar expressions as vector code: the `m` that `engine.ops.elementwise` expressions are written against.

exp, log, tanh and erf are polynomials of our own, because calls of the C library stop vectorisation. Every
multiplication and addition rounds by itself unless an fma is written: fused, eager and cached code give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import llvmlite.ir as ir

from engine.codegen.builder import F64, I1, I32, I64, Code, Index

LOG2_HIGH, LOG2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 in two parts, the first with trailing zeros (Cody and Waite)."""
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
       2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
"""Coefficients of Cephes' expf, logf and tanhf (S. Moshier, 1989)."""
ERF_SERIES = (*((-1) ** n * 2 / math.sqrt(math.pi) / (math.factorial(n) * (2 * n + 1)) for n in range(12, 0, -1)),
              2 / math.sqrt(math.pi) - 1)
"""Maclaurin series of erf(x) / x - 1 in x^2."""
ERF_TAIL = (1.6410485841e-6, -3.3005966543e-5, 3.2044830732e-4, -2.0547886379e-3, 1.0078400373e-2, -4.1576072574e-2,
            -8.4310472012e-1, -2.6389677525, -1.8496055603)
"""ln(1 - erf(x)) from 0.97 to 4 in x - 1: Chebyshev interpolation of degree 8, good to 8e-9 of erf."""


HALF_PI = (1.57079637050628662109375, -4.37113900018624283e-8, -1.71512451306e-15)
"""pi / 2 in three parts, each float32: a product of the first two with fma loses nothing (Cody and Waite)."""
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
"""Coefficients of Cephes' sinf and cosf (S. Moshier, 1989)."""


class Vector:
    """A vector of floats of the program under construction, with the operators of expressions."""

    def __init__(self, m: ScalarMath, value: ir.Value) -> None:
        self.m = m
        self.value = value

    def _emit(self, name: str, x: Any, y: Any) -> Vector:
        return Vector(self.m, getattr(self.m.code.ir, name)(self.m.vector(x).value, self.m.vector(y).value))

    def __add__(self, other: Any) -> Vector:
        return self._emit("fadd", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Vector:
        return self._emit("fsub", self, other)

    def __rsub__(self, other: Any) -> Vector:
        return self._emit("fsub", other, self)

    def __mul__(self, other: Any) -> Vector:
        return self._emit("fmul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Vector:
        return self._emit("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Vector:
        return self._emit("fdiv", other, self)

    def __neg__(self) -> Vector:
        return Vector(self.m, self.m.code.ir.fneg(self.value))

    def _compare(self, operator: str, other: Any) -> Condition:
        return Condition(self.m.code.ir.fcmp_ordered(operator, self.value, self.m.vector(other).value))

    def __lt__(self, other: Any) -> Condition:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Condition:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(">=", other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare("==", other)

    __hash__ = None  # type: ignore[assignment]


class Condition:
    """A vector of truth values, for `where`."""

    def __init__(self, value: ir.Value) -> None:
        self.value = value


class ScalarMath:
    """The functions of scalar expressions, emitting into `code`."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def vector(self, value: Any) -> Vector:
        """A number in every lane, or the vector itself."""
        return value if isinstance(value, Vector) else Vector(self, self.code.splat(float(value)))

    def where(self, condition: Condition, yes: Any, no: Any) -> Vector:
        """`yes` where the condition holds; a comparison with NaN does not hold."""
        return Vector(self, self.code.ir.select(condition.value, self.vector(yes).value, self.vector(no).value))

    def maximum(self, x: Any, y: Any) -> Vector:
        """The larger one; NaN if either is."""
        x, y = self.vector(x), self.vector(y)
        return self.where(x > y, x, self.where(Condition(self.code.ir.fcmp_unordered("uno", x.value, x.value)), x, y))

    def minimum(self, x: Any, y: Any) -> Vector:
        """The smaller one; NaN if either is."""
        x, y = self.vector(x), self.vector(y)
        return self.where(x < y, x, self.where(Condition(self.code.ir.fcmp_unordered("uno", x.value, x.value)), x, y))

    def sqrt(self, x: Vector) -> Vector:
        """Correctly rounded."""
        return Vector(self, self.code.intrinsic("sqrt", x.value))

    def floor(self, x: Any) -> Vector:
        """The largest whole number not above it."""
        return Vector(self, self.code.intrinsic("floor", self.vector(x).value))

    def abs(self, x: Vector) -> Vector:
        """The absolute value."""
        return Vector(self, self.code.intrinsic("fabs", x.value))

    def fma(self, x: Any, y: Any, z: Any) -> Vector:
        """x * y + z with one rounding."""
        return Vector(self, self.code.fma(self.vector(x).value, self.vector(y).value, self.vector(z).value))

    def polynomial(self, coefficients: tuple[float, ...], x: Vector) -> Vector:
        """Horner's rule; the first coefficient is the highest power's."""
        result = self.vector(coefficients[0])
        for coefficient in coefficients[1:]:
            result = self.fma(result, x, coefficient)
        return result

    def exp(self, x: Any) -> Vector:
        """e^x: reduced to |r| <= ln 2 / 2 by Cody and Waite, then a polynomial; 0 and infinity out of range."""
        x = self.vector(x)
        bounded = self.where(x > 88.8, 88.8, self.where(x < -104.0, -104.0, x))
        n = Vector(self, self.code.intrinsic("rint", (bounded * math.log2(math.e)).value))
        r = self.fma(n, -LOG2_LOW, self.fma(n, -LOG2_HIGH, bounded))
        y = self.fma(self.polynomial(EXP, r), r * r, r) + 1.0
        half = Vector(self, self.code.intrinsic("floor", (n * 0.5).value))
        return y * self._power_of_two(half) * self._power_of_two(n - half)

    def _power_of_two(self, n: Vector) -> Vector:
        ints = ir.VectorType(I32, self.code.lanes)
        biased = self.code.ir.add(self.code.ir.fptosi(n.value, ints), ir.Constant(ints, [127] * self.code.lanes))
        shifted = self.code.ir.shl(biased, ir.Constant(ints, [23] * self.code.lanes))
        return Vector(self, self.code.ir.bitcast(shifted, self.code.vector))

    def log(self, x: Any) -> Vector:
        """ln x: mantissa in [sqrt 1/2, sqrt 2) by a polynomial; -infinity at 0, NaN below."""
        x, code = self.vector(x), self.code
        ints = ir.VectorType(I32, code.lanes)

        def constant(value: int) -> ir.Value:
            return ir.Constant(ints, [value] * code.lanes)

        tiny = x < 1.17549435e-38
        scaled = self.where(tiny, x * 2.0**24, x)
        bits = code.ir.sub(code.ir.bitcast(scaled.value, ints), constant(0x3F3504F3))
        exponent = Vector(self, code.ir.sitofp(code.ir.ashr(bits, constant(23)), code.vector))
        exponent = self.where(tiny, exponent - 24.0, exponent)
        mantissa = code.ir.add(code.ir.and_(bits, constant(0x007FFFFF)), constant(0x3F3504F3))
        f = Vector(self, code.ir.bitcast(mantissa, code.vector)) - 1.0
        square = f * f
        tail = self.fma(exponent, LOG2_LOW, self.polynomial(LOG, f) * f * square)
        result = self.fma(exponent, LOG2_HIGH, f + self.fma(square, -0.5, tail))
        result = self.where(x < math.inf, result, x)
        return self.where(x > 0.0, result, self.where(x == 0.0, -math.inf, self.where(x < 0.0, math.nan, x)))

    def expm1(self, x: Any) -> Vector:
        """e^x - 1 without cancellation (W. Kahan): (u - 1) / ln u * x with u = e^x."""
        x = self.vector(x)
        u = self.exp(x)
        v = u - 1.0
        corrected = v / self.log(u) * x
        return self.where(u == 1.0, x, self.where(v == -1.0, v, self.where(u < math.inf, corrected, u)))

    def log1p(self, x: Any) -> Vector:
        """ln (1 + x) without cancellation (W. Kahan): ln u * (x / (u - 1)) with u = 1 + x."""
        x = self.vector(x)
        u = x + 1.0
        corrected = self.log(u) * (x / (u - 1.0))
        return self.where(u == 1.0, x, self.where(u < math.inf, corrected, u))

    def tanh(self, x: Any) -> Vector:
        """A polynomial below 0.625, 1 - 2 / (e^2x + 1) above."""
        x = self.vector(x)
        size = self.abs(x)
        square = x * x
        small = self.fma(self.polynomial(TANH, square) * square, x, x)
        large = 1.0 - 2.0 / (self.exp(size + size) + 1.0)
        return self.where(size < 0.625, small, self.where(x < 0.0, -large, large))

    def sin(self, x: Any) -> Vector:
        """The sine, of angles up to 10^4 to the last places; what is further out has few digits left."""
        return self._wave(x, 0.0)

    def cos(self, x: Any) -> Vector:
        """The cosine, of angles up to 10^4 to the last places; what is further out has few digits left."""
        return self._wave(x, 1.0)

    def _wave(self, x: Any, ahead: float) -> Vector:
        """The sine, so many quarters of a turn `ahead`: two polynomials around 0, by the quarter."""
        x = self.vector(x)
        n = Vector(self, self.code.intrinsic("rint", (x * (2 / math.pi)).value))
        r = x
        for part in HALF_PI:
            r = self.fma(n, -part, r)
        square = r * r
        sine = self.fma(self.polynomial(SIN, square) * square, r, r)
        cosine = self.fma(self.polynomial(COS, square) * square, square, self.fma(square, -0.5, 1.0))
        turns = (n + ahead) * 0.25
        quarter = (turns - Vector(self, self.code.intrinsic("floor", turns.value))) * 4.0
        odd = quarter - Vector(self, self.code.intrinsic("floor", (quarter * 0.5).value)) * 2.0
        found = self.where(odd == 1.0, cosine, sine)
        found = self.where(quarter >= 2.0, -found, found)
        return self.where(self.abs(x) < math.inf, found, math.nan)

    def sigmoid(self, x: Any) -> Vector:
        """1 / (1 + e^-|x|), or e^-|x| / (1 + e^-|x|) below 0; what rounding the sum and the quotient lost is added."""
        x = self.vector(x)
        power = self.exp(-self.abs(x))
        total = power + 1.0
        lost = power - (total - 1.0)
        share, inverse = self.where(x < 0.0, power, 1.0), 1.0 / total
        quotient = share * inverse
        rest = self.fma(-quotient, total, share) - quotient * lost
        return self.fma(rest, inverse, quotient)

    def softplus(self, x: Any) -> Vector:
        """ln (1 + e^x), without overflow."""
        x = self.vector(x)
        return self.maximum(x, 0.0) + self.log1p(self.exp(-self.abs(x)))

    def erf(self, x: Any) -> Vector:
        """The error function: its series below 1, 1 - e^polynomial above, which is 1 from 4 on."""
        x = self.vector(x)
        size = self.abs(x)
        square = x * x
        small = self.fma(x, self.polynomial(ERF_SERIES, self.where(square < 1.0, square, 1.0)), x)
        large = 1.0 - self.exp(self.polynomial(ERF_TAIL, self.where(size < 4.0, size, 4.0) - 1.0))
        large = self.where(size < math.inf, large, self.where(size > 4.0, 1.0, size))
        return self.where(size < 1.0, small, self.where(x < 0.0, -large, large))


class DoubleMath(ScalarMath):
    """The same expressions on single numbers in double precision: what a kernel computes once for all elements."""

    def vector(self, value: Any) -> Vector:
        """A number, as it is or known now."""
        return value if isinstance(value, Vector) else Vector(self, ir.Constant(F64, float(value)))

    def sqrt(self, x: Any) -> Vector:
        """Correctly rounded."""
        value = self.vector(x).value
        return Vector(self, self.code.call("llvm.sqrt.f64", F64, [value]))

    def floor(self, x: Any) -> Vector:
        """The largest whole number not above it."""
        return Vector(self, self.code.call("llvm.floor.f64", F64, [self.vector(x).value]))

    def power(self, base: Any, exponent: Any) -> Vector:
        """`base` to a whole number not below 0, by squaring."""
        code = self.code
        rest = code.ir.fptosi(self.vector(exponent).value, I64)
        zeros = code.call("llvm.ctlz.i64", I64, [rest, ir.Constant(I1, False)])
        start = [ir.Constant(F64, 1.0), self.vector(base).value, rest]
        with code.loop(0, code.index(64) - Index(code, zeros), carry=start) as bit:
            result, square, left = bit.values
            odd = code.ir.trunc(left, I1)
            bit.carry = [code.ir.select(odd, code.ir.fmul(result, square), result), code.ir.fmul(square, square),
                         code.ir.lshr(left, ir.Constant(I64, 1))]
        return Vector(self, bit.values[0])
