"""Datasets: upload, look, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import json_body
from api.auth import Caller
from api.deps import ReadSession, TheCaller, TheService, WriteSession
from api.errors import conflict, from_definition, invalid, not_found, received
from api.idempotency import Once, TheOnce, Write
from api.multipart import Form, read_form
from api.pagination import Paging
from api.route import resource
from api.schemas.base import Listing
from api.schemas.datasets import DatasetAnswer, PreviewAnswer, ProfileAnswer, to_dataset
from api.service import Service
from api.uploads import check_room, check_size, read_name
from engine.data import check_options, read_format
from engine.errors import DefinitionError
from store.blobs import BlobWriter
from store.ids import is_id
from store.models import Dataset
from store.repositories import DatasetRepository
from store.states import READY

router = resource("/datasets", "datasets")

FIELDS = ("name", "format", "options")
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "the file as it is"},
                        "name": {"type": "string", "description": "by default the file's; used again, a new version"},
                        "format": {"type": "string", "description": "by default found out from the file"},
                        "options": {"type": "string", "description": "the format's options as a JSON object"},
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True)
class _Upload:
    """A form that was read to its end."""

    name: str
    filename: str | None
    format: str | None
    options: Mapping[str, Any]


@router.post("", status_code=202, response_model=DatasetAnswer, openapi_extra=UPLOAD_BODY)
async def create_dataset(request: Request, service: TheService, caller: TheCaller, once: TheOnce) -> Response:
    """Upload a file (multipart); a worker then reads it. The status goes from `processing` to `ready` or `failed`."""
    await run_in_threadpool(check_room, service, caller, request.headers.get("content-length", ""))
    writer = await run_in_threadpool(BlobWriter, service.database, owner=f"upload of {caller.project_id}")
    try:
        form = await read_form(request, writer, file="file", fields=FIELDS)
        return await run_in_threadpool(_finish, service, caller, once, writer, form)
    finally:
        if not writer.committed:
            await run_in_threadpool(writer.abort)


def _finish(service: Service, caller: Caller, once: Once, writer: BlobWriter, form: Form) -> Response:
    check_size(form, service.settings.upload_bytes)
    upload = _read_fields(form)
    writer.flush()

    def prepare() -> Write:
        return lambda session: to_dataset(
            DatasetRepository(session).create(
                caller.project_id,
                name=upload.name,
                source=writer,
                filename=upload.filename,
                format=upload.format,
                options=upload.options,
                bytes_limit=service.settings.project_bytes,
            )
        )

    return once.answer(202, {**form.fields, "filename": form.filename, "sha256": writer.sha256}, prepare)


def _read_fields(form: Form) -> _Upload:
    name = read_name(form, "dataset")
    options = json_body.parse(
        form.fields.get("options", "{}").encode(), pointer="/options", what="JSON in the part options"
    )
    if not isinstance(options, dict):
        raise invalid(f"expected an object in the part options, received {received(options)}", pointer="/options")
    format = form.fields.get("format")
    if format is not None:
        _check_format(format, options)
    elif options:
        _refuse_type(options)
        check_options(options, form.file_start, form.filename)
    return _Upload(name, form.filename, format, options)


def _check_format(format: str, options: Mapping[str, Any]) -> None:
    """Raises Problem for an unknown format, or for options that it does not have."""
    _refuse_type(options)
    try:
        read_format(format, options, pointer="/options")
    except DefinitionError as error:
        named = [fault for fault in error.faults if fault.pointer == "/options/type"]
        if named:
            raise invalid(named[0].detail, parameter="format", code="unknown_format") from None
        raise from_definition(error) from None


def _refuse_type(options: Mapping[str, Any]) -> None:
    if "type" in options:
        raise invalid("expected the format's options, received the unknown field 'type'", pointer="/options/type")


@router.get("")
def list_datasets(
    session: ReadSession,
    caller: TheCaller,
    page: Paging,
    status: Literal["processing", "ready", "failed"] | None = None,
) -> Listing[DatasetAnswer]:
    """The project's datasets."""
    found = DatasetRepository(session).page(
        caller.project_id, after=page.cursor("dataset"), limit=page.limit, order=page.order, status=status
    )
    return Listing[DatasetAnswer].of((to_dataset(row) for row in found.rows), has_more=found.has_more)


@router.get("/{dataset_id}")
def get_dataset(dataset_id: str, session: ReadSession, caller: TheCaller) -> DatasetAnswer:
    """One dataset: its columns, classes and splits once it is ready."""
    return to_dataset(_find(session, caller, dataset_id))


@router.get("/{dataset_id}/profile")
def get_profile(dataset_id: str, session: ReadSession, caller: TheCaller) -> ProfileAnswer:
    """Statistics of every column."""
    manifest = _manifest(_find(session, caller, dataset_id))
    return ProfileAnswer(dataset=dataset_id, examples=manifest["examples"], columns=manifest["profile"])


@router.get("/{dataset_id}/preview")
def get_preview(
    dataset_id: str,
    session: ReadSession,
    caller: TheCaller,
    limit: Annotated[int, Query(ge=1, le=100, description="how many examples")] = 10,
) -> PreviewAnswer:
    """The first examples."""
    manifest = _manifest(_find(session, caller, dataset_id))
    return PreviewAnswer(dataset=dataset_id, data=manifest["preview"][:limit])


@router.delete("/{dataset_id}", status_code=204)
def delete_dataset(dataset_id: str, session: WriteSession, caller: TheCaller) -> None:
    """Remove a dataset's files; jobs that trained on it keep its name. 409 while a job still needs it."""
    if not is_id("dataset", dataset_id):
        raise not_found("dataset")
    DatasetRepository(session).delete(caller.project_id, dataset_id)


def _find(session: Session, caller: Caller, dataset_id: str) -> Dataset:
    if not is_id("dataset", dataset_id):
        raise not_found("dataset")
    return DatasetRepository(session).get(caller.project_id, dataset_id)


def _manifest(dataset: Dataset) -> Mapping[str, Any]:
    if dataset.status != READY or dataset.manifest is None:
        raise conflict("dataset_not_ready", f"the dataset is {dataset.status}; this is known once it is ready")
    return dataset.manifest
