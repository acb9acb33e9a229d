"""A job's `training`, `checkpoints` and `resources`, as options and as they are understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.callbacks.base import Callback
from engine.data.readers import mapping as mapping_of
from engine.definition.limits import MAXIMUM_BATCH, MAXIMUM_EPOCHS, MAXIMUM_OUTPUTS
from engine.definition.metrics import metric
from engine.losses.base import Loss
from engine.lowering.select import NUMERICS, Numerics
from engine.metrics.base import Metric
from engine.optimizers.base import Optimizer
from engine.optimizers.rmsprop import RMSprop
from engine.options import (
    Mismatch,
    Reader,
    boolean,
    choice,
    entry,
    integer,
    number,
    option,
    optional,
    sequence,
    text,
    write,
)

_loss = entry("loss")
_metrics = sequence(metric, maximum=100)
_output = text()


def _is_entry(value: Any) -> bool:
    return not isinstance(value, Mapping) or isinstance(value.get("type", value.get("class_name")), str)


def _losses(value: Any, pointer: str) -> Loss | dict[str, Loss | None]:
    if value is None:
        raise Mismatch(pointer, "a loss, or {output: loss}", value)
    if _is_entry(value):
        read: Loss = _loss(value, pointer)
        return read
    losses: dict[str, Loss | None] = mapping_of(_output, optional(_loss), 1, MAXIMUM_OUTPUTS)(value, pointer)
    return losses


def _metric_lists(value: Any, pointer: str) -> tuple[Any, ...] | dict[str, tuple[Any, ...]]:
    if isinstance(value, Mapping) and not _is_entry(value):
        listed = Reader(lambda item, at: _metric_list(item, at), dict(_metrics.schema))
        lists: dict[str, tuple[Any, ...]] = mapping_of(_output, listed, 0, MAXIMUM_OUTPUTS)(value, pointer)
        return lists
    return _metric_list(value, pointer)


def _metric_list(value: Any, pointer: str) -> tuple[Any, ...]:
    """A list, or one metric alone."""
    if value is None:
        return ()
    read: tuple[Any, ...] = _metrics(value, pointer) if isinstance(value, (list, tuple)) else (metric(value, pointer),)
    return read


_weights = mapping_of(_output, number(minimum=0), 1, MAXIMUM_OUTPUTS)
_class_weights = mapping_of(text(1000), number(minimum=0), 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """`training` as it is written."""

    epochs: int = option(integer(minimum=1, maximum=MAXIMUM_EPOCHS), default=1)
    batch_size: int = option(integer(minimum=1, maximum=MAXIMUM_BATCH), default=32)
    steps_per_epoch: int | None = option(optional(integer(minimum=1)), default=None,
                                         doc="batches after which an epoch ends; null: all of the training split")
    validation_steps: int | None = option(optional(integer(minimum=1)), default=None,
                                          doc="batches that validation looks at; null: all of the validation split")
    optimizer: Optimizer = option(entry("optimizer"), default=RMSprop())
    loss: Any = option(Reader(_losses, {"type": "loss", "description": "a loss, or {output: loss}"}))
    loss_weights: Mapping[str, float] | None = option(optional(_weights), default=None, doc="{output: weight}; null: 1")
    metrics: Any = option(Reader(_metric_lists, {"type": "array", "description": "metrics, or {output: metrics}"}),
                          default=())
    callbacks: tuple[Callback, ...] = option(sequence(entry("callback"), maximum=100), default=())
    seed: int = option(integer(minimum=0), default=0, doc="of first weights, shuffling, dropout and augmentation")
    shuffle: bool = option(boolean, default=True, doc="a new order of the training rows in each epoch")
    class_weight: Mapping[str, float] | None = option(optional(_class_weights), default=None,
                                                      doc="{class: weight}; classes not named have 1")
    freeze: tuple[str, ...] = option(sequence(text(), maximum=1000), default=(),
                                     doc="patterns of names of layers that are not trained, like conv* or encoder/*")
    numerics: Numerics = option(choice(*NUMERICS), default="winograd4",
                                doc="how 3 x 3 convolutions may be computed: by Winograd's algorithm in tiles of 4 x 4 "
                                    "or 2 x 2, or directly; quick ones round a little differently")


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """When weights are kept, how many, and by which value the best are known."""

    every_epochs: int | None = option(optional(integer(minimum=1)), default=1)
    every_steps: int | None = option(optional(integer(minimum=1)), default=None)
    keep_last: int = option(integer(minimum=1, maximum=100), default=2)
    monitor: str | None = option(optional(text()), default=None, doc="loss, val_loss, val_accuracy, …; null: no best")
    mode: str = option(choice("auto", "min", "max"), default="auto",
                       doc="whether lower or higher is better; auto: higher for accuracies and their like")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job may use; null leaves it to the worker."""

    threads: int | None = option(optional(integer(minimum=1, maximum=256)), default=None)
    memory_bytes: int | None = option(optional(integer(minimum=1, maximum=2**53)), default=None)
    max_seconds: float | None = option(optional(number(above=0)), default=None)


@dataclass(frozen=True, kw_only=True)
class Training:
    """`training` as it is understood. Losses, their weights and metrics are given for each output that has a loss."""

    epochs: int
    batch_size: int
    steps_per_epoch: int | None
    validation_steps: int | None
    optimizer: Optimizer
    losses: Mapping[str, Loss]
    loss_weights: Mapping[str, float]
    metrics: Mapping[str, tuple[Metric, ...]]
    callbacks: tuple[Callback, ...]
    seed: int
    shuffle: bool
    class_weight: Mapping[str, float] | None
    freeze: tuple[str, ...] = ()
    several_outputs: bool
    """True if the model has several outputs: logs then carry their names."""
    numerics: Numerics = "winograd4"

    def to_json(self) -> dict[str, Any]:
        """As it would be written with all defaults filled in."""
        alone = not self.several_outputs
        (output, *_) = self.losses
        written = {
            "epochs": self.epochs, "batch_size": self.batch_size, "steps_per_epoch": self.steps_per_epoch,
            "validation_steps": self.validation_steps, "optimizer": self.optimizer,
            "loss": self.losses[output] if alone else self.losses,
            "loss_weights": dict(self.loss_weights),
            "metrics": self.metrics[output] if alone else self.metrics,
            "callbacks": self.callbacks, "seed": self.seed, "shuffle": self.shuffle, "class_weight": self.class_weight,
            "freeze": self.freeze,
            "numerics": self.numerics,
        }
        return {key: write(value) for key, value in written.items()}

    def log_name(self, output: str, name: str) -> str:
        """A loss's or metric's name in the logs: with the output's before it if there are several, as in Keras."""
        return f"{output}_{name}" if self.several_outputs else name

    def log_names(self, *, validation: bool) -> tuple[str, ...]:
        """Every name in an epoch's logs."""
        names = ["loss"]
        if self.several_outputs:
            names += [f"{output}_loss" for output in self.losses]
        names += [self.log_name(output, metric.log_name) for output, metrics in self.metrics.items()
                  for metric in metrics]
        return (*names, *(f"val_{name}" for name in names if validation), "learning_rate")

    def directions(self) -> dict[str, str]:
        """`min` or `max` for each log (without `val_`): which way is better."""
        losses = ["loss", *(f"{output}_loss" for output in self.losses if self.several_outputs)]
        return {**dict.fromkeys(losses, "min"),
                **{self.log_name(output, metric.log_name): metric.better for output, metrics in self.metrics.items()
                   for metric in metrics}}
