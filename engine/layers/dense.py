"""The fully connected layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.constraints.base import Constraint
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import LayerSample, Net, text
from engine.layers.weighted import Weighted, constraint, initializer, regularizer
from engine.ops.base import ShapeMismatch
from engine.options import integer, only, option
from engine.registry import register
from engine.regularizers.base import Regularizer
from engine.types import times


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Dense(Weighted):
    """activation(x · kernel + bias) over the last dimension.

    Input shape: (batch, …, features). Output shape: (batch, …, units).
    """

    units: int = option(integer(minimum=1))
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)
    quantization_config: Any = option(only(None, "quantization is not supported"), default=None)

    supports_masking = True
    size_option = "units"
    samples = (
        LayerSample({"units": 10}, ((7,),), (10,), 80),
        LayerSample({"units": 3, "use_bias": False, "activation": "relu"}, ((4, 5),), (4, 3), 15),
        LayerSample({"units": 2, "kernel_regularizer": "l2", "activity_regularizer": {"type": "L1", "l1": 0.1}},
                    ((2, 3, 4),), (2, 3, 2), 10),
    )

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        if x.type.rank < 2:
            raise ShapeMismatch("rank 2 or more (batch, …, features)", text(x.shape))
        batch, *middle, features = x.shape
        kernel = net.weight("kernel", (features, self.units), self.kernel_initializer,
                            regularizer=self.kernel_regularizer)
        if middle:
            x = net.b.op("reshape", x, shape=(times(batch, math.prod(middle)), features))
        return self.finish(net, net.b.op("matmul", x, kernel), self.units, (batch, *middle, self.units))
