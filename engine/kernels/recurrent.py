"""Recurrent steps: a thread takes some examples through all steps, so that no step waits for another thread.

    for step: for vector of units: for row tile:
        accumulators[row, gate] = bias + state before the step * panel
        states after the step, saved = cell(x, accumulators, states)

The kernel is copied first: for each vector of units the columns of all gates side by side, so that what a cell needs
stands in neighbouring registers. Backwards the gradient of the state before is one more product, by the transposed
kernel. Each element is one chain of fused multiply-adds, whatever the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.ir as ir

from engine.codegen import objects
from engine.codegen.builder import Code, Index
from engine.codegen.host import host
from engine.codegen.scalar import Condition, ScalarMath, Vector
from engine.kernels import lines, transpose
from engine.kernels.call import Buffer, Call, call
from engine.kernels.contract import accumulate
from engine.lowering.request import KernelRequest
from engine.recurrence import RECURRENCES

(PANELS, BATCH, STEPS, UNITS, ROWS, FIRST, DIRECTION, BEFORE, AFTER, X, MASK, SAVED, H, C, BIAS, H0, C0) = range(17)
(GIVEN, GIVEN_C, D_INNER, DH, DC, START, D_X) = (BIAS, H0, C0, C0 + 1, C0 + 2, C0 + 3, X)
CHUNKS, MOST_ROWS = 4, 32
"""Chunks to aim at, and examples of one chunk at most: the more, the less often a panel is read again."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`forward` or `backward`."""
    attrs = request.attrs
    cell, like = attrs["cell"], RECURRENCES[attrs["cell"]]
    masked, initial, backwards = (bool(attrs.get(name)) for name in ("masked", "initial", "backwards"))
    names = (cell, attrs.get("activation", "tanh"), attrs.get("gate", "sigmoid"))
    panels = writes[-1].address
    if request.function == "forward":
        x, kernel, *rest = (buffer for buffer in reads)
        batch, steps, units = x.shape[0], x.shape[1], kernel.shape[0]
    else:
        carry = bool(attrs["carry"])
        given, (kernel, *states), saved = reads[:1 + carry], reads[1 + carry:2 + carry + like.states], reads[
            2 + carry + like.states]
        batch, steps, units = saved.shape[0], saved.shape[1], kernel.shape[0]
    rows = min(MOST_ROWS, max(8, -(-batch // (8 * CHUNKS)) * 8))
    chunks = -(-batch // rows)
    flops = 2 * batch * steps * like.gates * units * units
    order = [steps - 1, -1, 1, 0] if backwards else [0, 1, 0, 1]
    args = [panels, batch, steps, units, rows, *order]
    if request.function == "forward":
        bias = rest.pop(0).address if like.apart else 0
        mask = rest.pop().address if masked else 0
        starts = [buffer.address for buffer in rest] + [0, 0]
        outputs = [buffer.address for buffer in writes[:-1]]
        args += [x.address, mask, outputs[-1], outputs[0], outputs[like.states - 1], bias, *starts[:2]]
        groups = -(-units // host().lanes)
        copy = call(panels_of(like.gates), [kernel.address, panels, units], groups, "recurrent panels")
        return [copy, call(forward(*names, masked, initial), args, chunks, cell, flops)]
    outputs = [buffer.address for buffer in writes[:-1]]
    starts = outputs[1 + like.apart:]
    args += [outputs[0], reads[-1].address if masked else 0, saved.address, states[0].address, states[-1].address,
             given[0].address, given[-1].address, outputs[int(like.apart)], starts[0], starts[-1],
             steps if backwards else 0]
    vectors = panel_vectors(units)
    turn = transpose.transposed(kernel.address, panels, units, like.gates * units, width=vectors * host().lanes)
    return [turn, call(backward(*names, masked, carry, vectors), args, chunks, f"{cell} backward", flops)]


def panel_vectors(units: int) -> int:
    """Vectors of a panel of the transposed kernel: as many of four, three, two as leave the fewest empty."""
    vectors = -(-units // host().lanes)
    return min((4, 3, 2), key=lambda width: -vectors % width) if vectors > 1 else 1


def tile_rows(vectors: int) -> int:
    """Rows of a register tile: four, where vectors are few eight, if the registers suffice."""
    return min(host().rows(vectors), 8 if vectors < 3 else 4)


@objects.compiled
def panels_of(gates: int) -> str:
    """A chunk is a vector of units: panel (units, gates, lanes), zeros beyond the last unit. args: kernel, panels,
    units."""
    code = Code("panels", host().lanes)
    kernel, panels, units = code.pointer(0), code.pointer(1), code.arg(2)
    with code.loop(code.begin, code.end) as group, code.loop(0, units) as row:
        first = group.index * code.lanes
        mask = code.mask(units - first)
        target = code.at(panels, (group.index * units + row.index) * (gates * code.lanes))
        for gate in range(gates):
            source = code.at(kernel, (row.index * gates + gate) * units + first)
            code.store(code.load(source, mask=mask), code.at(target, gate * code.lanes))
    return code.finish()


class _Steps:
    """What forward and backward share: the arguments, and where things stand."""

    def __init__(self, name: str, cell: str, activation: str, gate: str, *, masked: bool) -> None:
        self.code = code = Code(name, host().lanes)
        self.m = ScalarMath(code)
        self.like, self.names, self.masked = RECURRENCES[cell], (activation, gate), masked
        self.batch, self.steps, self.units = (code.arg(place) for place in (BATCH, STEPS, UNITS))
        self.first, self.direction, self.before, self.after = (
            code.arg(place) for place in (FIRST, DIRECTION, BEFORE, AFTER))
        rows = code.arg(ROWS)
        self.start, self.stop = code.begin * rows, (code.end * rows).minimum(self.batch)
        self.saved = code.pointer(SAVED)
        self.states = [code.pointer(H), code.pointer(C)][:self.like.states]

    def state(self, pointer: ir.Value, row: Index, place: Index) -> ir.Value:
        """Where the state of an example stands."""
        return self.code.at(pointer, (row * (self.steps + 1) + place) * self.units)

    def line(self, pointer: ir.Value, row: Index, step: Index, blocks: int) -> ir.Value:
        """Where the blocks of units of an example's step stand."""
        return self.code.at(pointer, (row * self.steps + step) * (self.units * blocks))

    def blocks(self, line: ir.Value, count: int, column: Index, mask: ir.Value | None) -> list[Vector]:
        """A vector of each block."""
        return [Vector(self.m, self.code.load(self.code.at(line, self.units * block + column), mask=mask))
                for block in range(count)]

    def write(self, values: Sequence[Any], line: ir.Value, column: Index, mask: ir.Value | None) -> None:
        """A vector into each block."""
        for block, value in enumerate(values):
            self.code.store(self.m.vector(value).value, self.code.at(line, self.units * block + column), mask=mask)

    def kept(self, row: Index, step: Index) -> Condition:
        """Whether the step counts."""
        code = self.code
        value = code.splat(code.load_scalar(code.at(code.pointer(MASK), row * self.steps + step)))
        return Condition(code.ir.fcmp_ordered(">", value, code.zeros()))

    def tiles(self, rows: int, work: Any) -> None:
        """`work(row, count)` over the thread's examples: `rows` at a time, then one at a time."""
        whole = self.start + (self.stop - self.start) // rows * rows
        with self.code.loop(self.start, whole, rows) as several:
            work(several.index, rows)
        if rows > 1:
            with self.code.loop(whole, self.stop) as one:
                work(one.index, 1)


@objects.compiled
def forward(cell: str, activation: str, gate: str, masked: bool, initial: bool) -> str:
    """All steps of some examples."""
    at = _Steps("recurrent", cell, activation, gate, masked=masked)
    code, m, like, gates = at.code, at.m, at.like, at.like.gates
    x, panels, bias = code.pointer(X), code.pointer(PANELS), code.pointer(BIAS)
    height = tile_rows(gates)
    tile = code.local(height * gates * code.lanes)
    with code.loop(at.start, at.stop) as row:
        beginning = at.first + at.before
        for state, source in zip(at.states, (H0, C0), strict=False):
            target = at.state(state, row.index, beginning)
            if initial:
                code.move(target, code.at(code.pointer(source), row.index * at.units), at.units * 4)
            else:
                code.fill(target, at.units, code.zeros())
    with code.loop(0, at.steps) as number:
        step = at.first + number.index * at.direction
        before, after = step + at.before, step + at.after

        def columns(column: Index, mask: ir.Value | None) -> None:
            panel = code.at(panels, column * at.units * gates)
            shift = ([code.load(code.at(bias, at.units * block + column), mask=mask) for block in range(gates)]
                     if like.apart else [code.zeros()] * gates)

            def product(row: Index, count: int) -> None:
                totals = accumulate(code, shift * count, at.state(at.states[0], row, before), panel,
                                    (at.steps + 1) * at.units, [(at.units, code.index(1),
                                                                 code.index(gates * code.lanes))], [None] * gates)
                for place, total in enumerate(totals):
                    code.store(total, code.at(tile, place * code.lanes))
                with code.loop(0, count) as one:
                    follow(row + one.index, code.at(tile, one.index * (gates * code.lanes)))

            def follow(row: Index, inner: ir.Value) -> None:
                shares = at.blocks(at.line(x, row, step, gates), gates, column, mask)
                a = [Vector(m, code.load(code.at(inner, block * code.lanes))) for block in range(gates)]
                old = [Vector(m, code.load(code.at(at.state(state, row, before), column), mask=mask))
                       for state in at.states]
                new, saved = like.forward(m, *at.names, shares, a, old)
                if masked:
                    kept = at.kept(row, step)
                    new = [m.where(kept, value, former) for value, former in zip(new, old, strict=True)]
                for state, value in zip(at.states, new, strict=True):
                    at.write([value], at.state(state, row, after), column, mask)
                at.write(saved, at.line(at.saved, row, step, like.saved), column, mask)

            at.tiles(height, product)

        lines.vectors(code, at.units, columns)
    return code.finish()


@objects.compiled
def backward(cell: str, activation: str, gate: str, masked: bool, carry: bool, vectors: int) -> str:
    """All steps of some examples, from the last one taken to the first; DH and DC hold the states' gradients."""
    at = _Steps("recurrent_grad", cell, activation, gate, masked=masked)
    code, m, like, gates = at.code, at.m, at.like, at.like.gates
    panels, d_x = code.pointer(PANELS), code.pointer(D_X)
    d_inner = code.pointer(D_INNER) if like.apart else d_x
    given = [code.pointer(GIVEN), code.pointer(GIVEN_C)][:1 + carry]
    carried = [code.pointer(DH), code.pointer(DC)][:like.states]
    width, depth = vectors * code.lanes, at.units * gates

    def each(work: Any) -> None:
        """`work(row, column, mask)` for every vector of the states' gradients."""
        with code.loop(at.start, at.stop) as row:
            lines.vectors(code, at.units, lambda column, mask: work(row.index, column, mask))

    def gradients(row: Index, column: Index, mask: ir.Value | None, place: Index) -> list[Vector]:
        """Those that come from the steps behind and those that are given."""
        found = []
        for which, pointer in enumerate(carried):
            value = Vector(m, code.load(code.at(pointer, row * at.units + column), mask=mask))
            if which < len(given):
                value = value + Vector(m, code.load(code.at(at.state(given[which], row, place), column), mask=mask))
            found.append(value)
        return found

    def keep(values: Sequence[Any], row: Index, column: Index, mask: ir.Value | None) -> None:
        for pointer, value in zip(carried, values, strict=True):
            code.store(m.vector(value).value, code.at(pointer, row * at.units + column), mask=mask)

    each(lambda row, column, mask: keep([0.0] * like.states, row, column, mask))
    with code.loop(0, at.steps) as number:
        step = at.first + (at.steps - 1 - number.index) * at.direction
        before, after = step + at.before, step + at.after

        def follow(row: Index, column: Index, mask: ir.Value | None) -> None:
            grads = gradients(row, column, mask, after)
            saved = at.blocks(at.line(at.saved, row, step, like.saved), like.saved, column, mask)
            old = [Vector(m, code.load(code.at(at.state(state, row, before), column), mask=mask))
                   for state in at.states]
            dx, da, left = like.backward(m, *at.names, saved, old, grads)
            if masked:
                kept = at.kept(row, step)
                dx, da = ([m.where(kept, value, 0.0) for value in values] for values in (dx, da))
                left = [m.where(kept, value, grad) for value, grad in zip(left, grads, strict=True)]
            at.write(dx, at.line(d_x, row, step, gates), column, mask)
            if like.apart:
                at.write(da, at.line(d_inner, row, step, gates), column, mask)
            keep(left, row, column, mask)

        each(follow)
        with code.loop(0, at.units, width) as column:
            panel = code.at(panels, column.index * depth)
            masks = [code.mask(at.units - column.index - place * code.lanes) for place in range(vectors)]

            def product(row: Index, count: int) -> None:
                targets = [code.at(carried[0], (row + one) * at.units + column.index + place * code.lanes)
                           for one in range(count) for place in range(vectors)]
                start = [code.load(target, mask=masks[place % vectors]) for place, target in enumerate(targets)]
                totals = accumulate(code, start, at.line(d_inner, row, step, gates), panel, at.steps * depth,
                                    [(depth, code.index(1), code.index(width))], [None] * vectors)
                for place, (total, target) in enumerate(zip(totals, targets, strict=True)):
                    code.store(total, target, mask=masks[place % vectors])

            at.tiles(tile_rows(vectors), product)
    each(lambda row, column, mask: keep(gradients(row, column, mask, code.arg(START)), row, column, mask))
    return code.finish()
