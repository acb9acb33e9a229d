"""Runs a program over rows of the tables: which rows, in which batches, in native calls of bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.kernels import state as run_state
from engine.lowering.plan import Plan, compile_plan
from engine.lowering.select import Numerics
from engine.programs import Program
from engine.runtime.session import Session
from engine.runtime.threads import Workers

Array = np.ndarray[Any, Any]
CALL_SECONDS = 0.08
"""A native call is meant to take so long: short enough to stop within, long enough to cost nothing."""
MOST_STEPS = 4096
RECORD_BYTES = 4 << 20
"""What the records of one native call may take: a metric may have tens of thousands of sums."""


class Runner:
    """One program bound to its weights and tables.

    `begin` says which rows, in order; every `advance` does some of the batches that are left.
    """

    def __init__(self, program: Program, batch: int, parameters: Mapping[str, Array], tables: Mapping[str, Array],
                 workers: Workers, *, seed: int = 0, plan: Plan | None = None,
                 numerics: Numerics = "winograd4") -> None:
        self.program = program
        self.batch = batch
        self.plan = plan or compile_plan(program.graph, batch, numerics=numerics)
        self.session = Session(self.plan, parameters, tables, workers, seed=seed)
        width = max(1, program.width)
        self._most = max(1, min(MOST_STEPS, RECORD_BYTES // (4 * width)))
        self._records = np.zeros((self._most, width), np.float32)
        self._rates = np.zeros(self._most, np.float32)
        self._order: Array = np.zeros(0, np.int64)
        self._seconds_per_step: float | None = None
        state = self.session.state
        state[run_state.RECORDS], state[run_state.RATES] = self._records.ctypes.data, self._rates.ctypes.data

    def bind(self) -> None:
        """Compile or load the compute kernels for whole batches, which the first run would do otherwise."""
        self.session.prepare(self.batch)

    def begin(self, rows: Array, *, done: int = 0, epoch: int = 0) -> None:
        """The batches are `rows` in this order, `done` of them already done."""
        self._order = np.ascontiguousarray(rows, np.int64)
        state = self.session.state
        state[run_state.ORDER] = self._order.ctypes.data
        state[run_state.CURSOR] = done * self.batch
        state[run_state.EPOCH] = epoch

    @property
    def rows(self) -> Array:
        """The rows of `begin`."""
        return self._order

    def set_rates(self, values: Array) -> None:
        """Learning rates of the next record lines."""
        self._rates[: len(values)] = values

    @property
    def batches(self) -> int:
        """Batches in all, the smaller last one included."""
        return -(-len(self._order) // self.batch)

    @property
    def done(self) -> int:
        """Batches done."""
        return -(-int(self.session.state[run_state.CURSOR]) // self.batch)

    def advance(
        self, most: int, *, step: int = 0, rates: Callable[[Array], Array] | None = None,
        leave: Callable[[], bool] | None = None,
    ) -> tuple[Array, Array]:
        """Do up to `most` batches, as many as fit a native call: their records (steps, width) and sizes (steps,).

        `step` is the number of updates done before, `rates` gives the learning rates of steps, `leave` is asked now
        and then whether to give up in the middle of a step. Raises Left, after which this runner is of no more use.
        """
        state = self.session.state
        cursor = int(state[run_state.CURSOR])
        whole = (len(self._order) - cursor) // self.batch
        size, steps = (self.batch, min(most, whole, self._fitting())) if whole else (len(self._order) - cursor, 1)
        if rates is not None:
            self.set_rates(rates(np.arange(step, step + steps, dtype=np.int64)))
        state[run_state.STEP], state[run_state.RECORD] = step, 0
        started = time.monotonic()
        self.session.run(size, steps, leave)
        # The first call also compiles: its time says nothing, and the next one is cautious.
        self._seconds_per_step = (
            (time.monotonic() - started) / steps if self._seconds_per_step is not None else CALL_SECONDS
        )
        state[run_state.CURSOR] = cursor + size * steps
        return self._records[:steps].copy(), np.full(steps, size, np.int64)

    def _fitting(self) -> int:
        """Steps that fit a native call; one as long as nothing was measured, since the first one also compiles."""
        if self._seconds_per_step is None:
            return 1
        return int(max(1, min(self._most, CALL_SECONDS / max(self._seconds_per_step, 1e-7))))


class Totals:
    """Running sums of records: the loss weighted by the batches' sizes, every metric's own sums, in float64."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.examples = 0
        self.sums = np.zeros(program.width, np.float64)

    def add(self, records: Array, sizes: Array) -> None:
        """Add steps in their order: one after the other, so it does not matter how they are spread over calls."""
        weighted = records.astype(np.float64)
        for field in self.program.fields:
            if field.metric is None:
                weighted[:, field.offset : field.offset + field.width] *= sizes[:, None]
        self.sums = np.cumsum(np.concatenate([self.sums[None], weighted]), axis=0)[-1]
        self.examples += int(sizes.sum())

    def values(self, prefix: str = "") -> dict[str, float]:
        """The loss and every metric by name."""
        found = {}
        for field in self.program.fields:
            part = self.sums[field.offset: field.offset + field.width]
            found[prefix + field.name] = (
                float(part[0] / max(1, self.examples)) if field.metric is None else float(field.metric.result(part))
            )
        return found

    def snapshot(self) -> dict[str, Array]:
        """For a checkpoint."""
        return {"sums": self.sums.copy(), "examples": np.array([self.examples], np.float64)}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Take over a snapshot."""
        if snapshot:
            self.sums[:] = snapshot["sums"]
            self.examples = int(snapshot["examples"][0])
