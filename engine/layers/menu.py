"""Pictures changed by layers that are chosen at random for each batch in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.graph.ir import GraphBuilder, Value
from engine.layers.base import Layer, LayerSample, Net
from engine.layers.gamma import STREAMS, beta, log_gamma
from engine.layers.pictures import COLOURS, Draws, Range, expect_no_weights_before, expect_pictures, factor, mixed
from engine.layers.random_color import (
    BYTES,
    RandomBrightness,
    RandomColor,
    RandomColorDegeneration,
    RandomContrast,
    RandomSharpness,
    Within,
)
from engine.layers.random_warp import RandomRotation, RandomShear, RandomTranslation, RandomWarp, pixels
from engine.layers.tones import (
    BITS,
    AutoContrast,
    Equalization,
    RandomPosterization,
    Solarization,
    Tones,
    real_range,
)
from engine.ops.sample_pictures import INTERPOLATIONS
from engine.options import boolean, choice, integer, number, option
from engine.registry import register

Begun = Callable[[], Draws]


@dataclass(frozen=True, kw_only=True)
class Menu(RandomColor):
    """A layer that chooses among others. One choice is made for all pictures of a batch, as in Keras."""

    value_range: Range = option(real_range, default=BYTES)
    factor: Range = option(factor(0), default=(0.0, 0.5), doc="a number f for [0, f], or [lower, upper]")
    interpolation: str = option(choice(*INTERPOLATIONS), default="bilinear")

    channels: ClassVar[int | None] = COLOURS

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x, self.channels)
        expect_no_weights_before(net, x)
        draws = Draws(net, self.seed, self.streams)
        return self.change(net.b, x, draws) if net.training else x

    @property
    def streams(self) -> int:
        """What the layer takes of random streams."""
        raise NotImplementedError

    @property
    def moving(self) -> list[RandomWarp]:
        """What moves pixels."""
        part = self.factor  # all are read by one op, which knows how
        return [RandomShear(x_factor=part, y_factor=part), RandomTranslation(height_factor=part, width_factor=part),
                RandomRotation(factor=part)]

    @property
    def toning(self) -> list[Layer]:
        """What changes tones."""
        part, values = self.factor, self.value_range
        return [RandomPosterization(factor=(1, max(1, int(BITS * part[1]))), value_range=values),
                Solarization(addition_factor=part, threshold_factor=part, value_range=values),
                AutoContrast(value_range=values), Equalization(value_range=values)]

    @property
    def colouring(self) -> list[Layer]:
        """What changes colours."""
        kinds: tuple[Callable[..., Within], ...] = (RandomBrightness, RandomColorDegeneration, RandomContrast,
                                                    RandomSharpness)
        return [kind(factor=self.factor, value_range=self.value_range) for kind in kinds]


def needed(parts: Sequence[Layer]) -> int:
    """The random streams that all of them take."""
    return sum(getattr(part, "draws", 0) for part in parts)


def begun(parts: Sequence[Layer], draws: Draws) -> list[Begun]:
    """Draws of its own for each part, the same every time they are begun."""
    return [draws.part(getattr(part, "draws", 0)) for part in parts]


def chosen(b: GraphBuilder, x: Value, parts: Sequence[Layer], draws: Sequence[Begun], which: Value,
           interpolation: str) -> Value:
    """x changed by the part with the number `which`, or by none.

    What moves pixels is one reading at places that are chosen.
    """
    across, down = own = pixels(b, x)
    picked = [b.op("equal", which, b.constant(float(place))) for place in range(len(parts))]
    for part, begin, here in zip(parts, draws, picked, strict=True):
        if isinstance(part, RandomWarp):
            across, down = (b.op("where", here, found, other) for found, other in zip(
                part.source(b, x, begin(), own), (across, down), strict=True))
    x = b.op("sample_pictures", x, down, across, fill_mode="reflect", interpolation=interpolation, fill_value=0.0)
    y = x
    for part, begin, here in zip(parts, draws, picked, strict=True):
        if isinstance(part, Tones):
            y = b.op("where", here, part.change(b, x), y)
        elif isinstance(part, RandomColor):
            y = b.op("where", here, part.change(b, x, begin()), y)
    return y


def which(b: GraphBuilder, x: Value, draws: Draws, count: int) -> Value:
    """A whole number below `count` for all examples together."""
    return b.op("clip", b.op("floor", draws.shared(x, 0, count)), low=0.0, high=float(count - 1))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandAugment(Menu):
    """In training, `num_ops` changes one after the other, each chosen among eleven (Cubuk et al., CVPR workshops 2020).

    RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration, RandomContrast,
    RandomSharpness, RandomPosterization, Solarization, AutoContrast and Equalization, with `factor` for theirs. All are
    computed, and one is taken.
    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    num_ops: int = option(integer(minimum=1, maximum=16), default=2)

    samples = (LayerSample({}, ((3, 4, 3),), (3, 4, 3)),
               LayerSample({"num_ops": 1, "factor": [0.1, 0.9], "value_range": [0, 1], "seed": 3}, ((2, 3, 3),),
                           (2, 3, 3)))

    @property
    def courses(self) -> list[Layer]:
        """The eleven."""
        return [*self.moving, *self.colouring, *self.toning]

    @property
    def streams(self) -> int:
        return self.num_ops + needed(self.courses)

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        parts = self.courses
        chances = begun(parts, draws)  # as in Keras one change that is chosen twice is twice the same
        for _ in range(self.num_ops):
            x = chosen(b, x, parts, chances, which(b, x, draws, len(parts)), self.interpolation)
        return x


