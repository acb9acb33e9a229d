"""Operations of `keras.ops`, as Keras writes them among the layers of a functional model: which layer is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine import registry
from engine.layers.operation import PREFIX

Meaning = tuple[str, dict[str, Any]]
"""A layer's type and its options."""


def is_operation(entry: Mapping[str, Any]) -> bool:
    """True for an operation, false for a layer."""
    return str(entry.get("module")).startswith("keras.src.ops.")


def meaning(name: str, config: Mapping[str, Any]) -> Meaning:
    """The layer that does what the operation of this class does with these options."""
    options = {key: value for key, value in config.items() if key != "name"}
    if name in _ALIKE and (found := _ALIKE[name](options)):
        return found
    if registry.lookup("layer", PREFIX + name) is None and registry.lookup("activation", registry.snake_case(name)):
        short = registry.snake_case(name)
        return "Activation", {"activation": {"type": short, **options} if options else short}
    return PREFIX + name, options


def constants(name: str, nodes: Any, is_constant: Callable[[Any], bool]) -> dict[str, Any]:
    """Numbers and arrays that the first call is given in the place of values, by the options that hold them."""
    layer: Any = registry.lookup("layer", PREFIX + name)
    node = nodes[0] if isinstance(nodes, (list, tuple)) and nodes else None
    if layer is None or not layer.constants or not isinstance(node, Mapping):
        return {}
    args = node.get("args")
    given = dict(zip(layer.constants, args, strict=False)) if isinstance(args, (list, tuple)) else {}
    return {key: value for key, value in given.items() if is_constant(value)}


def _permute(options: dict[str, Any]) -> Meaning | None:
    axes = options.get("axes")
    if not isinstance(axes, (list, tuple)) or not axes or axes[0] != 0:
        return None
    return "Permute", {"dims": list(axes[1:])}


def _reshape(options: dict[str, Any]) -> Meaning | None:
    shape = options.get("newshape")
    if not isinstance(shape, (list, tuple)) or not shape or shape[0] not in (-1, None):
        return None
    return "Reshape", {"target_shape": list(shape[1:])}


_ALIKE: Mapping[str, Callable[[dict[str, Any]], Meaning | None]] = {
    "Concatenate": lambda options: ("Concatenate", options),
    "Transpose": _permute,
    "Reshape": _reshape,
}
