"""Whole numbers as places in a table: encoded, found between boundaries, or looked up in a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, OptionMismatch, text
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, Reader, boolean, choice, integer, number, only, option, optional, sequence
from engine.registry import register
from engine.types import Shape

ENCODINGS = ("one_hot", "multi_hot", "count")
dense = only(False, "there are no sparse arrays")
count_reader = integer(minimum=1, maximum=65_536)
token = integer(minimum=-(2**24), maximum=2**24)
"""What float32 holds exactly."""


def encoded(net: Net, ids: Value, depth: int, mode: str, weights: Value | None = None) -> Value:
    """Places as zeros and ones of length `depth`; places outside give zeros. `int` leaves them as they are.

    `multi_hot` and `count` put the last dimension's places together. Raises ShapeMismatch.
    """
    if mode == "int":
        return ids
    if mode == "one_hot" and ids.type.rank > 1 and ids.shape[-1] == 1:
        ids = net.b.op("reshape", ids, shape=ids.shape[:-1])
    if mode != "one_hot" and ids.type.rank != 2:
        raise ShapeMismatch(f"rank 2 (batch, places) for {mode}", text(ids.shape))
    hot = net.b.op("equal", _apart(net, ids), net.b.constant(np.arange(depth)))
    if weights is not None:
        hot = net.b.op("multiply", hot, _apart(net, weights))
    if mode == "one_hot":
        return hot
    return net.b.op("reduce_max" if mode == "multi_hot" else "reduce_sum", hot, axes=(1,))


def _apart(net: Net, x: Value) -> Value:
    """x with a last dimension of 1."""
    shape: Shape = (*x.shape, 1)
    return net.b.op("reshape", x, shape=shape)


def mapped(net: Net, x: Value, keys: Sequence[int], values: Sequence[int], default: int) -> Value:
    """For each element the value of the key that it equals, or the default."""
    if not keys:
        return net.b.op("scale", x, factor=0.0, offset=float(default))
    found = net.b.op("equal", _apart(net, x), net.b.constant(np.asarray(keys)))
    gains = net.b.op("multiply", found, net.b.constant(np.asarray(values) - default))
    return net.b.op("scale", net.b.op("reduce_sum", gains, axes=(x.type.rank,)), offset=float(default))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class CategoryEncoding(Layer):
    """Whole numbers below `num_tokens` as zeros and ones; a number outside gives zeros, where Keras fails.

    `one_hot`: each element its own, in the place of a last dimension of 1. `multi_hot`: 1 where any element of a row
    has the number. `count`: how many have it, or the sum of their `count_weights`.
    Input shape: (batch, length) or for `one_hot` any. Output shape: (batch, num_tokens) or (…, num_tokens).
    """

    num_tokens: int = option(count_reader)
    output_mode: str = option(choice(*ENCODINGS), default="multi_hot")
    sparse: bool = option(dense, default=False)

    keywords = ("count_weights",)
    size_option = "num_tokens"
    samples = (LayerSample({"num_tokens": 6}, ((4,),), (6,), integers=6),
               LayerSample({"num_tokens": 5, "output_mode": "one_hot"}, ((3, 1),), (3, 5), integers=5),
               LayerSample({"num_tokens": 5, "output_mode": "one_hot"}, ((2, 3),), (2, 3, 5), integers=5),
               LayerSample({"num_tokens": 4, "output_mode": "count"}, ((7,),), (4,), integers=4))

    def build(self, net: Net, *inputs: Value, count_weights: Value | None = None) -> Value:
        (x,) = inputs
        if count_weights is not None:
            if self.output_mode != "count":
                raise OptionMismatch("output_mode", "count beside count_weights", self.output_mode)
            if count_weights.shape != x.shape:
                raise ShapeMismatch(f"count_weights of shape {text(x.shape)}", text(count_weights.shape))
        return encoded(net, x, self.num_tokens, self.output_mode, count_weights)


_ascending = sequence(number(), 1, 10_000)


def _boundaries(value: Any, pointer: str) -> tuple[float, ...]:
    if value is None:
        raise Mismatch(pointer, "a list of numbers: boundaries learnt from data are a step of data.preprocessing "
                       '({"type": "Discretization", "num_bins": …})', value)
    found: tuple[float, ...] = _ascending(value, pointer)
    if list(found) != sorted(found):
        raise Mismatch(pointer, "boundaries in ascending order", value)
    return found


@register("layer")
@dataclass(frozen=True, kw_only=True)
class Discretization(Layer):
    """How many of the boundaries are not above a number, or that place encoded as by CategoryEncoding.

    Input shape: any; for `multi_hot` and `count` (batch, length).
    Output shape: the input's for `int`, else as that of CategoryEncoding with one more token than boundaries.
    """

    bin_boundaries: tuple[float, ...] = option(Reader(_boundaries, _ascending.schema))
    num_bins: int | None = option(optional(integer(minimum=1)), default=None,
                                  doc="what Keras learnt the boundaries for: without effect")
    epsilon: float = option(number(above=0), default=0.01, doc="how exactly Keras learnt them: without effect")
    output_mode: str = option(choice("int", *ENCODINGS), default="int")
    sparse: bool = option(dense, default=False)

    samples = (LayerSample({"bin_boundaries": [-0.5, 0, 1]}, ((3, 2),), (3, 2)),
               LayerSample({"bin_boundaries": [0.0], "output_mode": "one_hot"}, ((4, 1),), (4, 2)),
               LayerSample({"bin_boundaries": [-1, 1], "output_mode": "count"}, ((5,),), (3,)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        reached = net.b.op("greater_equal", _apart(net, x), net.b.constant(np.asarray(self.bin_boundaries)))
        ids = net.b.op("reduce_sum", reached, axes=(x.type.rank,))
        return encoded(net, ids, len(self.bin_boundaries) + 1, self.output_mode)


_tokens = sequence(token, 1, 10_000)


def _vocabulary(value: Any, pointer: str) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):
        raise Mismatch(pointer, "a list of integers: a vocabulary learnt from data is a step of data.preprocessing "
                       '({"type": "IntegerLookup"})', value)
    found: tuple[int, ...] = _tokens(value, pointer)
    if len(set(found)) != len(found):
        raise Mismatch(pointer, "different integers", value)
    return found


@register("layer")
@dataclass(frozen=True, kw_only=True)
class IntegerLookup(Layer):
    """The place of integers in a vocabulary: 0 for the mask token if there is one, then one place for all that is
    unknown, then the vocabulary. Without a place for the unknown it is -1, where Keras fails.

    The vocabulary is given; one learnt from data is a step of data.preprocessing.
    Input shape: any; for `multi_hot` and `count` (batch, length).
    Output shape: the input's for `int`, else as that of CategoryEncoding with a token for each place.
    """

    vocabulary: tuple[int, ...] = option(Reader(_vocabulary, _tokens.schema))
    max_tokens: int | None = option(optional(integer(minimum=2, maximum=65_536)), default=None)
    num_oov_indices: int = option(integer(minimum=0, maximum=1), default=1,
                                  doc="places for unknown integers; for more: the step of data.preprocessing")
    mask_token: int | None = option(optional(token), default=None)
    oov_token: int = option(token, default=-1, doc="what `invert` gives for a place that no integer has")
    vocabulary_dtype: str = option(only("int64", "Keras has no other"), default="int64")
    idf_weights: None = option(only(None, "tf_idf is a mode of the step of data.preprocessing"), default=None)
    invert: bool = option(boolean, default=False, doc="integers from their places")
    output_mode: str = option(choice("int", *ENCODINGS), default="int",
                             doc="tf_idf is a mode of the step of data.preprocessing")
    sparse: bool = option(dense, default=False)
    pad_to_max_tokens: bool = option(boolean, default=False)
    vocabulary_size: int | None = option(optional(integer(minimum=1)), default=None,
                                         doc="what Keras counted: without effect")
    oov_method: str = option(choice("floormod", "farmhash"), default="floormod",
                             doc="how several places for unknown integers are chosen: without effect for one")
    salt: None = option(only(None, "it chooses among several places for unknown integers"), default=None)

    samples = (LayerSample({"vocabulary": [3, 1, 7]}, ((4,),), (4,), integers=9),
               LayerSample({"vocabulary": [3, 1, 7], "mask_token": 0, "num_oov_indices": 0, "oov_token": -5,
                            "invert": True}, ((2, 2),), (2, 2), integers=6),
               LayerSample({"vocabulary": [2, 5], "output_mode": "multi_hot", "max_tokens": 5, "mask_token": 0,
                            "pad_to_max_tokens": True}, ((6,),), (5,), integers=7))

    def check(self, pointer: str) -> None:
        """Options that need each other."""
        if self.max_tokens is not None and self._size > self.max_tokens:
            raise Mismatch(f"{pointer}/max_tokens", f"at least {self._size}, as the vocabulary asks for",
                           self.max_tokens)
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise Mismatch(f"{pointer}/max_tokens", "a number beside pad_to_max_tokens", None)
        if self.invert and self.output_mode != "int":
            raise Mismatch(f"{pointer}/output_mode", "int beside invert", self.output_mode)
        reserved = [self.mask_token, self.oov_token if self.invert else None]
        if any(given is not None and given in self._own for given in reserved):
            raise Mismatch(f"{pointer}/vocabulary", "mask and unknown token at its beginning, or not at all",
                           list(self.vocabulary))

    @property
    def _start(self) -> int:
        """Places before the vocabulary's."""
        return self._first_unknown + self.num_oov_indices

    @property
    def _first_unknown(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _own(self) -> tuple[int, ...]:
        """The vocabulary without the mask and unknown tokens that it may begin with, as Keras gives it out."""
        special = (*[self.mask_token] * self._first_unknown, *[self.oov_token] * self.num_oov_indices)
        return self.vocabulary[len(special):] if special and self.vocabulary[:len(special)] == special else \
            self.vocabulary

    @property
    def _size(self) -> int:
        return self._start + len(self._own)

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        places = {key: self._start + place for place, key in enumerate(self._own)}
        if self.invert:
            keys = {place: key for key, place in places.items()} | ({} if self.mask_token is None else
                                                                    {0: self.mask_token})
            return mapped(net, x, list(keys), list(keys.values()), self.oov_token)
        if self.mask_token is not None:
            places[self.mask_token] = 0 if self.output_mode == "int" else -1
        ids = mapped(net, x, list(places), list(places.values()), self._first_unknown if self.num_oov_indices else -1)
        depth = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self._size
        return encoded(net, ids, depth, self.output_mode)
