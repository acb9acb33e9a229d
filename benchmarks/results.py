"""From what was measured to what is printed and written: medians, ratios, shares of the peak."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

OURS, PEAK = "ours", "peak"
MEGABYTE = 1e6
FIRST, LATER, ON_AVERAGE = 1e-4, 5e-3, 0.1
"""How far losses may be apart, as parts of the first loss: before any update; after updates, which blow up roundings
(PyTorch's own two memory formats differ by 2.6e-3 in ten steps of the mobilenet); and means with different dropout."""


@dataclass
class Figures:
    """One contender's: `seconds` of a step in each round."""

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    import_bytes: int = 0
    import_seconds: float = 0.0
    first_step_seconds: float = 0.0
    flops: Mapping[str, int] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Seconds of a step."""
        return median(self.seconds)

    def gflops(self, counted: str = "direct") -> float:
        """10^9 floating-point operations a second, by the way they are counted."""
        return self.flops[counted] / self.median / 1e9

    @property
    def working_bytes(self) -> int:
        """Peak memory less what it was after importing."""
        return self.peak_bytes - self.import_bytes


@dataclass
class Comparison:
    """A workload's figures by contender; `cold_seconds` is our first step with an empty kernel cache."""

    workload: str
    description: str
    figures: dict[str, Figures]
    cold_seconds: float
    failures: list[str] = field(default_factory=list)

    @property
    def peers(self) -> dict[str, Figures]:
        """All but ours and the machine's peak."""
        return {label: figures for label, figures in self.figures.items() if label not in (OURS, PEAK)}

    @property
    def best_peer(self) -> str | None:
        """The label of the fastest peer, if any ran."""
        peers = self.peers
        return min(peers, key=lambda label: peers[label].median) if peers else None

    def ratio(self) -> tuple[float, float, float]:
        """Best peer's time over ours: of the medians, and the lowest and highest in one round."""
        assert self.best_peer is not None
        ours, peer = self.figures[OURS], self.figures[self.best_peer]
        rounds = [theirs / mine for theirs, mine in zip(peer.seconds, ours.seconds, strict=True)]
        return peer.median / ours.median, min(rounds), max(rounds)

    def share(self, counted: str) -> float:
        """Our part of the peak measured in the same rounds, between 0 and 1."""
        return self.figures[OURS].gflops(counted) / self.figures[PEAK].gflops()


def first_disagreement(losses: Mapping[str, Sequence[float]], first: float = FIRST) -> str | None:
    """Where losses are farther from ours than `first`, or LATER after the first one, in words; None if all agree."""
    ours = losses[OURS]
    for label, others in losses.items():
        if len(others) != len(ours):
            return f"expected {len(ours)} losses, received {len(others)} from {label}"
        for step, (mine, other) in enumerate(zip(ours, others, strict=True)):
            if not abs(mine - other) <= (LATER if step else first) * abs(ours[0]):
                return f"the loss of step {step + 1} is {mine:.6f} here and {other:.6f} in {label}"
    return None


def milliseconds(seconds: float) -> str:
    """With three digits that say something."""
    value = seconds * 1e3
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f} ms"


def first_line(found: Comparison) -> str:
    """`cnn32  ours 4.40 ms  best peer 6.20 ms (torch channels_last)  ratio 1.41`"""
    line = f"{found.workload}  ours {milliseconds(found.figures[OURS].median)}"
    if found.best_peer is None:
        return f"{line}  no peer ran"
    peer = found.figures[found.best_peer]
    return f"{line}  best peer {milliseconds(peer.median)} ({found.best_peer})  ratio {found.ratio()[0]:.2f}"


def detail_lines(found: Comparison) -> list[str]:
    """What stands below the first line."""
    ours, peak = found.figures[OURS], found.figures[PEAK]
    lines = [
        f"{ours.gflops():.0f} GFLOP/s direct, {ours.gflops('executed'):.0f} executed; peak {peak.gflops():.0f}: "
        f"{found.share('direct'):.0%} direct, {found.share('executed'):.0%} executed",
        f"first step {found.cold_seconds:.2f} s with an empty kernel cache, {ours.first_step_seconds:.2f} s from it",
    ]
    if found.best_peer is not None:
        lines.insert(0, "ratio in single rounds {1:.2f} to {2:.2f}".format(*found.ratio()))
    return lines + [f"not timed: {failure}" for failure in found.failures]


def peer_rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row for ours and each peer, fastest first: step, peak memory, memory above import, first step."""
    chosen = {label: figures for label, figures in found.figures.items() if label != PEAK}
    return [(label, milliseconds(figures.median), f"{figures.peak_bytes / MEGABYTE:.0f} MB",
             f"{figures.working_bytes / MEGABYTE:.0f} MB", f"{figures.first_step_seconds:.2f} s")
            for label, figures in sorted(chosen.items(), key=lambda item: item[1].median)]


COLUMNS = ("process", "step", "peak memory", "less after import", "first step")


def text(found: Comparison) -> str:
    """As printed: the first line, then details indented."""
    details = [*detail_lines(found), *table(COLUMNS, peer_rows(found)).splitlines()]
    return "\n    ".join([first_line(found), *details])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, for people."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows))


def missing_text(name: str, layers: Sequence[str]) -> str:
    """The line of a workload that cannot run yet."""
    return f"{name}  missing: the engine has no {', '.join(layers)} yet"


def section(found: Comparison, settings: str) -> str:
    """A workload's part of results.md."""
    details = [f"- {line}" for line in (found.description, *detail_lines(found), settings)]
    table_lines = markdown(COLUMNS, peer_rows(found))
    return "\n".join([f"## {found.workload}", "", f"`{first_line(found)}`", "", *details, "", table_lines, ""])


def table_section(name: str, notes: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A part that is a table."""
    return "\n".join([f"## {name}", "", *(f"- {note}" for note in notes), "", markdown(columns, rows), ""])


def missing_section(name: str, description: str, layers: Sequence[str]) -> str:
    """The part of a workload that cannot run yet."""
    return f"## {name}\n\n`{missing_text(name, layers)}`\n\n- {description}\n"


HEADING = """# Training steps beside PyTorch, Keras and JAX

Written by `make bench`; `make bench ONLY=cnn32` replaces one part. Processes take turns, one working at a time, on the
same cores and threads; their losses agreed before anything was timed. Times are medians of interleaved rounds; the
ratio is the best peer's time over ours. Direct arithmetic counts every contraction as if it were done directly,
executed arithmetic what the compute kernels did, filled-up tiles and lanes included. "first step" is from the
problem's files to the first update, compiling included, imports not.
"""


def merged(document: str, sections: Mapping[str, str], order: Sequence[str]) -> str:
    """results.md with these sections in place of their older ones, in this order."""
    parts = {part.split("\n", 1)[0].strip(): f"## {part}" for part in re.split(r"^## ", document, flags=re.M)[1:]}
    parts |= sections
    kept = [parts[name].rstrip() + "\n" for name in order if name in parts]
    return "\n".join([HEADING, *kept])


def machine() -> str:
    """Processor, cores, memory and versions; no names of hosts or people."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "llvmlite"))
    return f"{model}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {libraries}"


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()
