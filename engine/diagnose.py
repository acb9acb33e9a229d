"""Where a NaN began: one step on a plan that keeps every value, looked through in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.graph.ir import Node
from engine.kernels import state as run_state
from engine.lowering.plan import compile_plan
from engine.runner import Runner


def first_not_finite(runner: Runner, *, step: int, rates: Callable[[Any], Any]) -> str | None:
    """Repeat the next step of `runner` unfused and unshared; the first node with a value that is not finite, or None.

    The node is named by its layer and op: `dense_1 (matmul)`.
    """
    plan = compile_plan(runner.program.graph, runner.batch, keep=True)
    session = runner.session.rebound(plan)
    state, size = session.state, min(runner.batch, len(runner.rows) - int(session.state[run_state.CURSOR]))
    runner.set_rates(rates(np.array([step], np.int64)))
    state[run_state.STEP], state[run_state.RECORD] = step, 0
    session.run(size)
    for node in plan.graph.nodes:
        for output in node.outputs:
            if output.dtype == "float32" and not np.isfinite(session.value(output, size)).all():
                return _name(node)
    return None


def _name(node: Node) -> str:
    return f"{node.origin or 'the graph'} ({node.op.name})"
