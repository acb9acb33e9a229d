"""What feeding a training step costs: cnn32's step with its input there already, and with more in front of it.

python -m benchmarks.input_pipeline

All of it happens inside the plan, done by the same threads as the rest: rows gathered from a table of uint8, moved and
mirrored, and made float32. Whole steps are timed in turn, the best of several turns each. That is noisy where others
work too, so each of a step's calls is also timed by itself on one thread, the best of many times, and summed up.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import results
from benchmarks.step import training
from benchmarks.workloads import LEARNING_RATE, WORKLOADS
from engine.data.augmentation import Augmentation
from engine.data.augmentations.random_crop import RandomCrop
from engine.data.augmentations.random_flip import RandomFlip
from engine.data.augmentations.random_translation import RandomTranslation
from engine.definition import parse_model
from engine.graph.ir import Graph, Value, rebuild
from engine.programs import TARGET, Pipeline, Program, Stored, train_program
from engine.runner import Runner
from engine.runtime.cores import available_cores
from engine.runtime.threads import Workers
from engine.variables import empty_slots, initial_weights

EXAMPLES = 4096
TURN_SECONDS, TIMES = 0.25, 3
FLIP = RandomFlip(mode="horizontal")
CROP = RandomCrop(height=32, width=32)
MOVE = RandomTranslation(height_factor=(-0.1, 0.1), width_factor=(-0.1, 0.1))


@dataclass(frozen=True)
class Case:
    """Pictures of `side` pixels of this dtype, and what happens to them. `there`: they lie in the step's input."""

    label: str
    dtype: str = "uint8"
    side: int = 32
    augmentations: tuple[Augmentation, ...] = ()
    there: bool = False


CASES = (
    Case("input already there", "float32", there=True),
    Case("float32 gathered", "float32"),
    Case("uint8 gathered, rescaled"),
    Case("and flipped", augmentations=(FLIP,)),
    Case("and flipped, cropped from 40 x 40", side=40, augmentations=(FLIP, CROP)),
    Case("and flipped, translated (bilinear)", augmentations=(FLIP, MOVE)),
)


class Fed:
    """A case's training, ready to run."""

    def __init__(self, case: Case, workload: str, threads: int) -> None:
        chosen = WORKLOADS[workload]
        model = parse_model(chosen.definition)
        shape = (case.side, case.side, 3)
        channels = (1, 1, 1, 3)
        affine = None if case.dtype == "float32" else (np.full(channels, 1 / 255, np.float32),
                                                       np.zeros(channels, np.float32))
        pipeline = Pipeline({"x": Stored(shape, case.dtype, affine)}, case.augmentations)
        program = train_program(model, training(model, chosen.batch), pipeline)
        if case.there:
            program = replace(program, graph=_fed(program))
        random = np.random.default_rng(0)
        pictures = random.integers(0, 256, (EXAMPLES, *shape)).astype(np.uint8)
        tables: Mapping[str, np.ndarray] = {
            "x": pictures if case.dtype == "uint8" else (pictures / 255).astype(np.float32),
            TARGET: random.integers(0, 10, EXAMPLES).astype(np.int32),
        }
        store = {**initial_weights(program.variables, 0), **empty_slots(program.slots)}
        self.runner = Runner(program, chosen.batch, store, tables, Workers(threads))
        for feed in self.runner.session.feeds.values():
            feed[...] = tables["x"][: len(feed)]
        self._order = random.permutation(EXAMPLES)
        self.runner.begin(self._order)
        self.seconds = float("inf")
        self._calls = self.runner.session.bind(chosen.batch)
        self._best = [float("inf")] * len(self._calls)

    @property
    def calls(self) -> tuple[float, float]:
        """Seconds of all the step's calls, each at its best, and of those that feed it."""
        feeding = (seconds for call, seconds in zip(self._calls, self._best, strict=True)
                   if call.label.startswith(("input ", ":gather")))
        return sum(self._best), sum(feeding)

    def turn(self) -> None:
        """Train for a while, and remember the quickest native call."""
        deadline = time.monotonic() + TURN_SECONDS
        while time.monotonic() < deadline:
            if self.runner.done == self.runner.batches:
                self.runner.begin(self._order)
            began = time.perf_counter()
            records, _ = self.runner.advance(self.runner.batches, rates=_rates)
            self.seconds = min(self.seconds, (time.perf_counter() - began) / len(records))
        self.runner.begin(self._order)
        for place, call in enumerate(self._calls):
            function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(call.entry)
            for _ in range(TIMES):
                began = time.perf_counter()
                function(call.args.ctypes.data, 0, call.chunks)
                self._best[place] = min(self._best[place], time.perf_counter() - began)


def _fed(program: Program) -> Graph:
    """The graph with a fed input in the place of the gathered one."""
    gathered = next(node for node in program.graph.nodes if node.op.name == "gather" and node.inputs[0].name == "x")
    there = Value(gathered.outputs[0].type, "input", "x")
    graph = rebuild(program.graph, [node for node in program.graph.nodes if node is not gathered],
                    {gathered.outputs[0]: there})
    return replace(graph, inputs=(there,))


def _rates(steps: np.ndarray) -> np.ndarray:
    return np.full(len(steps), LEARNING_RATE, np.float32)


def main() -> int:
    """Print a line for each case."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--workload", default="cnn32", choices=("cnn32", "cnn128", "resnet20", "mobilenet"))
    options.add_argument("--threads", type=int, default=available_cores())
    options.add_argument("--rounds", type=int, default=12)
    chosen = options.parse_args()
    fed = [Fed(case, chosen.workload, chosen.threads) for case in CASES]
    for _ in range(chosen.rounds):
        for one in fed:
            one.turn()
    rows = []
    for case, one in zip(CASES, fed, strict=True):
        step, feeding = one.calls
        rows.append((case.label, f"{one.seconds * 1e3:.3f}", f"{one.seconds / fed[0].seconds - 1:+.1%}",
                     f"{step * 1e3:.3f}", f"{feeding * 1e3:.3f}", f"{feeding / step:.1%}"))
    print(results.table(("examples", f"ms of a step, {chosen.threads} threads", "more", "ms of its calls, 1 thread",
                         "of the input's", "share"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
