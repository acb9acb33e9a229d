"""Pictures mirrored and cut at random in training: the augmentations of the same names as layers of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine import registry
from engine.graph.ir import Value
from engine.layers.base import Layer, LayerSample, Net, channels_last
from engine.layers.pictures import expect_no_weights_before, expect_pictures
from engine.layers.randomness import seed_option, stream
from engine.layers.resizing import extent, middle
from engine.ops.base import ShapeMismatch
from engine.options import choice, option, write
from engine.registry import register, snake_case

LAYERS = 1 << 23
"""Where layers' places begin among those of `data.augmentation`."""


def augmented(net: Net, layer: Layer, x: Value, **options: Any) -> Value:
    """The augmentation of a layer's own name, with the layer's stream as its place.

    As in `data.augmentation`, an example's numbers follow from seed, epoch and example: a batch's composition does not
    matter.
    """
    expect_pictures(x)
    place = LAYERS + stream(net, getattr(layer, "seed", None)) % LAYERS
    expect_no_weights_before(net, x)
    if not net.training:
        return x
    name = str(layer.type_name)  # type: ignore[attr-defined]
    cls: Any = registry.lookup("augmentation", name)
    entry = cls(**options)
    if fault := entry.fault(tuple(x.shape[1:])):
        raise ShapeMismatch(fault, x.shape[1:])
    given = {key: value for key, value in write(entry).items() if key != "type"}
    return net.b.op(snake_case(name), x, place=place, **given)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomFlip(Layer):
    """In training, mirrors pictures, each allowed direction with probability one half.

    Input shape: (batch, height, width, channels). Output shape: the input's.
    """

    mode: str = option(choice("horizontal", "vertical", "horizontal_and_vertical"), default="horizontal_and_vertical")
    seed: int | None = option(seed_option, default=None)
    data_format: str = option(channels_last, default="channels_last")

    samples = (LayerSample({}, ((3, 4, 2),), (3, 4, 2)), LayerSample({"mode": "vertical", "seed": 1}, ((3, 4, 2),),
                                                                     (3, 4, 2)))

    def build(self, net: Net, *inputs: Value) -> Value:
        return augmented(net, self, inputs[0], mode=self.mode)


@register("layer")
@dataclass(frozen=True, kw_only=True)
class RandomCrop(Layer):
    """In training a window of each picture, anywhere in it; else the middle. Too small pictures are always resized.

    Keras 3.15 leaves pictures as large as they are outside of training; the shape that it states is this one.

    Input shape: (batch, old height, old width, channels). Output shape: (batch, height, width, channels).
    """

    height: int = option(extent)
    width: int = option(extent)
    seed: int | None = option(seed_option, default=None)
    data_format: str = option(channels_last, default="channels_last")

    size_option = "height"
    samples = (LayerSample({"height": 3, "width": 4}, ((6, 5, 2),), (3, 4, 2)),
               LayerSample({"height": 4, "width": 2}, ((3, 4, 1),), (4, 2, 1)))

    def build(self, net: Net, *inputs: Value) -> Value:
        (x,) = inputs
        expect_pictures(x)
        _, rows, columns, _ = x.shape
        if net.training and rows >= self.height and columns >= self.width:
            return augmented(net, self, x, height=self.height, width=self.width)
        stream(net, self.seed)
        expect_no_weights_before(net, x)
        return middle(net.b, x, self.height, self.width)
