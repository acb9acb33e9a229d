"""Scalar expressions (`engine.expressions`) as ONNX nodes: every elementwise op is written by what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.onnx.graph import OnnxGraph


@dataclass(frozen=True, eq=False)
class Expression:
    """A value under an expression's operators. Comparisons give booleans, which only `where` takes."""

    m: OnnxMath
    name: str

    def _with(self, operator: str, other: Any) -> Expression:
        return self.m.apply(operator, self, other)

    def __add__(self, other: Any) -> Expression:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> Expression:
        return self._with("Sub", other)

    def __mul__(self, other: Any) -> Expression:
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> Expression:
        return self._with("Div", other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Expression:
        return self.m.apply("Sub", other, self)

    def __rtruediv__(self, other: Any) -> Expression:
        return self.m.apply("Div", other, self)

    def __neg__(self) -> Expression:
        return self.m.apply("Neg", self)

    def __lt__(self, other: Any) -> Expression:
        return self._with("Less", other)

    def __le__(self, other: Any) -> Expression:
        return self._with("LessOrEqual", other)

    def __gt__(self, other: Any) -> Expression:
        return self._with("Greater", other)

    def __ge__(self, other: Any) -> Expression:
        return self._with("GreaterOrEqual", other)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("Equal", other)


class OnnxMath:
    """The functions of scalar expressions; numbers become constants of float32."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph

    def apply(self, operator: str, *values: Any) -> Expression:
        """An operator on values and numbers."""
        names = [value.name if isinstance(value, Expression) else self.graph.constant(value) for value in values]
        return Expression(self, self.graph.node(operator, *names))

    def where(self, condition: Expression, yes: Any, no: Any) -> Expression:
        return self.apply("Where", condition, yes, no)

    def maximum(self, x: Any, y: Any) -> Expression:
        return self.apply("Max", x, y)

    def minimum(self, x: Any, y: Any) -> Expression:
        return self.apply("Min", x, y)

    def exp(self, x: Any) -> Expression:
        return self.apply("Exp", x)

    def log(self, x: Any) -> Expression:
        return self.apply("Log", x)

    def expm1(self, x: Any) -> Expression:
        return self.exp(x) - 1.0

    def log1p(self, x: Any) -> Expression:
        return self.log(x + 1.0)

    def sqrt(self, x: Any) -> Expression:
        return self.apply("Sqrt", x)

    def abs(self, x: Any) -> Expression:
        return self.apply("Abs", x)

    def tanh(self, x: Any) -> Expression:
        return self.apply("Tanh", x)

    def erf(self, x: Any) -> Expression:
        return self.apply("Erf", x)

    def sigmoid(self, x: Any) -> Expression:
        return self.apply("Sigmoid", x)

    def softplus(self, x: Any) -> Expression:
        return self.apply("Softplus", x)

    def __getattr__(self, name: str) -> Any:
        """The others by ONNX's operator of the same name: floor, ceil, round, sin, cos, atan …"""
        return lambda x: self.apply(name.capitalize(), x)
