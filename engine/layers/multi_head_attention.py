"""Attention by several heads, each with projections of its own."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.cells.base import project
from engine.constraints.base import Constraint
from engine.errors import pointer_to
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.initializers.constant import Zeros
from engine.initializers.variance_scaling import GlorotUniform
from engine.layers.attention import both, pairs
from engine.layers.base import ArgumentMismatch, Layer, LayerSample, Net, OptionMismatch, text
from engine.layers.dropout import drop, share
from engine.layers.randomness import seed_option, stream
from engine.layers.weighted import constraint, initializer, regularizer
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, Reader, boolean, either, integer, only, option, optional, sequence
from engine.registry import register
from engine.regularizers.base import Regularizer

LOWEST = -1e9
"""What takes the place of the scores of steps that a mask leaves out."""
size = integer(minimum=1, maximum=65_536)


@dataclass(frozen=True, kw_only=True)
class Heads(Layer):
    """What the layers share: projections, masks, softmax."""

    dropout: float = option(share, default=0.0)
    use_bias: bool = option(boolean, default=True)
    sliding_window: int | None = option(optional(integer(minimum=1)), default=None)
    kernel_initializer: Initializer = option(initializer, default=GlorotUniform())
    bias_initializer: Initializer = option(initializer, default=Zeros())
    kernel_regularizer: Regularizer | None = option(regularizer, default=None)
    bias_regularizer: Regularizer | None = option(regularizer, default=None)
    activity_regularizer: None = option(only(None, "it is not supported inside of attention"), default=None)
    kernel_constraint: Constraint | None = option(constraint, default=None)
    bias_constraint: Constraint | None = option(constraint, default=None)
    use_gate: bool = option(boolean, default=False)
    seed: int | None = option(seed_option, default=None)

    arity = (2, 3)
    positions = ("query", "value", "key")
    keywords = ("attention_mask",)
    arguments: ClassVar[Mapping[str, Reader]] = {"return_attention_scores": boolean, "use_causal_mask": boolean}
    supports_masking = True

    @abstractmethod
    def sizes(self) -> dict[str, tuple[int, int]]:
        """(heads, features of each) of query, key and value."""

    def project(self, net: Net, part: str, x: Value, shape: tuple[int, ...], *, ends: int = 1) -> Value:
        """x by a kernel over its last `ends` dimensions, to the dimensions `shape`, and a bias."""
        lead, last = x.shape[:-ends], x.shape[-ends:]
        with net.part(part, self):
            kernel = net.weight("kernel", (*last, *shape), self.kernel_initializer, regularizer=self.kernel_regularizer)
            bias = net.weight("bias", shape, self.bias_initializer,
                              regularizer=self.bias_regularizer) if self.use_bias else None
        flat = net.b.op("reshape", kernel, shape=(math.prod(last), math.prod(shape)))
        if bias is not None and len(shape) > 1:
            bias = net.b.op("reshape", bias, shape=(math.prod(shape),))
        if ends > 1:
            x = net.b.op("reshape", x, shape=(*lead, math.prod(last)))
        y = project(net, x, flat, bias)
        return y if len(shape) == 1 else net.b.op("reshape", y, shape=(*lead, *shape))

    def pair_mask(self, net: Net, inputs: tuple[Value, ...], attention_mask: Value | None, *,
                  causal: bool) -> Value | None:
        """Which steps of the query see which of the value, (batch or 1, steps, steps), as far as they are masked."""
        query, value = inputs[:2]
        mask = pairs(net, net.mask(query), net.mask(value))
        if len(inputs) > 2:
            mask = both(net, mask, pairs(net, None, net.mask(inputs[2])))
        rows, columns = np.arange(query.shape[1])[:, None], np.arange(value.shape[1])
        known = np.ones((len(rows), len(columns)), bool)
        if causal:
            known &= rows >= columns
        if self.sliding_window is not None:
            known &= np.abs(rows - columns) < self.sliding_window
        if causal or self.sliding_window is not None:
            mask = both(net, mask, net.b.constant(known[None]))
        if mask is None and attention_mask is None:
            return None
        if any(x.type.rank != 3 for x in inputs):
            raise ArgumentMismatch("inputs (batch, steps, features) for masks", text(query.shape))
        if attention_mask is not None:
            shape = (query.shape[0], query.shape[1], value.shape[1])
            fits = attention_mask.type.rank == 3 and all(
                dim in (1, wanted) for dim, wanted in zip(attention_mask.shape, shape, strict=True))
            if not fits:
                raise ArgumentMismatch(f"an attention_mask of shape {text(shape)}", text(attention_mask.shape))
            nothing = net.b.op("equal", attention_mask, net.b.constant(0.0))
            mask = both(net, mask, net.b.op("scale", nothing, factor=-1.0, offset=1.0))
        return mask

    def weigh(self, net: Net, query: Value, key: Value, value: Value, mask: Value | None, *, whole: bool) -> tuple[
            Value, Value]:
        """softmax(query key^T) value, and the softmax, of (batch, …, steps, features); the query is scaled before.

        A step of the query that sees nothing gets the mean of all, or 0 where the scores are made as a `whole`: as
        Keras, which has two ways to compute them.
        """
        b, rate = net.b, self.dropout
        number = stream(net, self.seed) if rate else 0
        scores = b.op("batch_matmul", query, key, transpose_b=True)
        if mask is not None:
            mask = b.op("reshape", mask, shape=(mask.shape[0], 1, *mask.shape[1:]))
            scores = b.op("where", mask, scores, b.constant(LOWEST))
        weights = b.op("softmax", scores)
        if mask is not None and whole:
            weights = b.op("where", mask, weights, b.constant(0.0))
        kept = drop(net, weights, rate, weights.shape, number) if net.training and rate else weights
        return b.op("batch_matmul", kept, value), weights

    def keras_attribute(self, part: str) -> str:
        return {"query": "_query_dense", "key": "_key_dense", "value": "_value_dense", "gate": "_gate_dense",
                "attention_output": "_output_dense"}[part]


def expect_alike(inputs: tuple[Value, ...]) -> None:
    """Raise ShapeMismatch unless query, value and key fit each other."""
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    if query.type.rank < 3:
        raise ShapeMismatch("rank 3 (batch, steps, features)", text(query.shape))
    if value.type.rank != query.type.rank or key.shape[:-1] != value.shape[:-1]:
        raise ShapeMismatch("query, value and key of one rank, the last two with the same steps",
                            " and ".join(text(x.shape) for x in inputs))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class MultiHeadAttention(Heads):
    """Scaled dot-product attention by `num_heads` heads (Vaswani et al., NIPS 2017), over all dimensions between batch
    and features or those in `attention_axes`.

    Inputs: query, value, and the key if it is not the value. Input shape: (batch, steps, …, features) each.
    Output shape: the query's, with `output_shape` in the place of its features; with `return_attention_scores`
    followed by (batch, heads, steps of the query, steps of the value).
    """

    num_heads: int = option(size)
    key_dim: int = option(size)
    value_dim: int | None = option(optional(size), default=None)
    output_shape: Any = option(optional(either(sequence(size, 1, 4), size)), default=None)
    attention_axes: Any = option(optional(either(sequence(integer(minimum=-8, maximum=7), 1, 6),
                                                 integer(minimum=-8, maximum=7))), default=None)

    samples = (LayerSample({"num_heads": 2, "key_dim": 3}, ((4, 5), (4, 5)), (4, 5), 143),
               LayerSample({"num_heads": 2, "key_dim": 3, "value_dim": 4, "output_shape": 6, "dropout": 0.2},
                           ((4, 5), (3, 5), (3, 2)), (4, 6), 156),
               LayerSample({"num_heads": 1, "key_dim": 2, "use_bias": False, "sliding_window": 2, "use_gate": True},
                           ((4, 3), (4, 3)), (4, 3), 30),
               LayerSample({"num_heads": 2, "key_dim": 2, "attention_axes": [2]}, ((2, 4, 3), (2, 3, 3)), (2, 4, 3),
                           63))

    def sizes(self) -> dict[str, tuple[int, int]]:
        value = self.value_dim or self.key_dim
        return {"query": (self.num_heads, self.key_dim), "key": (self.num_heads, self.key_dim),
                "value": (self.num_heads, value)}

    def build(self, net: Net, *inputs: Value, attention_mask: Value | None = None,
              return_attention_scores: bool = False, use_causal_mask: bool = False) -> Value | tuple[Value, ...]:
        expect_alike(inputs)
        query, value = inputs[:2]
        key, shapes = inputs[2] if len(inputs) > 2 else value, self.sizes()
        axes = self._axes(query)
        mask = self.pair_mask(net, inputs, attention_mask, causal=use_causal_mask)
        q = self.project(net, "query", query, shapes["query"])
        q = net.b.op("scale", q, factor=1 / math.sqrt(q.shape[-1]))
        k = self.project(net, "key", key, shapes["key"])
        gate = net.b.op("sigmoid", self.project(net, "gate", query, shapes["value"])) if self.use_gate else None
        v = self.project(net, "value", value, shapes["value"])
        whole = bool(self.dropout) or return_attention_scores or query.type.rank != 3
        q, k, v = (_heads_first(net, x, axes) for x in (q, k, v))
        output, weights = self.weigh(net, q, k, v, mask, whole=whole)
        output = _heads_last(net, output, query, axes)
        if gate is not None:
            output = net.b.op("multiply", output, gate)
        shape = self.output_shape or (query.shape[-1],)
        output = self.project(net, "attention_output", output, (shape,) if isinstance(shape, int) else shape, ends=2)
        if not return_attention_scores:
            return output
        others = [query.shape[axis] for axis in range(1, query.type.rank - 1) if axis not in axes]
        steps = [x.shape[axis] for x in (query, key) for axis in axes]
        return output, net.b.op("reshape", weights, shape=(query.shape[0], *others, self.num_heads, *steps))

    def torch_state(self, variables: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """As `torch.nn.MultiheadAttention` holds them, where there is one: its heads share the query's features."""
        inputs = {part: variables[f"{part}/kernel"].shape[0] for part in ("query", "key", "value")}
        width = inputs["query"]
        last = variables["attention_output/kernel"]
        if self.use_gate or {self.num_heads * size for _, size in self.sizes().values()} | {last.shape[-1]} != {width}:
            return super().torch_state(variables)
        kernels = [variables[f"{part}/kernel"].reshape(size, width).T for part, size in inputs.items()]
        found = {"out_proj/weight": last.reshape(width, width).T}
        if set(inputs.values()) == {width}:
            found["in_proj_weight"] = np.concatenate(kernels)
        else:
            found |= {f"{part[0]}_proj_weight": kernel for part, kernel in zip(inputs, kernels, strict=True)}
        if self.use_bias:
            found["in_proj_bias"] = np.concatenate([variables[f"{part}/bias"].reshape(-1) for part in inputs])
            found["out_proj/bias"] = variables["attention_output/bias"]
        return found

    def _axes(self, query: Value) -> tuple[int, ...]:
        rank = query.type.rank
        if self.attention_axes is None:
            return tuple(range(1, rank - 1))
        given = (self.attention_axes,) if isinstance(self.attention_axes, int) else self.attention_axes
        axes = tuple(axis if axis >= 0 else rank + axis for axis in given)
        if any(not 1 <= axis < rank - 1 for axis in axes) or list(axes) != sorted(set(axes)):
            raise OptionMismatch("attention_axes", f"dimensions between batch and features of {text(query.shape)}, "
                                 "in their order", list(given))
        return axes


