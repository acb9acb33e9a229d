"""The weight store: every variable and optimizer slot of a job as one aligned float32 array, shared by its programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from engine.formats import Tensors, match
from engine.layers.base import Variable
from engine.random import INITIALIZER, bits
from engine.runtime.session import aligned

Arrays = dict[str, np.ndarray[Any, Any]]
SLOT_PREFIX = "optimizer/"


def initial_weights(variables: Iterable[Variable], seed: int) -> Arrays:
    """Every variable by its initializer, in the order in which the model's layers declare them.

    Each draws from a stream of its own, so a layer that is added at the end changes no other's values.
    """
    arrays: Arrays = {}
    for index, variable in enumerate(variables):
        arrays[variable.name] = initial(variable, index, seed)
    return arrays


def initial(variable: Variable, index: int, seed: int) -> np.ndarray[Any, Any]:
    """The values of one variable, the one of this number that was declared."""
    words = bits((seed, INITIALIZER + index, 0, 0), 4)
    key = sum(int(word) << (32 * place) for place, word in enumerate(words))
    array = aligned(variable.shape, "float32")
    array[...] = variable.initializer(variable.shape, key)
    return array


def empty_slots(slots: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Zeros for every slot of the optimizer."""
    return {SLOT_PREFIX + name: aligned(shape, "float32") for name, shape in slots.items()}


def fill(arrays: Arrays, tensors: Tensors) -> None:
    """Take over tensors of the same names and shapes. Raises WeightsError listing all that do not fit."""
    match({name: (array.shape, "float32") for name, array in arrays.items()}, tensors)
    for name, array in arrays.items():
        array[...] = tensors[name]


def copied(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    """A copy that training does not change."""
    return {name: array.copy() for name, array in arrays.items()}
