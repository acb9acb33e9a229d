"""GFLOP/s of contractions by shape and direction, beside the peak measured between their turns.

python -m benchmarks.kernels                 # the shapes below
python -m benchmarks.kernels --step cnn32    # every call of a workload's step, on one thread

A case is an op alone in a graph, lowered and bound as in a training step: halos, transposes and folds are in its time.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import results
from benchmarks.peak import Peak
from benchmarks.step import Step, make_problem, missing
from benchmarks.workloads import WORKLOADS
from engine.graph.ir import Graph, GraphBuilder
from engine.lowering.plan import compile_plan
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type

TURNS = 5
PEAK_SECONDS, CASE_SECONDS = 0.03, 0.06
COLUMNS = ("op", "shape", "GFLOP/s, 1 thread", "of peak", "GFLOP/s, all threads", "of peak")


@dataclass(frozen=True)
class Case:
    """An op of a batch: its inputs are `fed`, of these shapes without the batch, and then `weights`."""

    op: str
    shape: str
    batch: int
    fed: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...] = ()
    attrs: tuple[tuple[str, object], ...] = ()

    def graph(self) -> Graph:
        """The op alone."""
        b = GraphBuilder("case")
        inputs = [b.input(f"x{place}", Type((Batch(), *shape))) for place, shape in enumerate(self.fed)]
        inputs += [b.parameter(f"w{place}", Type(shape)) for place, shape in enumerate(self.weights)]
        return b.finish(y=b.op(self.op, *inputs, **dict(self.attrs)))


def matmul(m: int, k: int, n: int) -> Iterator[Case]:
    """A dense layer's three products."""
    shape = f"{m} x {k} x {n}"
    yield Case("matmul", f"{shape}, forward", m, ((k,),), ((k, n),))
    yield Case("matmul", f"{shape}, backward data", m, ((n,),), ((k, n),), (("transpose_b", True),))
    yield Case("matmul", f"{shape}, backward weights", m, ((k,), (n,)), (), (("transpose_a", True),))


def convolution(batch: int, size: int, channels: int, filters: int, kernel: int = 3, strides: int = 1,
                padding: int | None = None) -> Iterator[Case]:
    """A convolution in three directions; by default it keeps the image's size."""
    border = kernel // 2 if padding is None else padding
    out = (size + 2 * border - kernel) // strides + 1
    attrs = (("strides", (strides, strides)), ("padding", ((border, border), (border, border))))
    shape = f"{batch} x {size} x {size} x {channels}, {kernel} x {kernel} to {filters}" + (
        f", stride {strides}" if strides > 1 else "") + (", valid" if kernel > 1 and not border else "")
    image, result, weights = (size, size, channels), (out, out, filters), (kernel, kernel, channels, filters)
    yield Case("conv2d", shape, batch, (image,), (weights,), attrs)
    if channels > 3:
        yield Case("conv2d_backward_data", shape, batch, (result,), (weights,), (*attrs, ("size", (size, size))))
    yield Case("conv2d_backward_kernel", shape, batch, (image, result), (), (*attrs, ("kernel", (kernel, kernel))))


def depthwise(batch: int, size: int, channels: int) -> Iterator[Case]:
    """A depthwise convolution in three directions."""
    attrs = (("padding", ((1, 1), (1, 1))),)
    shape, image = f"{batch} x {size} x {size} x {channels}, 3 x 3", (size, size, channels)
    weights = (3, 3, channels, 1)
    yield Case("depthwise_conv2d", shape, batch, (image,), (weights,), attrs)
    yield Case("depthwise_conv2d_backward_data", shape, batch, (image,), (weights,), (*attrs, ("size", (size, size))))
    yield Case("depthwise_conv2d_backward_kernel", shape, batch, (image, image), (), (*attrs, ("kernel", weights)))


