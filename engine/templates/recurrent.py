"""Recurrent classifiers of series (steps, features), and a small encoder of texts as codes of words (words,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.options import boolean, integer, option, sequence
from engine.registry import register
from engine.templates.base import Classifier, Sketch, filters, rate
from engine.templates.sequences import words


@dataclass(frozen=True, kw_only=True)
class Recurrent(Classifier):
    """Recurrent layers one behind the other, the last one's final output classified."""

    layer: ClassVar[str]

    units: tuple[int, ...] = option(sequence(filters, 1, 20), default=(64,))
    bidirectional: bool = option(boolean, default=False)
    dropout: float = option(rate, default=0.0)

    sample = (("x", (20, 4)),)

    def write(self, sketch: Sketch) -> None:
        for place, units in enumerate(self.units):
            name = f"{self.layer.lower()}_{place}"
            options: dict[str, Any] = {"units": units, "return_sequences": place + 1 < len(self.units)}
            if self.bidirectional:
                sketch.add("Bidirectional", name, layer={"type": self.layer, **options})
            else:
                sketch.add(self.layer, name, **options)
            if self.dropout:
                sketch.add("Dropout", f"dropout_{place}", rate=self.dropout)
        self.head(sketch)


@register("template", "lstm_classifier")
@dataclass(frozen=True, kw_only=True)
class LstmClassifier(Recurrent):
    """LSTM layers (Hochreiter and Schmidhuber, 1997) on a series of (steps, features)."""

    layer = "LSTM"


@register("template", "gru_classifier")
@dataclass(frozen=True, kw_only=True)
class GruClassifier(Recurrent):
    """GRU layers (Cho et al., EMNLP 2014) on a series of (steps, features)."""

    layer = "GRU"


@register("template", "transformer_encoder")
@dataclass(frozen=True, kw_only=True)
class TransformerEncoder(Classifier):
    """Embedded words, blocks of attention and of two dense layers, each behind a normalization (Xiong et al., ICML
    2020); the mean of the steps is classified.

    A causal convolution before the blocks tells where a word stands: padding ends the text, and a filter that reaches
    beyond its beginning sees that.
    """

    vocabulary: int = option(words, doc="codes are below it")
    width: int = option(filters, default=64)
    heads: int = option(integer(minimum=1, maximum=64), default=4)
    hidden: int = option(filters, default=128)
    blocks: int = option(integer(minimum=1, maximum=24), default=2)
    dropout: float = option(rate, default=0.1)

    sample = (("words", (24,)),)

    def write(self, sketch: Sketch) -> None:
        embedded = sketch.add("Embedding", "embedding", input_dim=self.vocabulary, output_dim=self.width)
        placed = sketch.add("Conv1D", "positions", filters=self.width, kernel_size=3, padding="causal")
        last = sketch.add("Add", "placed", [embedded, placed])
        for block in range(self.blocks):
            name = f"block{block}"
            normed = sketch.add("LayerNormalization", f"{name}_norm_1", last)
            sketch.add("MultiHeadAttention", f"{name}_attention", [normed, normed], num_heads=self.heads,
                       key_dim=max(1, self.width // self.heads), dropout=self.dropout)
            attended = sketch.add("Dropout", f"{name}_dropout_1", rate=self.dropout)
            last = sketch.add("Add", f"{name}_add_1", [last, attended])
            sketch.add("LayerNormalization", f"{name}_norm_2")
            sketch.add("Dense", f"{name}_wide", units=self.hidden, activation="gelu")
            sketch.add("Dense", f"{name}_narrow", units=self.width)
            narrowed = sketch.add("Dropout", f"{name}_dropout_2", rate=self.dropout)
            last = sketch.add("Add", f"{name}_add_2", [last, narrowed])
        sketch.add("LayerNormalization", "norm")
        sketch.add("GlobalAveragePooling1D", "pool")
        self.head(sketch)
