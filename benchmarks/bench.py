"""Training steps of every workload, the engine's and each peer's in turn; kernels; first steps. `make bench` runs it.

python -m benchmarks.bench --peers .venv-bench/bin/python [--only cnn32 kernels compile …]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import compiling, kernels, results
from benchmarks.results import OURS, PEAK, Comparison, Figures
from benchmarks.step import make_problem, missing
from benchmarks.turns import ROOT, Contender, Failed, Process
from benchmarks.workloads import WORKLOADS, Workload

ENGINE = Contender(OURS, "benchmarks.ours", "engine")
MACHINE = Contender(PEAK, "benchmarks.peak", "fma")
TORCH, KERAS, JAX = (f"benchmarks.peers.{name}_steps" for name in ("torch", "keras", "jax"))
PEERS = (
    Contender("torch eager", TORCH, "eager"),
    Contender("torch channels_last", TORCH, "channels_last"),
    Contender("torch compile", TORCH, "compile"),
    Contender("torch compile channels_last", TORCH, "compile_channels_last"),
    Contender("keras", KERAS, "fit"),
    Contender("keras 50 steps a call", KERAS, "fit_many"),
    Contender("keras xla", KERAS, "xla"),
    Contender("jax jit", JAX, "jit"),
    Contender("jax scan", JAX, "scan"),
)
WARM_UP_SECONDS = 0.2
HOPELESS = 4
"""A peer so many times slower than the fastest one in the warm-up, whose shortest turn takes so many times as long as
a turn should, is not timed further: 50 scanned steps of a convolution take JAX minutes."""


class Bench:
    """How long, with what, on how many threads."""

    def __init__(self, peers: Path, threads: int, rounds: int, seconds: float, labels: list[str]) -> None:
        self.peers = peers
        self.threads = threads
        self.rounds = rounds
        self.seconds = seconds
        self.contenders = [peer for peer in PEERS if not labels or any(peer.label.startswith(one) for one in labels)]

    def compare(self, workload: Workload) -> Comparison:
        """Losses, then times. Raises SystemExit where losses do not agree or ours does not run."""
        fitting = [peer for peer in self.contenders
                   if len(workload.shape) == 3 or "channels_last" not in peer.configuration]
        with tempfile.TemporaryDirectory(prefix="stoker-bench-") as scratch:
            folder = Path(scratch)
            make_problem(workload).save(folder)
            cache = {"STOKER_KERNEL_CACHE": str(folder / "kernels")}
            with self.start(ENGINE, folder, dropout=True, environment=cache) as cold:
                cold_seconds = float(cold.ready["first_step_seconds"])
            found = Comparison(workload.name, workload.description, {}, cold_seconds)
            if workload.has_dropout:
                fitting = self._check(workload, fitting, folder, cache, found)
            with ExitStack() as stack:
                running = [stack.enter_context(self.start(ENGINE, folder, dropout=True, environment=cache)),
                           stack.enter_context(self.start(MACHINE, folder, dropout=True))]
                for contender in fitting:
                    try:
                        running.append(stack.enter_context(self.start(contender, folder, dropout=True)))
                    except Failed as failure:
                        found.failures.append(str(failure))
                losses = {process.contender.label: process.ready["losses"] for process in running
                          if process.contender is not MACHINE}
                if workload.has_dropout:
                    means = {label: [sum(values) / len(values)] for label, values in losses.items()}
                    self._agree(workload, results.first_disagreement(means, results.ON_AVERAGE))
                else:
                    self._agree(workload, results.first_disagreement(losses))
                self._rounds(running, found)
        return found

    def start(self, contender: Contender, folder: Path, *, dropout: bool,
              environment: dict[str, str] | None = None) -> Process:
        """One contender's process on the problem in a folder."""
        interpreter = Path(sys.executable) if contender in (ENGINE, MACHINE) else self.peers
        return Process(contender, interpreter, folder, self.threads, dropout=dropout, environment=environment)

    def _check(self, workload: Workload, contenders: list[Contender], folder: Path, cache: dict[str, str],
               found: Comparison) -> list[Contender]:
        """Compare losses without dropout, in processes of their own; returns the contenders that run."""
        losses: dict[str, list[float]] = {}
        running = []
        for contender in (ENGINE, *contenders):
            try:
                with self.start(contender, folder, dropout=False, environment=cache) as process:
                    losses[contender.label] = process.ready["losses"]
                running.append(contender)
            except Failed as failure:
                if contender is ENGINE:
                    raise
                found.failures.append(str(failure))
        self._agree(workload, results.first_disagreement(losses))
        return running[1:]

    @staticmethod
    def _agree(workload: Workload, disagreement: str | None) -> None:
        if disagreement:
            raise SystemExit(f"{workload.name}: losses do not agree: {disagreement}")

    def _rounds(self, running: list[Process], found: Comparison) -> None:
        """Warm up, then every process in turn, round after round."""
        running = self._warm(running, found)
        figures = {process.contender.label: Figures() for process in running}
        for _ in range(self.rounds):
            for process in running:
                answer = process.ask(seconds=self.seconds)
                figures[process.contender.label].seconds.append(answer["seconds"] / answer["steps"])
        for process in running:
            its = figures[process.contender.label]
            its.peak_bytes = process.ask()["peak_bytes"]
            for name in ("import_bytes", "import_seconds", "first_step_seconds", "flops"):
                setattr(its, name, process.ready[name])
        found.figures = figures

    def _warm(self, running: list[Process], found: Comparison) -> list[Process]:
        """Two short turns; returns the processes that are worth timing."""
        seconds: dict[str, float] = {}
        turns: dict[str, float] = {}
        for _ in range(2):
            for process in running:
                answer = process.ask(seconds=WARM_UP_SECONDS)
                label = process.contender.label
                turns[label], seconds[label] = answer["seconds"], answer["seconds"] / answer["steps"]
        limit = HOPELESS * min((time for label, time in seconds.items() if label not in (OURS, PEAK)), default=0.0)
        chosen = []
        for process in running:
            label = process.contender.label
            if label in (OURS, PEAK) or seconds[label] <= limit or turns[label] <= HOPELESS * self.seconds:
                chosen.append(process)
            else:
                found.failures.append(f"{label}: {results.milliseconds(seconds[label])} in the warm-up, left out")
        return chosen


