"""Names of layers and of their calls: those written, and Keras-like ones for the others."""

from __future__ import annotations

from engine import registry
from engine.definition.draft import Draft, Faults
from engine.errors import show
from engine.registry import snake_case


def complete_names(draft: Draft, faults: Faults) -> tuple[list[str], list[str]]:
    """A name for every layer and for every call, in order.

    Written names are kept; others are conv2d, conv2d_1, … and never collide. A layer's first call has its name.
    """
    taken: dict[str, str] = {}
    for entry in draft.inputs:
        taken[entry.name] = "an input"
    written = [(layer.name, layer.name_pointer) for layer in draft.layers]
    written += [(call.name, call.name_pointer) for call in draft.calls]
    for name, pointer in written:
        if name is None:
            continue
        if name in taken:
            faults.add(pointer, "a name of its own", f"{show(name)}, which {taken[name]} has")
        taken.setdefault(name, "another layer")
    _refuse_prefixes(draft, faults)
    for name in list(taken):
        taken |= dict.fromkeys(_above(name), "a nested model")
    fresh = _Fresh(taken)
    layers = [fresh.name(_stem(layer.type)) if layer.name is None else layer.name for layer in draft.layers]
    called: set[int] = set()
    calls = []
    for call in draft.calls:
        first = call.layer not in called
        called.add(call.layer)
        calls.append(call.name or (layers[call.layer] if first else fresh.name(layers[call.layer])))
    return layers, calls


class _Fresh:
    """Makes names that nothing has."""

    def __init__(self, taken: dict[str, str]) -> None:
        self.taken = taken
        self.counts: dict[str, int] = {}

    def name(self, stem: str) -> str:
        """`stem`, or with the first number that makes it a name of its own."""
        while True:
            number = self.counts.get(stem, 0)
            self.counts[stem] = number + 1
            name = f"{stem}_{number}" if number else stem
            if name not in self.taken:
                self.taken[name] = "another layer"
                return name


def _refuse_prefixes(draft: Draft, faults: Faults) -> None:
    """A layer `a` and a layer `a/b` could have variables of one name."""
    known = {layer.name for layer in draft.layers}
    for layer in draft.layers:
        for above in _above(layer.name or ""):
            if above in known:
                faults.add(layer.name_pointer, f"a name that does not begin with {above}/, as {above} is a layer",
                           show(layer.name))


def _above(path: str) -> list[str]:
    """The paths of the models that a path leads through."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _stem(type_name: object) -> str:
    if type_name in ("Model", "Functional", "Sequential"):
        return snake_case(str(type_name))
    cls = registry.lookup("layer", type_name) if isinstance(type_name, str) else None
    return snake_case(cls.__name__) if cls else "layer"
