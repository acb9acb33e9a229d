"""Where a NaN began: training goes back and does its steps again, then one of them on a plan that keeps every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.graph.ir import Node, Value
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.runner import Runner
from engine.variables import Arrays, copied

Rates = Callable[[Any], Any]
"""The learning rates of updates, counted from 0."""


@dataclass(frozen=True)
class Start:
    """What training was like before update `step`, after `done` batches of the epoch that goes over `rows`."""

    arrays: Arrays
    step: int
    done: int
    epoch: int
    rows: np.ndarray[Any, Any]

    @property
    def finite(self) -> bool:
        """Whether every weight and slot is."""
        return _finite(self.arrays)


def began(runner: Runner, start: Start, bad: int, *, rates: Rates, stop: Callable[[], bool]) -> str | None:
    """Where the loss of update `bad` (counted from 0) became NaN or infinite, by what `runner` does from `start` on.

    A node, as `dense (matmul)`; or, where weights were not finite before that step, what made them so and when, as
    `optimizer (sgd) of dense/kernel in step 12`. None if `stop` asks for an end, or if nothing was found. The runner's
    arrays are changed.
    """
    runner.begin(start.rows, done=start.done, epoch=start.epoch)
    last = min(bad, start.step + runner.batches - start.done)
    if _go(runner, start, last, rates=rates, stop=stop) < last:
        return None
    if _finite(runner.session.parameters):
        return first_not_finite(runner, step=bad, rates=rates) if last == bad else None
    before, step = start, _go(runner, start, start.step, rates=rates, stop=stop)
    while _finite(runner.session.parameters):
        if stop():
            return None
        before = replace(before, arrays=copied(runner.session.parameters), step=step, done=runner.done)
        runner.advance(1, step=step, rates=rates)
        step += 1
    _go(runner, before, before.step, rates=rates, stop=stop)
    found = first_not_finite(runner, step=before.step, rates=rates)
    return found and f"{found} in step {before.step + 1}"


def first_not_finite(runner: Runner, *, step: int, rates: Rates) -> str | None:
    """Repeat the next step of `runner` unfused and unshared; the first node with a value that is not finite, or None.

    The node is named by its layer and op, or its optimizer's rule: `dense_1 (matmul)`; with the parameter if it
    writes one.
    """
    plan = compile_plan(runner.program.graph, runner.batch, keep=True, numerics=runner.plan.numerics)
    session = runner.session.rebound(plan)
    state, size = session.state, min(runner.batch, len(runner.rows) - int(session.state[run_state.CURSOR]))
    runner.set_rates(rates(np.array([step], np.int64)))
    state[run_state.STEP], state[run_state.RECORD] = step, 0
    session.run(size)

    def finite(value: Value) -> bool:
        return value.dtype != "float32" or bool(np.isfinite(session.value(value, size)).all())

    for node in plan.graph.nodes:
        if not all(map(finite, node.outputs)):
            return _name(node)
        for value in node.op.written(node):
            if not finite(value):
                return f"{_name(node)} of {value.name}"
    return None


def _go(runner: Runner, start: Start, until: int, *, rates: Rates, stop: Callable[[], bool]) -> int:
    """From `start` to before update `until`, or to where `stop` asks for an end; where that is."""
    for name, array in runner.session.parameters.items():
        array[...] = start.arrays[name]
    runner.begin(start.rows, done=start.done, epoch=start.epoch)
    step = start.step
    while step < until and not stop():
        _, sizes = runner.advance(until - step, step=step, rates=rates)
        step += len(sizes)
    return step


def _finite(arrays: Mapping[str, Any]) -> bool:
    return all(np.isfinite(array).all() for array in arrays.values())


def _name(node: Node) -> str:
    return f"{node.origin or 'the graph'} ({node.attrs.get('rule', node.op.name)})"
