"""`stoker models [list]`, `get ID`, `upload FILE`."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.client import Client
from stoker.commands.datasets import show
from stoker.commands.table import ago, number, table
from stoker.commands.train import read
from stoker.commands.transfer import transfer

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `models` and what can be done with them."""
    group = commands.add_parser("models", help="list, upload and look at models")
    group.set_defaults(run=run_list, limit=20, json=False)
    actions = group.add_subparsers(title="actions", metavar="ACTION")

    action = actions.add_parser("list", help="newest first (what `stoker models` alone does)")
    action.add_argument("--limit", type=int, default=20, help="at most so many (default: %(default)s)")
    action.add_argument("--json", action="store_true", help="one JSON object a line")
    action.set_defaults(run=run_list)

    action = actions.add_parser("upload", help="send a model with its weights, for jobs to start from")
    action.add_argument("file", type=Path, help=".keras, .onnx, .weights.h5, .safetensors or .npz")
    action.add_argument("--name", help="default: the file's name")
    action.add_argument("--definition", type=Path, metavar="JSON", help="a file with it, for weights alone")
    action.set_defaults(run=run_upload)

    action = actions.add_parser("get", help="the whole answer as JSON")
    action.add_argument("id")
    action.set_defaults(run=run_get)


def run_list(client: Client, options: argparse.Namespace) -> int:
    """Prints a table, or a JSON object a line."""
    found = itertools.islice(client.models.list(), max(options.limit, 0))
    if options.json:
        for model in found:
            print(json.dumps(model.raw))
        return 0
    rows = (
        (
            model.id,
            model.name or "–",
            number((model.parameters or {}).get("total")),
            model.weights["format"] if model.weights else "–",
            ago(model.created_at),
        )
        for model in found
    )
    table(("ID", "NAME", "PARAMETERS", "WEIGHTS", "CREATED"), rows)
    return 0


def run_upload(client: Client, options: argparse.Namespace) -> int:
    """Prints the new model's id."""
    definition = read(options.definition) if options.definition else None
    with transfer(f"uploading {options.file.name}") as progress:
        model = client.models.upload(options.file, name=options.name, definition=definition, progress=progress)
    print(model.id)
    return 0


def run_get(client: Client, options: argparse.Namespace) -> int:
    """Prints a model as JSON."""
    show(client.models.get(options.id).raw)
    return 0
