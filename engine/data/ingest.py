"""An uploaded file becomes a dataset: .npy columns in a folder, and a manifest that describes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import registry
from engine.data.dataset import open_columns
from engine.data.format import Contents, Format, ProgressFunction, Writer
from engine.data.npy import open_array
from engine.data.profile import preview, profile
from engine.data.readers import fields
from engine.errors import DataError, DefinitionError, Fault, nearest, pointer_to, show
from engine.options import parse

START_BYTES = 4096


def read_format(name: str, options: Mapping[str, Any], pointer: str = "/options") -> Format:
    """The format `name` with its options. Raises DefinitionError: an unknown name points to `pointer`/type."""
    cls = registry.lookup("format", name)
    if cls is None:
        known = registry.entries("format")
        raise DefinitionError([Fault(pointer_to(pointer, "type"), f"expected one of {', '.join(known)}, received "
                                     f"{show(name)}{nearest(name, known)}")])
    chosen: Format = parse(fields(cls), options, pointer)
    return chosen


def check_options(options: Mapping[str, Any], start: bytes, filename: str | None, pointer: str = "/options") -> None:
    """Whether some format that a file beginning with `start` may be in has these options. Raises DefinitionError.

    A file that no format knows passes: reading it says what it is not.
    """
    suffix = Path(filename or "").suffix.lower()
    faults: DefinitionError | None = None
    for name, cls in registry.entries("format").items():
        if not cls.may_begin(start, suffix):  # type: ignore[attr-defined]
            continue
        try:
            read_format(name, options, pointer)
            return
        except DefinitionError as error:
            faults = faults or error
    if faults is not None:
        raise faults


def guess_format(source: Path, filename: str | None) -> str:
    """The name of the format that a file is in. Raises DataError if none knows it."""
    suffix = Path(filename or source.name).suffix.lower()
    with source.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        raise DataError("no_examples", "expected a data set, received an empty file")
    known = registry.entries("format")
    for name, cls in known.items():
        if cls.matches(source, start, suffix):  # type: ignore[attr-defined]
            return name
    raise DataError("format_unknown", f"expected a file in one of the formats {', '.join(known)}, received another")


def ingest(source: Path, output: Path, *, format: str | None = None, options: Mapping[str, Any] | None = None,
           filename: str | None = None, progress: ProgressFunction = lambda done, total: None) -> dict[str, Any]:
    """Write the columns of `source` into the folder `output`; returns the manifest.

    `filename` is what the user calls the file: its ending helps to recognise the format if none is given. `progress` is
    told (done, total) in units of the format. Raises DataError; `output` then holds unfinished files.
    """
    name = format or guess_format(source, filename)
    try:
        reader = read_format(name, options or {})
    except DefinitionError as error:
        fault = error.faults[0]
        raise DataError("invalid_options", fault.detail, where=fault.pointer) from None
    writer = Writer(output, source.stat().st_size)
    try:
        contents = reader.read(source, writer, progress)
        files = writer.finish()
    except DataError as error:
        if format is not None or Path(filename or source.name).suffix.lower() == f".{name}":
            raise
        detail = f"{error.detail} (no format was given, and it was read as {name})"
        raise DataError(error.code, detail, where=error.where) from None
    finally:
        writer.abandon()
    return _manifest(registry_name(reader), contents, files, output)


def registry_name(reader: Format) -> str:
    """The name under which a format is registered, whatever alias it was asked for by."""
    return next(name for name, cls in registry.entries("format").items() if cls is type(reader))


def _manifest(name: str, contents: Contents, files: list[dict[str, Any]], output: Path) -> dict[str, Any]:
    features = [column.to_json() for column in contents.columns]
    arrays = {file["name"]: open_array(output / file["name"], file["name"]) for file in files}
    columns = open_columns(features, arrays)
    splits: dict[str, list[int]] = {}
    start = 0
    for split, count in contents.splits.items():
        splits[split] = [start, start + count]
        start += count
    return {"format": name, "examples": contents.examples, "features": features, "target": contents.target,
            "classes": None if contents.classes is None else list(contents.classes), "splits": splits,
            "warnings": contents.warnings, "profile": profile(features, columns, splits, contents.target),
            "preview": preview(features, columns, spread=contents.spread_preview), "files": files}
