"""`stoker weights ID -o model.safetensors`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.client import Client
from stoker.commands.transfer import transfer

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `weights`."""
    command = commands.add_parser("weights", help="download trained weights")
    command.add_argument("id", help="the job")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    command.add_argument("--format", help="safetensors, npz, keras, h5 or onnx (default: as FILE ends)")
    command.add_argument("--layout", help="torch: names and layouts of the equivalent PyTorch module")
    command.add_argument("--preprocessing", action="store_true", help="onnx: take examples as the dataset has them")
    command.add_argument("--checkpoint", help="best, last or an id (default: best with a monitor, else last)")
    command.set_defaults(run=run)


def run(client: Client, options: argparse.Namespace) -> int:
    """Downloads and checks the file."""
    with transfer("downloading") as progress:
        file = client.jobs.weights(
            options.id, options.output, format=options.format, layout=options.layout,
            preprocessing=options.preprocessing, checkpoint=options.checkpoint, progress=progress
        )
    print(f"{file} ({file.stat().st_size:,} bytes)")
    return 0
