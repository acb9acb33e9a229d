"""Attention of a query to the steps of a sequence, by one score for each pair of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.graph.ir import Value
from engine.initializers.constant import Ones
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.base import ArgumentMismatch, Layer, LayerSample, Net, text
from engine.layers.dropout import drop, share
from engine.layers.randomness import seed_option, stream
from engine.ops.base import ShapeMismatch
from engine.options import Reader, boolean, choice, option
from engine.registry import register

MASKED = -1e9
"""What Keras adds to the scores of steps that a mask leaves out."""


@dataclass(frozen=True, kw_only=True)
class Scored(Layer):
    """softmax(scores(query, key)) value."""

    dropout: float = option(share, default=0.0)
    seed: int | None = option(seed_option, default=None)

    arity = (2, 3)
    supports_masking = True
    arguments: ClassVar[Mapping[str, Reader]] = {"return_attention_scores": boolean, "use_causal_mask": boolean}

    def scores(self, net: Net, query: Value, key: Value) -> Value:
        """(batch, steps of the query, steps of the key)."""
        raise NotImplementedError

    def build(self, net: Net, *inputs: Value, return_attention_scores: bool = False,
              use_causal_mask: bool = False) -> Value | tuple[Value, ...]:
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        for x in inputs:
            if x.type.rank != 3:
                raise ShapeMismatch("rank 3 (batch, steps, features)", text(x.shape))
        if key.shape[2] != query.shape[2] or key.shape[1] != value.shape[1]:
            raise ArgumentMismatch(f"a key of shape (batch, {value.shape[1]}, {query.shape[2]})", text(key.shape))
        b, rate, number = net.b, self.dropout, stream(net, self.seed) if self.dropout else 0
        scores = self.scores(net, query, key)
        mask = pairs(net, None, net.mask(value))
        causal = b.constant(np.tri(*scores.shape[1:])) if use_causal_mask else None
        mask = both(net, mask, causal)
        if mask is not None:
            scores = b.op("where", mask, scores, b.op("scale", scores, offset=MASKED))
        weights = b.op("softmax", scores)
        kept = drop(net, weights, rate, weights.shape, number) if net.training and rate else weights
        output = b.op("batch_matmul", kept, value)
        own = net.mask(query)
        if own is not None:
            output = b.op("where", b.op("reshape", own, shape=(*own.shape, 1)), output, b.constant(0.0))
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, net: Net, *inputs: Value) -> tuple[Value | None, ...]:
        """The query's."""
        return (net.mask(inputs[0]),)

    @staticmethod
    def sums(net: Net, query: Value, key: Value) -> Value:
        """Every step of the query plus every step of the key, (batch, steps, steps, features)."""
        left = net.b.op("reshape", query, shape=(*query.shape[:2], 1, query.shape[2]))
        return net.b.op("add", left, net.b.op("reshape", key, shape=(key.shape[0], 1, *key.shape[1:])))


def pairs(net: Net, query: Value | None, key: Value | None) -> Value | None:
    """A mask (batch, steps of the query or 1, steps of the key or 1) from those of both."""
    rows = None if query is None else net.b.op("reshape", query, shape=(*query.shape, 1))
    columns = None if key is None else net.b.op("reshape", key, shape=(key.shape[0], 1, key.shape[1]))
    return both(net, rows, columns)


def both(net: Net, one: Value | None, other: Value | None) -> Value | None:
    """What two masks both keep."""
    if one is None or other is None:
        return other if one is None else one
    return net.b.op("multiply", one, other)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Attention(Scored):
    """Attention by scores query key^T (Luong et al., 2015), or sum(tanh(query + key)) in `score_mode` concat, scaled by
    a learned number with `use_scale`.

    Inputs: query, value, and the key if it is not the value. Input shape: (batch, steps, features) each. Output shape:
    (batch, steps of the query, features of the value); with `return_attention_scores` followed by (batch, steps of the
    query, steps of the value).
    """

    use_scale: bool = option(boolean, default=False)
    score_mode: str = option(choice("dot", "concat"), default="dot")

    samples = (LayerSample({}, ((3, 4), (5, 4)), (3, 4)),
               LayerSample({"use_scale": True, "dropout": 0.2}, ((3, 4), (5, 2), (5, 4)), (3, 2), 1),
               LayerSample({"score_mode": "concat", "use_scale": True}, ((3, 4), (5, 4)), (3, 4), 2))

    def scores(self, net: Net, query: Value, key: Value) -> Value:
        b = net.b
        scale = net.weight("scale", (), Ones()) if self.use_scale else None
        if self.score_mode == "dot":
            found = b.op("batch_matmul", query, key, transpose_b=True)
            return found if scale is None else b.op("multiply", found, scale)
        weight = net.weight("concat_score_weight", (), Ones())
        sums = self.sums(net, query, key)
        if scale is not None:
            sums = b.op("multiply", sums, scale)
        return b.op("multiply", b.op("reduce_sum", b.op("tanh", sums), axes=(3,)), weight)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AdditiveAttention(Scored):
    """Attention by scores sum(scale tanh(query + key)) (Bahdanau et al., 2015), with a learned scale for each feature.

    Inputs: query, value, and the key if it is not the value. Input shape: (batch, steps, features) each. Output shape:
    (batch, steps of the query, features of the value); with `return_attention_scores` followed by (batch, steps of the
    query, steps of the value).
    """

    use_scale: bool = option(boolean, default=True)

    samples = (LayerSample({}, ((3, 4), (5, 4)), (3, 4), 4),
               LayerSample({"use_scale": False, "dropout": 0.2}, ((3, 4), (5, 2), (5, 4)), (3, 2)))

    def scores(self, net: Net, query: Value, key: Value) -> Value:
        terms = net.b.op("tanh", self.sums(net, query, key))
        if self.use_scale:
            terms = net.b.op("multiply", terms, net.weight("scale", (query.shape[2],), GlorotUniform()))
        return net.b.op("reduce_sum", terms, axes=(3,))
