"""Cells one on top of the other as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.cells.base import Cell, States, Steps, name_of
from engine.graph.ir import Value
from engine.layers.base import Net, within
from engine.options import inner, option, sequence
from engine.registry import register


@register("cell", "StackedRNNCells")
@dataclass(frozen=True, kw_only=True)
class StackedRNNCells(Cell):
    """Each cell reads what the one before it puts out at the same step."""

    cells: tuple[Any, ...] = option(sequence(inner("cell"), 1, 100))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size for cell in self.cells for size in cell.sizes)

    @property
    def width(self) -> int:
        return int(self.cells[-1].width)

    def run(self, net: Net, given: Steps, name: str) -> tuple[Value, States]:
        """Cell by cell over the whole sequence: what a step that the mask leaves out puts out is never read."""
        outputs, ends, first = given.x, [], 0
        with net.part(name, self):
            for number, cell in enumerate(self.cells):
                count = len(cell.sizes)
                initial = given.initial and given.initial[first:first + count]
                place = sum(type(other) is type(cell) for other in self.cells[:number])
                called = f"{name_of(cell)}_{place}" if place else name_of(cell)
                with within(f"cells/{number}"):
                    outputs, last = cell.run(net, replace(given, x=outputs, initial=initial), called)
                ends += last
                first += count
        return outputs, tuple(ends)

    def attribute_of(self, part: str) -> str:
        return "cell" if part == name_of(self) else f"cells/{part}"
