"""Where a training starts that does not start anew: model files that people post, and weights that fit in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import ENGINE_VERSION, formats
from engine.definition.model import Model, parse_model
from engine.errors import WeightsError
from engine.formats import Metadata, Tensors
from engine.formats.match import Differences, Shapes, compare, match, shapes_of
from engine.graph.build import forward_graph
from engine.variables import Arrays

FILE = "/file"
"""Where pointers to a definition inside a file begin."""


@dataclass(frozen=True)
class Starting:
    """A model with weights that fit it, as somebody had them; `format` is the file's."""

    model: Model
    format: str
    tensors: Tensors


def read_start(file: Path, definition: Any = None, pointer: str = "/definition") -> Starting:
    """A posted model file. The definition given, at `pointer`, comes before the file's own.

    Raises WeightsError for a file that cannot be read or does not fit, DefinitionError for a definition at fault.
    """
    content = formats.read(file)
    format = formats.format_of(file)
    if definition is None:
        definition = content.metadata.definition if content.metadata else content.definition
        pointer = FILE
    if definition is None:
        raise WeightsError(f"a file of the format {format} holds weights alone: expected a definition with it")
    model = parse_model(definition, pointer)
    expected = shapes(model)
    tensors = {name: _float32(name, tensor) for name, tensor in content.named(expected).items()}
    match({name: (shape, "float32") for name, shape in expected.items()}, tensors)
    return Starting(model, format, tensors)


def write_start(start: Starting, output: Path) -> None:
    """The weights as training takes them: a safetensors file that carries its definition."""
    metadata = Metadata(definition=start.model.to_json(), preprocessing={}, engine_version=ENGINE_VERSION)
    formats.weights_format("safetensors").write(output, start.tensors, metadata)


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's variables by name, in the order of creation."""
    return {variable.name: tuple(variable.shape) for variable in forward_graph(model)[1].variables}


def check_start(model: Model, source: Model, *, matching: bool) -> None:
    """Do the weights of a `source` fit a model, or with `matching` any of them? Raises WeightsError."""
    expected, given = shapes(model), shapes(source)
    found = compare(expected, given)
    if found and not matching:
        raise WeightsError(f"the weights do not fit the model: {found}")
    if not _taken(expected, found, given):
        raise WeightsError(f"none of the weights fits the model: {found}")


def fill_matching(arrays: Arrays, tensors: Tensors) -> str | None:
    """Take over what fits by name and shape; a sentence on the rest. Raises WeightsError if nothing fits."""
    expected = {name: tuple(array.shape) for name, array in arrays.items()}
    found = compare(expected, shapes_of(tensors))
    taken = _taken(expected, found, tensors)
    if not taken:
        raise WeightsError(f"none of the weights fits the model: {found}")
    for name in taken:
        arrays[name][...] = _float32(name, tensors[name])
    return f"training starts from {len(taken)} of {len(arrays)} weights; {found}" if found else None


def _taken(expected: Shapes, found: Differences, given: Mapping[str, Any]) -> list[str]:
    differ = {text.partition(":")[0] for text in found.shapes}
    return [name for name in expected if name in given and name not in differ]


def _float32(name: str, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values in float32. Raises WeightsError for others than finite numbers."""
    if tensor.dtype.kind != "f":
        return tensor
    with np.errstate(over="ignore"):
        values = np.asarray(tensor, np.float32)
    if not np.isfinite(values).all():
        raise WeightsError(f"{name}: expected finite numbers, received NaN or infinity")
    return values