@register("layer")
@dataclass(frozen=True, kw_only=True)
class AugMix(Menu):
    """In training, w x + (1 - w) sum_k w_k chain_k(x), with chains of changes (Hendrycks et al., ICLR 2020).

    There are `num_chains` of `chain_depth` changes, each chosen among RandomShear, RandomTranslation, RandomRotation,
    RandomPosterization, Solarization, AutoContrast, Equalization and none; with `all_ops` also among RandomBrightness,
    RandomColorDegeneration, RandomContrast and RandomSharpness. w and the w_k are of the beta and the Dirichlet
    distribution of `alpha`, for each batch. All changes are computed, and one of each is taken.
    Input shape: (batch, height, width, 3). Output shape: the input's.
    """

    factor: Range = option(factor(0), default=(0.0, 0.3), doc="a number f for [0, f], or [lower, upper]")
    num_chains: int = option(integer(minimum=1, maximum=8), default=3)
    chain_depth: int = option(integer(minimum=1, maximum=8), default=3)
    alpha: float = option(number(above=0, maximum=1e6), default=1.0)
    all_ops: bool = option(boolean, default=True)

    samples = (LayerSample({"num_chains": 2, "chain_depth": 1}, ((3, 4, 3),), (3, 4, 3)),
               LayerSample({"num_chains": 1, "chain_depth": 2, "all_ops": False, "value_range": [0, 1], "seed": 3},
                           ((2, 3, 3),), (2, 3, 3)))

    @property
    def courses(self) -> list[Layer]:
        """What is chosen among."""
        return [*self.moving, *self.toning, *(self.colouring if self.all_ops else [])]

    @property
    def streams(self) -> int:
        return 2 * STREAMS + self.num_chains * self.chain_depth * (1 + needed(self.courses))

    def change(self, b: GraphBuilder, x: Value, draws: Draws) -> Value:
        parts, alpha = self.courses, b.constant(self.alpha)
        weights = b.op("softmax", log_gamma(b, x, draws, alpha, (1, 1, 1, self.num_chains)))
        kept = beta(b, x, draws, alpha, 1)
        total: Value | None = None
        for chain in range(self.num_chains):
            y = x
            for _ in range(self.chain_depth):
                y = chosen(b, y, parts, begun(parts, draws), which(b, y, draws, len(parts) + 1), self.interpolation)
            weight = b.op("slice", weights, axis=3, start=chain, stop=chain + 1)
            y = b.op("multiply", y, weight)
            total = y if total is None else b.op("add", total, y)
        assert total is not None
        return b.op("clip", mixed(b, total, x, kept), low=self.value_range[0], high=self.value_range[1])
