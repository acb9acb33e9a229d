"""U-Net (Ronneberger et al., MICCAI 2015), small."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import integer, option
from engine.registry import register
from engine.templates.base import Classifier, Sketch, filters


@register("template", "unet_small")
@dataclass(frozen=True, kw_only=True)
class UnetSmall(Classifier):
    """A class for each pixel: `depth` times down by pooling and up again, with what was there joined in.

    Height and width are multiples of 2 to the power `depth`.
    """

    filters: int = option(filters, default=16)
    depth: int = option(integer(minimum=1, maximum=6), default=3)

    sample = (("image", (32, 32, 3)),)

    def write(self, sketch: Sketch) -> None:
        kept = []
        for level in range(self.depth):
            kept.append(self._pair(sketch, f"down{level}", self.filters << level))
            sketch.add("MaxPooling2D", f"down{level}_pool")
        self._pair(sketch, "bottom", self.filters << self.depth)
        for level in reversed(range(self.depth)):
            up = sketch.add("Conv2DTranspose", f"up{level}", filters=self.filters << level, kernel_size=2, strides=2,
                            padding="same")
            sketch.add("Concatenate", f"up{level}_join", [kept[level], up])
            self._pair(sketch, f"up{level}", self.filters << level)
        sketch.add("Conv2D", "classifier", filters=self.classes, kernel_size=1, activation=self.classifier_activation)

    @staticmethod
    def _pair(sketch: Sketch, name: str, filters: int) -> str:
        sketch.convolution(f"{name}_conv0", filters, 3)
        return sketch.convolution(f"{name}_conv1", filters, 3)
