"""Activation functions: each an expression and the expression of its derivative, as Keras 3 defines them.

NaN stays NaN in all of them (`relu(NaN)` is NaN, as in Keras).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from engine.graph.ir import GraphBuilder, Node
from engine.ops.base import Gradients, Sample
from engine.ops.elementwise import ONE, Elementwise, op

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _activation(name: str, expression: Callable[..., Any], derivative: Callable[..., Any], *, uses: str,
                attrs: dict[str, Any] | None = None, cost: int = 1) -> None:
    """Declare `name` and `name_grad`. `derivative(m, value, g)` takes the input (uses="x") or the output (uses="y")."""
    given = attrs or {}
    amount = cost

    class Activation(Elementwise):
        samples = tuple(Sample(sample.shapes, given) for sample in ONE)
        cost = amount

        def vjp(self, b: GraphBuilder, node: Node, grads: Gradients) -> Gradients:
            (g,) = grads
            assert g is not None
            return (b.op(f"{name}_grad", node.inputs[0] if uses == "x" else node.outputs[0], g, **node.attrs),)

    class Derivative(Elementwise):
        samples = (Sample(((3, 17), (3, 17)), given, differentiable=()),)
        cost = amount + 1
        overwrites: ClassVar[Mapping[int, int]] = {0: 1}

    for cls, made, known in ((Activation, expression, name), (Derivative, derivative, f"{name}_grad")):
        cls.expression = staticmethod(made)  # type: ignore[method-assign]
        cls.__name__ = cls.__qualname__ = known
        op(known)(cls)


def _gelu_grad(m: Any, x: Any, g: Any, *, approximate: bool = False) -> Any:
    if approximate:
        inner = m.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        slope = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * x * x)
        return g * (0.5 * (1.0 + inner) + 0.5 * x * (1.0 - inner * inner) * slope)
    cumulative = 0.5 * (1.0 + m.erf(x * math.sqrt(0.5)))
    return g * (cumulative + x * (m.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))))


def _gelu(m: Any, x: Any, *, approximate: bool = False) -> Any:
    if approximate:
        return 0.5 * x * (1.0 + m.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + m.erf(x * math.sqrt(0.5)))


def _silu_grad(m: Any, x: Any, g: Any) -> Any:
    s = m.sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


_activation("relu", lambda m, x: m.where(x <= 0.0, 0.0, x), lambda m, y, g: m.where(y > 0.0, g, 0.0), uses="y")
_activation("relu6", lambda m, x: m.where(x <= 0.0, 0.0, m.where(x >= 6.0, 6.0, x)),
            lambda m, y, g: m.where(y > 0.0, m.where(y < 6.0, g, 0.0), 0.0), uses="y")
_activation("leaky_relu", lambda m, x, *, negative_slope=0.2: m.where(x < 0.0, x * negative_slope, x),
            lambda m, x, g, *, negative_slope=0.2: m.where(x > 0.0, g, g * negative_slope), uses="x",
            attrs={"negative_slope": 0.3})
_activation("elu", lambda m, x, *, alpha=1.0: m.where(x < 0.0, alpha * m.expm1(x), x),
            lambda m, y, g, *, alpha=1.0: m.where(y < 0.0, g * (y + alpha), g), uses="y", attrs={"alpha": 0.7}, cost=12)
_activation("selu", lambda m, x: m.where(x < 0.0, (SELU_SCALE * SELU_ALPHA) * m.expm1(x), SELU_SCALE * x),
            lambda m, y, g: m.where(y < 0.0, g * (y + SELU_SCALE * SELU_ALPHA), g * SELU_SCALE), uses="y", cost=12)
_activation("gelu", _gelu, _gelu_grad, uses="x", attrs={"approximate": False}, cost=20)
_activation("silu", lambda m, x: x * m.sigmoid(x), _silu_grad, uses="x", cost=12)
_activation("sigmoid", lambda m, x: m.sigmoid(x), lambda m, y, g: g * (y * (1.0 - y)), uses="y", cost=12)
_activation("tanh", lambda m, x: m.tanh(x), lambda m, y, g: g * (1.0 - y * y), uses="y", cost=12)
_activation("softplus", lambda m, x: m.softplus(x), lambda m, x, g: g * m.sigmoid(x), uses="x", cost=20)
