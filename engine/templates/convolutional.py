"""Plain convolutional networks: convolutions and pooling one behind the other."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import option
from engine.registry import register
from engine.templates.base import Classifier, Sketch, rate


@register("template", "lenet5")
@dataclass(frozen=True, kw_only=True)
class LeNet5(Classifier):
    """LeNet-5 for 28 x 28 or 32 x 32 digits (LeCun et al., 1998), its subsampling as average pooling."""

    sample = (("image", (28, 28, 1)),)

    def write(self, sketch: Sketch) -> None:
        sketch.add("Conv2D", "c1", filters=6, kernel_size=5, padding="same", activation="tanh")
        sketch.add("AveragePooling2D", "s2")
        sketch.add("Conv2D", "c3", filters=16, kernel_size=5, activation="tanh")
        sketch.add("AveragePooling2D", "s4")
        sketch.add("Flatten", "flatten")
        sketch.add("Dense", "c5", units=120, activation="tanh")
        sketch.add("Dense", "f6", units=84, activation="tanh")
        self.head(sketch)


@register("template", "cifar10_cnn")
@dataclass(frozen=True, kw_only=True)
class Cifar10Cnn(Classifier):
    """Two convolutions with pooling, a dense layer, dropout: a first network for small pictures."""

    dropout: float = option(rate, default=0.5)

    def write(self, sketch: Sketch) -> None:
        for place, count in enumerate((32, 64)):
            sketch.add("Conv2D", f"conv_{place}", filters=count, kernel_size=3, activation="relu")
            sketch.add("MaxPooling2D", f"pool_{place}")
        sketch.add("Flatten", "flatten")
        sketch.add("Dense", "dense", units=64, activation="relu")
        sketch.add("Dropout", "dropout", rate=self.dropout)
        self.head(sketch)


@register("template", "vgg_small")
@dataclass(frozen=True, kw_only=True)
class VggSmall(Classifier):
    """Three blocks of two normalized 3 x 3 convolutions, after VGG (Simonyan and Zisserman, ICLR 2015)."""

    dropout: float = option(rate, default=0.3)

    def write(self, sketch: Sketch) -> None:
        for block, filters in enumerate((64, 128, 256)):
            for place in range(2):
                sketch.convolution(f"block{block}_conv{place}", filters, 3)
            sketch.add("MaxPooling2D", f"block{block}_pool")
            sketch.add("Dropout", f"block{block}_dropout", rate=self.dropout)
        sketch.add("GlobalAveragePooling2D", "pool")
        sketch.add("Dense", "dense", units=256, activation="relu")
        sketch.add("Dropout", "dropout", rate=self.dropout)
        self.head(sketch)
