"""`stokerd warm`: compute kernels compiled before a job waits for them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine import usual, warm
from engine.codegen import objects
from engine.environment import kernel_cache
from engine.errors import DefinitionError


def run(files: list[Path]) -> int:
    """The kernels that all trainings share, then those of the files' models or jobs, or of the usual ones.

    A line for each. 0 if all of it is kept, 1 where the folder cannot be written, 2 for a file that is at fault.
    """
    directory = kernel_cache()
    if directory is None or not _writable(directory):
        print(f"expected a folder for compiled kernels that can be written, received {directory}: "
              "set STOKER_KERNEL_CACHE", flush=True)
        return 1
    try:
        documents = {str(file): _read(file) for file in files} or usual.jobs()
    except ValueError as error:
        print(error, flush=True)
        return 2
    work: list[tuple[str, Callable[[], None]]] = [("what all trainings share", warm.shared_kernels)]
    work += [(name, partial(warm.job_kernels, document)) for name, document in documents.items()]
    print(f"compiled kernels are kept in {directory}", flush=True)
    for number, (name, compile_kernels) in enumerate(work, 1):
        before, began = len(objects.made), time.perf_counter()
        print(f"{number:3d}/{len(work)}  {name}: ", end="", flush=True)
        try:
            compile_kernels()
        except DefinitionError as error:
            print(error, flush=True)
            return 2
        print(f"{len(objects.made) - before} compiled, {time.perf_counter() - began:.1f} s", flush=True)
    return 0


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".probe.part"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True


def _read(file: Path) -> dict[str, object]:
    """A JSON object."""
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: expected a model's or a job's JSON, received {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{file}: expected a JSON object, received {type(document).__name__}")
    return document