def _order(rank: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Dimensions of (batch, …, heads, features): the batch, those without attention, heads, those with it, features."""
    others = [axis for axis in range(1, rank - 2) if axis not in axes]
    return (0, *others, rank - 2, *axes, rank - 1)


def _heads_first(net: Net, x: Value, axes: tuple[int, ...]) -> Value:
    """(batch, …, heads, steps, features) of (batch, …, heads, features)."""
    rank = x.type.rank
    turned = net.b.op("transpose", x, permutation=_order(rank, axes))
    if len(axes) == 1:
        return turned
    lead = rank - 1 - len(axes)
    return net.b.op("reshape", turned, shape=(*turned.shape[:lead], math.prod(turned.shape[lead:-1]), x.shape[-1]))


def _heads_last(net: Net, x: Value, query: Value, axes: tuple[int, ...]) -> Value:
    """The other way round, for the output of a query."""
    order = _order(query.type.rank + 1, axes)
    shape = (*query.shape[:-1], x.shape[-3], x.shape[-1])
    turned = net.b.op("reshape", x, shape=tuple(shape[axis] for axis in order))
    return net.b.op("transpose", turned, permutation=tuple(order.index(axis) for axis in range(len(order))))


@register("layer", aliases=("GroupedQueryAttention",))
@dataclass(frozen=True, kw_only=True)
class GroupQueryAttention(Heads):
    """Attention in which several heads of the query share one of key and value (Ainslie et al., EMNLP 2023).

    Inputs: query, value, and the key if it is not the value. Input shape: (batch, steps, features) each. Output shape:
    the query's; with `return_attention_scores` followed by (batch, heads, steps of the query, steps of the value).
    """

    head_dim: int = option(size)
    num_query_heads: int = option(size)
    num_key_value_heads: int = option(size)

    keras_class = "GroupedQueryAttention"
    samples = (LayerSample({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, ((4, 5), (3, 5)), (4, 5),
                           209),
               LayerSample({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "use_gate": True,
                            "dropout": 0.1}, ((4, 3), (4, 3)), (4, 3), 63))

    def check(self, pointer: str) -> None:
        """Heads come in equal groups."""
        if self.num_query_heads % self.num_key_value_heads:
            raise Mismatch(pointer_to(pointer, "num_query_heads"),
                           f"a multiple of num_key_value_heads, {self.num_key_value_heads}", self.num_query_heads)

    def sizes(self) -> dict[str, tuple[int, int]]:
        shared = (self.num_key_value_heads, self.head_dim)
        return {"query": (self.num_query_heads, self.head_dim), "key": shared, "value": shared}

    def build(self, net: Net, *inputs: Value, attention_mask: Value | None = None,
              return_attention_scores: bool = False, use_causal_mask: bool = False) -> Value | tuple[Value, ...]:
        expect_alike(inputs)
        query, value = inputs[:2]
        if query.type.rank != 3:
            raise ShapeMismatch("rank 3 (batch, steps, features)", text(query.shape))
        b, shapes, key = net.b, self.sizes(), inputs[2] if len(inputs) > 2 else value
        mask = self.pair_mask(net, inputs, attention_mask, causal=use_causal_mask)
        q = self.project(net, "query", query, shapes["query"])
        q = net.b.op("scale", q, factor=1 / math.sqrt(q.shape[-1]))
        k = self.project(net, "key", key, shapes["key"])
        gate = b.op("sigmoid", self.project(net, "gate", query, shapes["query"])) if self.use_gate else None
        v = self.project(net, "value", value, shapes["value"])
        whole = bool(self.dropout) or return_attention_scores
        q, k, v = (_heads_first(net, x, (1,)) for x in (q, k, v))
        output, weights = self.weigh(net, q, self._repeated(net, k), self._repeated(net, v), mask, whole=whole)
        output = _heads_last(net, output, query, (1,))
        if gate is not None:
            output = b.op("multiply", output, gate)
        output = self.project(net, "attention_output", output, (query.shape[-1],), ends=2)
        return (output, weights) if return_attention_scores else output

    def _repeated(self, net: Net, x: Value) -> Value:
        """Each head as often as heads of the query share it."""
        groups = self.num_query_heads // self.num_key_value_heads
        if groups == 1:
            return x
        taps = tuple(((head // groups, 1.0),) for head in range(self.num_query_heads))
        return net.b.op("resample", x, axis=1, taps=taps)
