"""Metrics as they are written: by Keras's names, and `accuracy`, whose kind follows from target and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine import registry
from engine.errors import pointer_to
from engine.losses.target import Target
from engine.metrics.accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from engine.metrics.base import Metric
from engine.options import Reader, entry, read_entry, text

_entry = entry("metric")


@dataclass(frozen=True)
class Accuracy:
    """An accuracy whose kind is still open."""

    name: str

    def resolve(self, target: Target, output: tuple[int, ...]) -> Metric:
        """As Keras: binary for one output unit, sparse for class codes, else categorical."""
        if output[-1:] == (1,):
            return BinaryAccuracy(name=self.name)
        if target.kind == "classes":
            return SparseCategoricalAccuracy(name=self.name)
        return CategoricalAccuracy(name=self.name)


def _read(value: Any, pointer: str) -> Metric | Accuracy:
    if isinstance(value, str):
        if _is_accuracy(value):
            return Accuracy(value)
        # Keras logs a metric that is given by name under that very name.
        by_name: Metric = read_entry("metric", {"type": value, **({"name": value} if _known(value) else {})}, pointer,
                                     pointer)
        return by_name
    if isinstance(value, Mapping) and set(value) <= {"type", "name"} and value.get("type") in ("accuracy", "acc"):
        named = value.get("name")
        return Accuracy(value["type"].lower() if named is None else text()(named, pointer_to(pointer, "name")))
    config = value.get("config") if isinstance(value, Mapping) else None
    if isinstance(config, Mapping) and config.get("dtype") == "float32":
        value = {**value, "config": {key: item for key, item in config.items() if key != "dtype"}}
    read: Metric = _entry(value, pointer)
    return read


def _is_accuracy(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in ("accuracy", "acc")


def _known(name: str) -> bool:
    return registry.lookup("metric", name) is not None


metric = Reader(_read, {"type": "metric"})
"""Reads a metric, or an `Accuracy`."""


def complete(read: Metric | Accuracy, target: Target, output: tuple[int, ...]) -> Metric:
    """The metric with its kind and name decided."""
    if isinstance(read, Accuracy):
        return read.resolve(target, output)
    return replace(read, name=read.log_name)
