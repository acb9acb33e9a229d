"""Classifiers of sequences: time series (steps, features), and texts as codes of words (words,)."""

from __future__ import annotations

from dataclasses import dataclass

from engine.options import integer, option, sequence
from engine.registry import register
from engine.templates.base import Classifier, Sketch, filters, rate

words = integer(minimum=1, maximum=10_000_000)


@register("template", "conv1d_classifier")
@dataclass(frozen=True, kw_only=True)
class Conv1dClassifier(Classifier):
    """Convolutions over a series of (steps, features), normalized and pooled."""

    filters: tuple[int, ...] = option(sequence(filters, 1, 20), default=(64, 128))
    kernel_size: int = option(integer(minimum=1, maximum=1000), default=5)

    sample = (("x", (32, 4)),)

    def write(self, sketch: Sketch) -> None:
        for place, count in enumerate(self.filters):
            name = f"conv_{place}"
            sketch.add("Conv1D", name, filters=count, kernel_size=self.kernel_size, padding="same", use_bias=False)
            sketch.normalized(name, "relu")
            sketch.add("MaxPooling1D", f"pool_{place}", padding="same")
        sketch.add("GlobalAveragePooling1D", "pool")
        self.head(sketch)


@register("template", "tcn")
@dataclass(frozen=True, kw_only=True)
class TemporalConvolutionNetwork(Classifier):
    """Residual blocks of causal convolutions with doubling dilation (Bai et al., 2018); the mean of the steps is
    classified."""

    filters: int = option(filters, default=64)
    kernel_size: int = option(integer(minimum=2, maximum=1000), default=3)
    blocks: int = option(integer(minimum=1, maximum=12), default=4)
    dropout: float = option(rate, default=0.1)

    sample = (("x", (32, 4)),)

    def write(self, sketch: Sketch) -> None:
        last = sketch.add("Conv1D", "project", filters=self.filters, kernel_size=1)
        for block in range(self.blocks):
            source = last
            for place in range(2):
                sketch.add("Conv1D", f"block{block}_conv{place}", filters=self.filters, kernel_size=self.kernel_size,
                           dilation_rate=2**block, padding="causal", activation="relu")
                last = sketch.add("Dropout", f"block{block}_dropout{place}", rate=self.dropout)
            sketch.add("Add", f"block{block}_add", [last, source])
            last = sketch.add("Activation", f"block{block}_relu", activation="relu")
        sketch.add("GlobalAveragePooling1D", "pool")
        self.head(sketch)


@register("template", "text_cnn")
@dataclass(frozen=True, kw_only=True)
class TextCnn(Classifier):
    """Embedded words, convolutions of several widths, the largest value of each filter (Kim, EMNLP 2014)."""

    vocabulary: int = option(words, doc="codes are below it")
    embedding: int = option(filters, default=64)
    filters: int = option(filters, default=64)
    kernel_sizes: tuple[int, ...] = option(sequence(integer(minimum=1, maximum=100), 1, 10), default=(3, 4, 5))
    dropout: float = option(rate, default=0.5)

    sample = (("words", (24,)),)

    def write(self, sketch: Sketch) -> None:
        embedded = sketch.add("Embedding", "embedding", input_dim=self.vocabulary, output_dim=self.embedding)
        pooled = []
        for size in self.kernel_sizes:
            sketch.add("Conv1D", f"conv_{size}", embedded, filters=self.filters, kernel_size=size, padding="same",
                       activation="relu")
            pooled.append(sketch.add("GlobalMaxPooling1D", f"pool_{size}"))
        if len(pooled) > 1:
            sketch.add("Concatenate", "join", pooled)
        sketch.add("Dropout", "dropout", rate=self.dropout)
        self.head(sketch)
