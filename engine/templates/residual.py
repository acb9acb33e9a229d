"""Residual networks: He et al. (CVPR 2016) and the wide ones of Zagoruyko and Komodakis (BMVC 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.options import option
from engine.registry import register
from engine.templates.base import Classifier, Sketch, rate


def _block(sketch: Sketch, name: str, filters: int, strides: int, last: str, *, project: bool) -> str:
    """Two 3 x 3 convolutions and a shortcut, by 1 x 1 convolution where the shape changes; returns the sum's relu."""
    sketch.convolution(f"{name}_1", filters, 3, last, strides=strides)
    main = sketch.convolution(f"{name}_2", filters, 3, activation=None)
    shortcut = sketch.convolution(f"{name}_shortcut", filters, 1, last, strides=strides,
                                  activation=None) if project else last
    sketch.add("Add", f"{name}_add", [main, shortcut])
    return sketch.add("Activation", f"{name}_relu", activation="relu")


@dataclass(frozen=True, kw_only=True)
class CifarResNet(Classifier):
    """Three stages of `blocks` residual blocks with 16, 32 and 64 filters, for 32 x 32 pictures (section 4.2)."""

    blocks: ClassVar[int]

    def write(self, sketch: Sketch) -> None:
        last = sketch.convolution("stem", 16, 3)
        for stage, filters in enumerate((16, 32, 64)):
            for block in range(self.blocks):
                strides = 2 if stage and not block else 1
                last = _block(sketch, f"stage{stage}_block{block}", filters, strides, last, project=strides > 1)
        sketch.add("GlobalAveragePooling2D", "pool")
        self.head(sketch)


@register("template", "resnet20")
@dataclass(frozen=True, kw_only=True)
class ResNet20(CifarResNet):
    """ResNet-20 for 32 x 32 pictures."""

    blocks = 3


@register("template", "resnet32")
@dataclass(frozen=True, kw_only=True)
class ResNet32(CifarResNet):
    """ResNet-32 for 32 x 32 pictures."""

    blocks = 5


@register("template", "resnet56")
@dataclass(frozen=True, kw_only=True)
class ResNet56(CifarResNet):
    """ResNet-56 for 32 x 32 pictures."""

    blocks = 9


@register("template", "resnet18")
@dataclass(frozen=True, kw_only=True)
class ResNet18(Classifier):
    """ResNet-18 for pictures of about 224 x 224 (table 1)."""

    sample = (("image", (64, 64, 3)),)

    def write(self, sketch: Sketch) -> None:
        sketch.convolution("stem", 64, 7, strides=2)
        last = sketch.add("MaxPooling2D", "stem_pool", pool_size=3, strides=2, padding="same")
        for stage, filters in enumerate((64, 128, 256, 512)):
            for block in range(2):
                strides = 2 if stage and not block else 1
                last = _block(sketch, f"stage{stage}_block{block}", filters, strides, last, project=strides > 1)
        sketch.add("GlobalAveragePooling2D", "pool")
        self.head(sketch)


@register("template", "wide_resnet_16_4")
@dataclass(frozen=True, kw_only=True)
class WideResNet164(Classifier):
    """WideResNet-16-4 for 32 x 32 pictures: two blocks a stage, four times as wide, normalized before activated."""

    dropout: float = option(rate, default=0.0)

    def write(self, sketch: Sketch) -> None:
        last = sketch.add("Conv2D", "stem", filters=16, kernel_size=3, padding="same", use_bias=False,
                          kernel_initializer="he_normal")
        for stage, filters in enumerate((64, 128, 256)):
            for block in range(2):
                last = self._block(sketch, f"stage{stage}_block{block}", filters, 2 if stage and not block else 1, last,
                                   project=not block)
        sketch.normalized("last", "relu")
        sketch.add("GlobalAveragePooling2D", "pool")
        self.head(sketch)

    def _block(self, sketch: Sketch, name: str, filters: int, strides: int, last: str, *, project: bool) -> str:
        """Batch normalization and relu before each of two convolutions; a projected shortcut reads the first relu."""
        sketch.add("BatchNormalization", f"{name}_bn", last)
        ready = sketch.add("Activation", f"{name}_relu", activation="relu")
        sketch.convolution(f"{name}_1", filters, 3, ready, strides=strides)
        if self.dropout:
            sketch.add("Dropout", f"{name}_dropout", rate=self.dropout)
        plain: dict[str, Any] = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal",
                                 "filters": filters}
        main = sketch.add("Conv2D", f"{name}_2", kernel_size=3, **plain)
        shortcut = sketch.add("Conv2D", f"{name}_shortcut", ready, kernel_size=1, strides=strides,
                              **plain) if project else last
        return sketch.add("Add", f"{name}_add", [main, shortcut])
