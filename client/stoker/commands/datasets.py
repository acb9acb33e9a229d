"""`stoker datasets [list]`, `get|profile|delete ID`, `upload FILE`."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from stoker.client import Client
from stoker.commands.table import ago, number, table
from stoker.commands.transfer import transfer
from stoker.types import Dataset

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `datasets` and what can be done with them."""
    group = commands.add_parser("datasets", help="list, upload, look at and delete datasets")
    group.set_defaults(run=run_list, limit=20, json=False)
    actions = group.add_subparsers(title="actions", metavar="ACTION")

    action = actions.add_parser("list", help="newest first (what `stoker datasets` alone does)")
    action.add_argument("--limit", type=int, default=20, help="at most so many (default: %(default)s)")
    action.add_argument("--json", action="store_true", help="one JSON object a line")
    action.set_defaults(run=run_list)

    action = actions.add_parser("upload", help="send a file and wait until the server has read it")
    action.add_argument("file", type=Path)
    action.add_argument("--name", help="default: the file's name")
    action.add_argument("--format", help="image-folder, npz, npy or csv; found out when left out")
    action.add_argument("--options", type=json.loads, metavar="JSON", help="the format's options")
    action.add_argument("--no-wait", action="store_true", help="do not wait until it is ready")
    action.set_defaults(run=run_upload)

    for name, run, text in (
        ("get", run_get, "the whole answer as JSON"),
        ("profile", run_profile, "a column a line: type, range, missing values"),
        ("delete", run_delete, "delete a dataset"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("id")
        action.add_argument("--json", action="store_true", help="the server's whole answer")
        action.set_defaults(run=run)


def upload(
    client: Client,
    file: Path,
    *,
    name: str | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    wait: bool = True,
) -> Dataset:
    """Sends a file with a bar, waits for its ingest, and passes the server's warnings on to standard error."""
    with transfer(f"uploading {file.name}") as progress:
        dataset = client.datasets.upload(file, name=name, format=format, options=options, progress=progress)
    if wait:
        with Console(stderr=True).status(f"the server is reading {file.name}"):
            dataset = client.datasets.wait(dataset.id)
        for warning in dataset.warnings:
            text = warning.get("detail", warning) if isinstance(warning, dict) else warning
            print(f"warning: {text}", file=sys.stderr)
    return dataset


def run_list(client: Client, options: argparse.Namespace) -> int:
    """Prints a table, or a JSON object a line."""
    found = itertools.islice(client.datasets.list(), max(options.limit, 0))
    if options.json:
        for dataset in found:
            print(json.dumps(dataset.raw))
        return 0
    rows = (
        (each.id, each.name, each.status, each.format or "–", number(each.examples), ago(each.created_at))
        for each in found
    )
    table(("ID", "NAME", "STATUS", "FORMAT", "EXAMPLES", "CREATED"), rows)
    return 0


def run_upload(client: Client, options: argparse.Namespace) -> int:
    """Prints the new dataset's id."""
    dataset = upload(
        client,
        options.file,
        name=options.name,
        format=options.format,
        options=options.options,
        wait=not options.no_wait,
    )
    print(dataset.id)
    return 0


def run_get(client: Client, options: argparse.Namespace) -> int:
    """Prints a dataset as JSON."""
    show(client.datasets.get(options.id).raw)
    return 0


def run_profile(client: Client, options: argparse.Namespace) -> int:
    """Prints each column's statistics."""
    document = client.datasets.profile(options.id)
    if options.json:
        show(document)
        return 0
    columns: dict[str, Any] = document["columns"]
    names = ("count", "missing", "minimum", "maximum", "mean", "std")
    rows = (
        (name, *(number(statistics.get(each)) for each in names), str(len(statistics.get("classes") or ()) or "–"))
        for name, statistics in columns.items()
        if isinstance(statistics, dict)
    )
    table(("COLUMN", "COUNT", "MISSING", "MINIMUM", "MAXIMUM", "MEAN", "STD", "CLASSES"), rows)
    return 0


def run_delete(client: Client, options: argparse.Namespace) -> int:
    """Deletes a dataset."""
    client.datasets.delete(options.id)
    print(f"{options.id} deleted")
    return 0


def show(document: object) -> None:
    """Indented JSON on standard output."""
    json.dump(document, sys.stdout, indent=2)
    print()
