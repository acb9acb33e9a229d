"""Define by run: ops are computed as they are called, a tape remembers them, `loss.backward()` goes back over it.

    from engine import eager

    dense, loss = eager.layer("Dense", units=1), eager.loss("MeanSquaredError")
    adam = eager.optimizer("Adam")
    y = dense(eager.tensor(x))
    loss(target, y).backward()
    adam.step(dense.parameters)

Every registered op is a function of this module: `eager.conv2d(x, kernel, strides=(1, 1), …)`. The ops, their
derivatives and their compute kernels are those of compiled plans, so the bits are the same. See docs/eager.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.eager import functions, tape
from engine.eager.inspection import Ran, Trace, check_numerics, trace
from engine.eager.layers import BuiltLayer, BuiltLoss, layer, loss, parameters
from engine.eager.once import Cached, cached, use_threads
from engine.eager.operators import Misuse, Operators
from engine.eager.optimizers import BuiltOptimizer, optimizer
from engine.eager.settings import no_grad, numerics, seed, training
from engine.eager.tensor import Tensor, parameter, tensor
from engine.ops.base import find

__all__ = ["BuiltLayer", "BuiltLoss", "BuiltOptimizer", "Cached", "Misuse", "Ran", "Tensor", "Trace", "cached",
           "check_numerics", "gradients", "layer", "loss", "no_grad", "numerics", "optimizer", "parameter",
           "parameters", "seed", "tensor", "trace", "training", "use_threads"]


def gradients(loss: Any, wanted: Sequence[Any], *, again: bool = False) -> list[Any]:
    """d loss / d value for each wanted value: tensors now, or in a traced graph the values that compute them.

    With `again` the gradients are on the tape too. Zeros for a value that the loss does not depend on.
    """
    if isinstance(loss, Operators) and loss.maker.symbolic:
        return loss.maker.gradients(loss, wanted)  # type: ignore[attr-defined, no-any-return]
    return tape.gradients(loss, wanted, again=again)


def __getattr__(name: str) -> Any:
    try:
        return functions.function(name) if not name.startswith("_") and not find(name).run_only else _missing(name)
    except KeyError:
        return _missing(name)


def _missing(name: str) -> Any:
    raise AttributeError(f"module 'engine.eager' has no attribute {name!r}, and no op is called so")


def __dir__() -> list[str]:
    return sorted({*globals(), *functions.names()})
