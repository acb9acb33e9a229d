"""Pictures mixed at random with others of the batch in training, as Keras 3's layers of these names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import LayerSample
from engine.layers.gamma import STREAMS, beta
from engine.layers.pictures import Draws, Range, covered, factor, mixed
from engine.layers.random_color import RandomColor
from engine.options import number, option
from engine.registry import register

EPSILON = 1e-6
"""What Keras adds to CutMix's parameter."""


def partners(b: GraphBuilder, x: Value, draws: Draws) -> Value:
    """The pictures in a random order."""
    batch, *sizes = x.shape
    order = b.op("rank", b.op("reshape", draws.uniform(x, 0, 1), shape=(batch,)))
    lines = b.op("reshape", x, shape=(batch, int(np.prod(sizes))))
    return b.op("reshape", b.op("embedding", lines, order), shape=x.shape)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class MixUp(RandomColor):
    """In training, w x + (1 - w) another picture of the batch, w of the beta distribution (Zhang et al., ICLR 2018).

    As in a model of Keras only the pictures are mixed: the examples' targets stay as they are.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    alpha: float = option(number(above=0, maximum=1e6), default=0.2, doc="the distribution's parameter, twice")

    draws = STREAMS + 1
    samples = (LayerSample({}, ((3, 4, 2),), (3, 4, 2)), LayerSample({"alpha": 2, "seed": 5}, ((2, 2, 1),), (2, 2, 1)))

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        share = beta(b, x, draws, b.constant(self.alpha), x.shape[0])
        return mixed(b, partners(b, x, draws), x, share)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class CutMix(RandomColor):
    """In training, fills a rectangle of each picture with the same part of another one (Yun et al., ICCV 2019).

    Its part of the picture is 1 - w, w of the beta distribution whose parameter is drawn between the bounds of
    `factor`, for each batch. As in a model of Keras only the pictures are mixed: the examples' targets stay as they
    are.
    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    factor: Range = option(factor(0), default=(0.0, 1.0))

    draws = STREAMS + 4
    samples = (LayerSample({}, ((3, 4, 2),), (3, 4, 2)),
               LayerSample({"factor": [1, 1], "seed": 5}, ((2, 2, 1),), (2, 2, 1)))

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        alpha = b.op("scale", draws.shared(x, *self.factor), offset=EPSILON)
        share = beta(b, x, draws, alpha, x.shape[0])
        side = b.op("sqrt", b.op("scale", share, factor=-1.0, offset=1.0))
        inside = b.op("multiply", *(covered(b, x, axis, side, draws.uniform(x, 0, 1)) for axis in (1, 2)))
        return b.op("where", inside, partners(b, x, draws), x)
