"""Dense layers on table rows or flattened pictures."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import option, sequence
from engine.registry import register
from engine.templates.base import Classifier, Sketch, Template, filters, rate


@register("template", "mlp")
@dataclass(frozen=True, kw_only=True)
class Mlp(Classifier):
    """Dense layers with relu and dropout between them."""

    units: tuple[int, ...] = option(sequence(filters, 1, 100), default=(256, 128))
    dropout: float = option(rate, default=0.0)

    sample = (("x", (30,)),)

    def write(self, sketch: Sketch) -> None:
        sketch.add("Flatten", "flatten")
        for place, units in enumerate(self.units):
            sketch.add("Dense", f"dense_{place}", units=units, activation="relu")
            if self.dropout:
                sketch.add("Dropout", f"dropout_{place}", rate=self.dropout)
        self.head(sketch)


@register("template", "autoencoder")
@dataclass(frozen=True, kw_only=True)
class Autoencoder(Template):
    """A dense encoder and its mirror image; the output has `features` numbers, trained towards the input."""

    features: int = option(filters, doc="numbers of an example")
    units: tuple[int, ...] = option(sequence(filters, 1, 100), default=(128, 64, 16))

    sample = (("x", (30,)),)

    def write(self, sketch: Sketch) -> None:
        sketch.add("Flatten", "flatten")
        for place, units in enumerate(self.units):
            sketch.add("Dense", f"encoder_{place}", units=units, activation="relu")
        for place, units in enumerate(reversed(self.units[:-1])):
            sketch.add("Dense", f"decoder_{place}", units=units, activation="relu")
        sketch.add("Dense", "reconstruction", units=self.features)


@register("template", "wide_and_deep")
@dataclass(frozen=True, kw_only=True)
class WideAndDeep(Classifier):
    """A linear model of the input `wide` and dense layers on the input `deep`, added up (Cheng et al., 2016)."""

    units: tuple[int, ...] = option(sequence(filters, 1, 100), default=(128, 64))

    sample = (("wide", (40,)), ("deep", (12,)))

    def write(self, sketch: Sketch) -> None:
        wide = sketch.add("Dense", "wide_logits", "wide", units=self.classes)
        last = "deep"
        for place, units in enumerate(self.units):
            last = sketch.add("Dense", f"deep_{place}", last, units=units, activation="relu")
        deep = sketch.add("Dense", "deep_logits", last, units=self.classes, use_bias=False)
        last = sketch.add("Add", "sum", [wide, deep])
        if self.classifier_activation:
            sketch.add("Activation", "classifier", activation=self.classifier_activation)
