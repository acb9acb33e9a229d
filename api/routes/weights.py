"""Trained weights, as files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

import engine
from api.definitions import choose_checkpoint
from api.deps import TheCaller, TheService
from api.downloads import download
from api.errors import conflict, invalid
from api.route import resource
from api.routes.jobs import find_job
from engine.errors import WeightsError, nearest, show
from store.blobs import read_blob
from store.models import Checkpoint
from store.session import Database

router = resource("/jobs/{job_id}/weights", "weights")

STORED_FORMAT, STORED_LAYOUT = "safetensors", "keras"
EXTENSIONS = {"h5": "weights.h5"}
"""Of files whose names end otherwise than their format is called."""
MEDIA_TYPE = "application/octet-stream"
PIECE_BYTES = 1024 * 1024

Format = Annotated[str, Query(description="safetensors, npz, keras (.keras), h5 (.weights.h5) or onnx")]
Layout = Annotated[str, Query(description="of names and tensors in safetensors and npz: keras or torch")]
Preprocessing = Annotated[bool, Query(description="onnx only: the model takes examples as the dataset holds them")]
Chosen = Annotated[
    str | None, Query(description="best, last or a checkpoint's id; by default best if a monitor is set, else last")
]


@router.head("", include_in_schema=False)
@router.get(
    "",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "the file"},
        206: {"description": "the part of the file that Range asked for"},
        304: {"description": "the file is still the one that If-None-Match names"},
    },
)
def download_weights(
    job_id: str,
    request: Request,
    service: TheService,
    caller: TheCaller,
    format: Format = STORED_FORMAT,
    layout: Layout = STORED_LAYOUT,
    preprocessing: Preprocessing = False,
    checkpoint: Chosen = None,
) -> Response:
    """The weights with their definition, preprocessing and classes: the file alone is enough to predict.

    `ETag` is the file's SHA-256; one `Range` of bytes may be asked for.
    """
    if format not in engine.WEIGHT_FORMATS:
        known = ", ".join(engine.WEIGHT_FORMATS)
        detail = f"expected one of {known}, received {show(format)}{nearest(format, engine.WEIGHT_FORMATS)}"
        raise invalid(detail, parameter="format", code="unknown_format")
    if layout not in engine.WEIGHT_LAYOUTS:
        known = ", ".join(engine.WEIGHT_LAYOUTS)
        detail = f"expected one of {known}, received {show(layout)}{nearest(layout, engine.WEIGHT_LAYOUTS)}"
        raise invalid(detail, parameter="layout", code="unknown_layout")
    with service.database.read() as session:
        row = choose_checkpoint(session, find_job(session, caller, job_id), checkpoint, parameter="checkpoint")
    if row.corrupt:
        raise conflict("checkpoint_corrupt", "this checkpoint's stored bytes cannot be read; choose another")
    filename = f"{job_id}-step-{row.step}.{EXTENSIONS.get(format, format)}"
    if (format, layout, preprocessing) == (STORED_FORMAT, STORED_LAYOUT, False):
        read = partial(read_blob, service.database, row.weights_blob)
        return download(request, read, size=row.size_bytes, sha256=row.sha256, filename=filename, media_type=MEDIA_TYPE)
    try:
        file = _convert(service.database, row, format, layout, preprocessing)
    except WeightsError as error:
        raise invalid(str(error), parameter="format", code="not_exportable") from None
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.seek(0, 2)
    return download(request, partial(_read, file), size=size, sha256=sha256, filename=filename, media_type=MEDIA_TYPE)


def _convert(database: Database, row: Checkpoint, format: str, layout: str, preprocessing: bool) -> BufferedReader:
    """The checkpoint in another format: an open file that has no name any more, and goes when it is closed."""
    with tempfile.TemporaryDirectory(prefix="stoker-weights-") as folder:
        source, output = Path(folder, "source"), Path(folder, "output")
        with source.open("wb") as file:
            file.writelines(read_blob(database, row.weights_blob))
        engine.export_weights(source, format, output, layout=layout, preprocessing=preprocessing)
        return output.open("rb")


def _read(file: BufferedReader, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (piece := file.read(min(PIECE_BYTES, stop - start))):
            yield piece
            start += len(piece)
