"""Compares thousands of random graphs with their references. `make fuzz` runs it.

    python -m tests.engine.fuzz [--count 10000] [--seed 7]

Graph number n of a run is that of seed + n; a failing one is printed as text, made smaller, with its seed. They are
tried in processes of a few hundred, so that one that crashes or hangs is named too.
"""

from __future__ import annotations

import argparse
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.engine.fuzz.compare import fault
from tests.engine.fuzz.grow import grow
from tests.engine.fuzz.shrink import shrink

PORTION = 250
PATIENCE_SECONDS = 120.0
ROOT = Path(__file__).resolve().parents[3]


def try_graphs(first: int, count: int) -> None:
    """In this process: a line `seed N` before each graph, and after it what is wrong, if anything."""
    for seed in range(first, first + count):
        print(f"seed {seed}", flush=True)
        try:
            case = grow(seed)
        except Exception:  # the references and derivatives are under test too
            print(traceback.format_exc(), flush=True)
            continue
        found = fault(case)
        if found is not None:
            small = shrink(case, lambda smaller: fault(smaller) is not None)
            print(f"{found}\n{small}\n{fault(small)}", flush=True)


def watch(first: int, count: int, environment: dict[str, str]) -> tuple[int, list[str]]:
    """Try graphs in another process; how many were tried, and what is wrong with those that failed."""
    command = [sys.executable, "-m", "tests.engine.fuzz", "--here", "--seed", str(first), "--count", str(count)]
    faults: list[str] = []
    seed, said = first - 1, ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in _lines(process):
            if not line.startswith("seed "):
                said += line
                continue
            if said:
                faults.append(f"seed {seed}: {said}")
            seed, said = int(line.split()[1]), ""
    if process.returncode:
        said += f"its process ended with status {process.returncode}\n"
    if said:
        faults.append(f"seed {seed}: {said}")
    if seed < first:
        raise SystemExit("no graph was tried")
    return seed - first + 1, faults


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it says, until it ends or says nothing for too long: then it is killed."""
    assert process.stdout is not None
    while select.select([process.stdout], [], [], PATIENCE_SECONDS)[0]:
        line = process.stdout.readline()
        if not line:
            return
        yield line
    process.kill()
    yield f"no end in {PATIENCE_SECONDS:g} s\n"


def main() -> int:
    """Try so many graphs; 1 if one failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=None, help="of the first graph; default: any")
    options.add_argument("--here", action="store_true", help="in this process, for a debugger")
    chosen = options.parse_args()
    first = secrets.randbelow(2**40) if chosen.seed is None else chosen.seed
    if chosen.here:
        try_graphs(first, chosen.count)
        return 0
    print(f"{chosen.count} graphs from seed {first}", flush=True)
    began, done, faults = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="stoker-fuzz-") as kernels:
        environment = {**os.environ, "STOKER_KERNEL_CACHE": os.environ.get("STOKER_KERNEL_CACHE", kernels)}
        while done < chosen.count:
            tried, found = watch(first + done, min(PORTION, chosen.count - done), environment)
            done += tried
            faults += len(found)
            for text in found:
                print(text, flush=True)
            print(f"{done} graphs, {faults} failed, {time.monotonic() - began:.0f} s", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
