"""`stoker train job.json [--data FILE] [--watch]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stoker.client import Client
from stoker.commands.datasets import upload
from stoker.commands.watch import follow
from stoker.errors import StokerError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `train`."""
    command = commands.add_parser("train", help="start a job, and watch it")
    command.add_argument("job", type=Path, help="the job as JSON, as POST /v1/jobs takes it; - reads standard input")
    command.add_argument("--data", type=Path, metavar="FILE", help="upload this file first and train on it")
    command.add_argument("--format", help="the file's format; found out when left out")
    command.add_argument("--name", help="the job's name")
    command.add_argument("--watch", action="store_true", help="show progress until the job ends")
    command.set_defaults(run=run)


def run(client: Client, options: argparse.Namespace) -> int:
    """Uploads if asked, creates the job, prints its id on standard output, and watches if asked."""
    document = read(options.job)
    if options.name:
        document["name"] = options.name
    if options.data:
        document["dataset"] = upload(client, options.data, format=options.format).id
    job = client.jobs.create(document)
    print(job.id, flush=True)
    return follow(client, job.id) if options.watch else 0


def read(file: Path) -> dict[str, Any]:
    """A job's document. Raises StokerError naming the line that is not JSON."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise StokerError(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise StokerError(f"{file}: expected a JSON object, received {type(document).__name__}")
    return document