def peer_versions(interpreter: Path) -> str:
    """Versions of the peers' libraries."""
    script = ("from importlib.metadata import version as v; "
              "print(', '.join(f'{n} {v(n)}' for n in ('torch', 'keras', 'tensorflow_cpu', 'jax')))")
    return subprocess.run([str(interpreter), "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def kernel_section(bench: Bench, settings: str) -> str:
    """GFLOP/s of contractions by shape, beside the peak."""
    found = list(kernels.rows(bench.threads))
    print(results.table(kernels.COLUMNS, found), flush=True)
    notes = ("an op alone, bound as in a training step: halos, transposes and folds are in its time", settings)
    return results.table_section(KERNELS, notes, kernels.COLUMNS, found)


def compile_section(bench: Bench, settings: str) -> str:
    """First steps on an empty kernel cache and from it."""
    workloads = [workload for workload in WORKLOADS.values() if not missing(workload)]
    found = list(compiling.rows(workloads, lambda folder, environment: bench.start(
        ENGINE, folder, dropout=True, environment=environment)))
    print(results.table(compiling.COLUMNS, found), flush=True)
    notes = ("from the problem's files to the first update, in a process of its own each time; imports not counted",
             settings)
    return results.table_section(COMPILE, notes, compiling.COLUMNS, found)


def workload_section(bench: Bench, workload: Workload, settings: str) -> str:
    """A workload beside all peers, or the line that it is missing."""
    if absent := missing(workload):
        print(results.missing_text(workload.name, absent), flush=True)
        return results.missing_section(workload.name, workload.description, absent)
    found = bench.compare(workload)
    print(results.text(found), flush=True)
    return results.section(found, settings)


KERNELS, COMPILE = "kernels", "compile"
TABLES = {KERNELS: kernel_section, COMPILE: compile_section}
SECTIONS = (*WORKLOADS, *TABLES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sections asked for into results.md."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, default=ROOT / ".venv-bench/bin/python", help="the peers' interpreter")
    options.add_argument("--only", nargs="*", default=[], choices=SECTIONS, metavar="SECTION",
                         help=f"of {', '.join(SECTIONS)}")
    options.add_argument("--contenders", nargs="*", default=[], help="beginnings of peers' names; default: all")
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=1.0, help="of each process in each round")
    options.add_argument("--output", type=Path, default=Path(__file__).with_name("results.md"))
    chosen = options.parse_args(arguments)
    # The interpreter of an environment is a link: what it links to does not know the environment.
    bench = Bench(chosen.peers.absolute(), chosen.threads, chosen.rounds, chosen.seconds, chosen.contenders)
    here = f"{results.today()}; {results.machine()}"
    versions = peer_versions(bench.peers) if set(chosen.only or WORKLOADS) & set(WORKLOADS) else ""
    measured = f"{here}; {versions}; {bench.threads} threads, {bench.rounds} rounds of {bench.seconds:g} s"
    for name in chosen.only or SECTIONS:
        part = (TABLES[name](bench, f"{here}; {bench.threads} threads") if name in TABLES
                else workload_section(bench, WORKLOADS[name], measured))
        before = chosen.output.read_text() if chosen.output.exists() else ""
        chosen.output.write_text(results.merged(before, {name: part}, SECTIONS))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
