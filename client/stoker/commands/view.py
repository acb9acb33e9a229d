"""How a job being watched looks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stoker.commands.curve import curve
from stoker.commands.table import duration, number, printable
from stoker.types import Event, Job

STYLES = {"succeeded": "bold green", "failed": "bold red", "cancelled": "yellow", "paused": "yellow"}


@dataclass
class State:
    """What is known of the job so far."""

    job: Job
    values: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    epochs: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    @property
    def total_epochs(self) -> int:
        """How many the job asks for; progress is not there yet when the first events come."""
        return (self.job.progress and self.job.progress.epochs) or int(self.job.raw["training"]["epochs"])

    def take(self, event: Event) -> None:
        """Remembers an event's metrics."""
        if event.type != "metrics":
            return
        values = event.data.get("values")
        found = {k: float(v) for k, v in (values or event.data).items() if isinstance(v, int | float) and v is not True}
        level, epoch = event.data.get("level", "step"), int(event.data.get("epoch") or 0)
        found = {name: value for name, value in found.items() if name not in ("epoch", "step")}
        self.values.update(found)
        if level == "epoch":
            self.epochs.append((epoch, found))
        elif "loss" in found:
            self.losses.append(found["loss"])


class View(Protocol):
    """Something that shows a job. A context manager: shown between enter and exit."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def event(self, state: State, event: Event) -> None:
        """Something happened."""

    def draw(self, state: State) -> None:
        """Called several times a second."""

    def away(self, state: State) -> None:
        """The server did not answer."""

    def end(self, job: Job) -> None:
        """The job has ended."""


class LiveView:
    """A bar, the metrics and the loss curve, redrawn in place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, refresh_per_second=5, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, state: State, event: Event) -> None:
        """Warnings and errors stay on the screen above the bar."""
        if event.type == "log" and event.level != "info":
            self._live.console.print(Text(f"{event.level}: {printable(event.message)}", style="yellow"))

    def draw(self, state: State) -> None:
        """Redraws all of it."""
        self._live.update(picture(state, self._console.width))

    def away(self, state: State) -> None:
        """Says so where the numbers are."""
        self._live.update(Group(picture(state, self._console.width), Text("waiting for the server …", style="yellow")))

    def end(self, job: Job) -> None:
        """The last word: how it ended, and the test split's metrics."""
        self._console.print(Text(summary(job), style=STYLES.get(job.status, "")))


class PlainView:
    """A line for each epoch and for whatever else is worth one; what a log file gets."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(width=200)
        self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def event(self, state: State, event: Event) -> None:
        """An epoch's metrics, a new status, a warning."""
        if event.type == "metrics" and event.data.get("level") == "epoch":
            epoch, values = state.epochs[-1]
            self._line(f"epoch {epoch}/{state.total_epochs}  {words(values)}")
        elif event.type in ("status", "log") and event.message:
            self._line(event.message if event.level == "info" else f"{event.level}: {event.message}")

    def draw(self, state: State) -> None:
        """A line every ten seconds while an epoch lasts."""
        progress = state.job.progress
        if time.monotonic() - self._told > 10 and progress and progress.steps and state.job.status == "running":
            left = f", {duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
            self._line(f"step {progress.step}/{progress.steps}{left}  {words(state.values)}")

    def away(self, state: State) -> None:
        """Said once every ten seconds at most."""
        if time.monotonic() - self._told > 10:
            self._line("waiting for the server …")

    def end(self, job: Job) -> None:
        """The last word."""
        for line in summary(job).splitlines():
            self._line(line)

    def _line(self, text: str) -> None:
        self._told = time.monotonic()
        print(printable(text), file=self._console.file, flush=True)


def picture(state: State, width: int) -> RenderableType:
    """The live view of a job, `width` characters wide."""
    job, progress = state.job, state.job.progress
    title = Text.assemble((printable(job.name or job.id), "bold"), "  ", (job.status, STYLES.get(job.status, "cyan")))
    rows: list[RenderableType] = [title]
    if progress and progress.steps:
        line = Table.grid(padding=(0, 2))
        counts = f"epoch {progress.epoch}/{progress.epochs}  step {progress.step}/{progress.steps}"
        rate = f"{progress.examples_per_second:,.0f} examples/s" if progress.examples_per_second else ""
        left = f"{duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
        bar = ProgressBar(total=progress.steps, completed=progress.step, width=max(width // 4, 10))
        line.add_row(bar, counts, rate, left if not job.is_terminal else "")
        rows.append(line)
    if state.values:
        rows.append(Text(words(state.values)))
    losses = state.losses if len(state.losses) > 1 else [v["loss"] for _, v in state.epochs if "loss" in v]
    if len(losses) > 1:
        drawn = curve(losses, max(min(width - 12, 60), 10), height=3)
        labels = (number(max(losses)), "loss", number(min(losses)))
        rows += [Text(f"{label:>8} {line}") for label, line in zip(labels, drawn, strict=True)]
    return Group(*rows)


def words(values: dict[str, float]) -> str:
    """`loss 0.1  accuracy 0.98`."""
    return "  ".join(f"{printable(name)} {number(value)}" for name, value in values.items())


def summary(job: Job) -> str:
    """How the job ended, in one line, and its test metrics in further ones."""
    took = ""
    if job.started_at and job.finished_at:
        took = f" in {duration((job.finished_at - job.started_at).total_seconds())}"
    lines = [f"{job.id} {job.status}{took}" + (f": {job.error}" if job.error else "")]
    lines += [f"  test, {kind} weights: {words(values)}" for kind, values in job.test.items() if values]
    return "\n".join(lines)
