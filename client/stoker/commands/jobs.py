"""`stoker jobs`, `stoker job ID`, `stoker watch|cancel|pause|resume ID`."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from typing import TYPE_CHECKING

from stoker.client import Client
from stoker.commands.table import ago, duration, number, table
from stoker.commands.watch import follow
from stoker.types import Job

if TYPE_CHECKING:
    from argparse import _SubParsersAction

STATUSES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `jobs`, `job` and the verbs."""
    command = commands.add_parser("jobs", help="list jobs, newest first")
    command.add_argument("--status", choices=STATUSES)
    command.add_argument("--limit", type=int, default=20, help="at most so many (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    command.set_defaults(run=run_list)

    command = commands.add_parser("job", help="show one job")
    command.add_argument("id")
    command.add_argument("--json", action="store_true", help="the server's whole answer")
    command.set_defaults(run=run_show)

    command = commands.add_parser("watch", help="show a job's progress until it ends")
    command.add_argument("id")
    command.set_defaults(run=lambda client, options: follow(client, options.id))

    for verb, text in (
        ("cancel", "stop a job for good"),
        ("pause", "stop a running job at a checkpoint"),
        ("resume", "go on with a paused job"),
    ):
        command = commands.add_parser(verb, help=text)
        command.add_argument("id")
        command.set_defaults(run=run_verb, verb=verb)


def run_list(client: Client, options: argparse.Namespace) -> int:
    """Prints a table, or a JSON object a line."""
    found = itertools.islice(client.jobs.list(status=options.status), max(options.limit, 0))
    if options.json:
        for job in found:
            print(json.dumps(job.raw))
        return 0
    table(("ID", "NAME", "STATUS", "EPOCH", "LOSS", "CREATED"), (row(job) for job in found))
    return 0


def row(job: Job) -> tuple[str, ...]:
    """A job as a line of the table."""
    progress = job.progress
    epoch = f"{progress.epoch}/{progress.epochs}" if progress and progress.epochs else "–"
    return (job.id, job.name or "–", job.status, epoch, number(job.latest.get("loss")), ago(job.created_at))


def run_show(client: Client, options: argparse.Namespace) -> int:
    """Prints what one wants to know of a job, or all of it as JSON."""
    job = client.jobs.get(options.id)
    if options.json:
        json.dump(job.raw, sys.stdout, indent=2)
        print()
        return 0
    for label, value in facts(job):
        print(f"{label:<11}{value}")
    return 0


def facts(job: Job) -> list[tuple[str, str]]:
    """Label and value of each line that `stoker job` prints."""
    lines = [("id", job.id), ("name", job.name or "–"), ("status", job.status), ("dataset", job.dataset or "–")]
    if job.progress and job.progress.epochs:
        here = job.progress
        lines.append(("progress", f"epoch {here.epoch}/{here.epochs}, step {here.step}/{here.steps}"))
        if here.eta_seconds is not None and not job.is_terminal:
            lines.append(("remaining", duration(here.eta_seconds)))
    if job.started_at and job.finished_at:
        lines.append(("took", duration((job.finished_at - job.started_at).total_seconds())))
    groups = {"latest": job.latest, "best": job.best} | {f"test {kind}": values for kind, values in job.test.items()}
    for label, values in groups.items():
        if values:
            lines.append((label, "  ".join(f"{name} {number(value)}" for name, value in values.items())))
    if job.error:
        lines.append(("error", str(job.error)))
    return lines


def run_verb(client: Client, options: argparse.Namespace) -> int:
    """Cancels, pauses or resumes."""
    act = {"cancel": client.jobs.cancel, "pause": client.jobs.pause, "resume": client.jobs.resume}[options.verb]
    job = act(options.id)
    asked = "" if job.is_terminal or options.verb == "resume" else f" ({options.verb} asked)"
    print(f"{job.id} {job.status}{asked}")
    return 0