CASES = (
    *matmul(128, 784, 512), *matmul(128, 512, 256), *matmul(1024, 1024, 1024), *matmul(32, 2304, 64),
    *convolution(32, 32, 3, 32, padding=0), *convolution(32, 15, 32, 64, padding=0),
    *convolution(128, 32, 16, 16), *convolution(128, 16, 32, 32), *convolution(128, 8, 64, 64),
    *convolution(128, 32, 16, 32, strides=2), *convolution(32, 28, 64, 64), *convolution(64, 16, 64, 128, kernel=1),
    *depthwise(64, 32, 16), *depthwise(64, 16, 64), *depthwise(64, 8, 256),
)


def measure(case: Case, threads: int) -> tuple[float, float]:
    """GFLOP/s of a case and of the peak between its turns, the best turn of each: what disturbs only slows."""
    graph = case.graph()
    flops = case.batch * sum(node.op.flops(node) for node in graph.nodes)
    workers, random = Workers(threads), np.random.default_rng(0)
    try:
        weights = {value.name: _filled(value.shape, random) for value in graph.parameters}
        session = Session(compile_plan(graph, case.batch), weights, {}, workers)
        for feed in session.feeds.values():
            feed[...] = random.standard_normal(feed.shape, dtype=np.float32)
        peak = Peak(threads)
        own = [(timed(peak.run, PEAK_SECONDS), timed(lambda steps: session.run(case.batch, steps), CASE_SECONDS))
               for _ in range(TURNS)]
        return (flops / min(case_seconds for _, case_seconds in own) / 1e9,
                peak.flops["direct"] / min(peak_seconds for peak_seconds, _ in own) / 1e9)
    finally:
        workers.close()


def _filled(shape: tuple[object, ...], random: np.random.Generator) -> np.ndarray:
    array = aligned(tuple(int(dim) for dim in shape), "float32")  # type: ignore[call-overload]
    array[...] = random.standard_normal(array.shape, dtype=np.float32)
    return array


def timed(run: Callable[[int], object], seconds: float) -> float:
    """Seconds of one step, from about so many seconds of them."""
    steps, spent = 1, 0.0
    while True:
        began = time.perf_counter()
        run(steps)
        spent = time.perf_counter() - began
        if spent >= seconds / 2:
            return spent / steps
        steps = max(steps + 1, int(steps * min(20.0, seconds / max(spent, 1e-6))))


def rows(threads: int) -> Iterator[tuple[str, ...]]:
    """A line for each case."""
    for case in CASES:
        cells = [case.op, case.shape]
        for count in (1, threads):
            gflops, peak = measure(case, count)
            cells += [f"{gflops:.0f}", f"{gflops / peak:.0%}"]
        yield tuple(cells)


def calls(name: str) -> Iterator[tuple[str, ...]]:
    """Every call of a workload's step, on one thread, in the step's order: best of a few."""
    workload = WORKLOADS[name]
    step = Step(make_problem(workload), threads=1)
    step.losses(2)
    peak = Peak(1)
    best = peak.flops["direct"] / min(timed(peak.run, PEAK_SECONDS) for _ in range(TURNS)) / 1e9
    step.runner.begin(np.arange(workload.batch))
    found = []
    for call in step.runner.session.bind(workload.batch):
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(call.entry)
        seconds = 1e9
        for _ in range(TURNS):
            began = time.perf_counter()
            function(call.args.ctypes.data, 0, call.chunks)
            seconds = min(seconds, time.perf_counter() - began)
        found.append((call, seconds))
    total = sum(seconds for _, seconds in found)
    for call, seconds in found:
        gflops = call.flops / seconds / 1e9
        share = (f"{gflops:.0f}", f"{gflops / best:.0%}") if call.flops else ("", "")
        yield (call.label, f"{seconds * 1e3:.3f}", f"{seconds / total:.1%}", str(call.chunks), *share)
    yield ("all", f"{total * 1e3:.3f}", "100.0%", "", "", "")


def main() -> int:
    """Print one table or the other."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--step", choices=[name for name, workload in WORKLOADS.items() if not missing(workload)])
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = options.parse_args()
    if chosen.step:
        print(results.table(("call", "ms", "of the step", "chunks", "GFLOP/s executed", "of peak"),
                            list(calls(chosen.step))))
    else:
        print(results.table(COLUMNS, list(rows(chosen.threads))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
