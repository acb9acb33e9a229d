"""Definitions: stored, tried out, and shown as graphs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response

from api.definitions import read_model, resolve_definition
from api.deps import METADATA_PARAMETER, MetadataFilter, ReadSession, TheCaller, TheService
from api.errors import not_found
from api.idempotency import TheOnce, Write
from api.pagination import Paging
from api.route import resource
from api.routes.model_uploads import UPLOAD_BODY
from api.schemas.base import Listing
from api.schemas.models import (
    BatchSize,
    ModelAnswer,
    ModelCreate,
    ModelGraph,
    ModelSummary,
    ModelValidate,
    to_model,
)
from engine import inspect
from store.ids import is_id
from store.models import Model
from store.repositories import ModelRepository

router = resource("/models", "models")


@router.post("", status_code=201, response_model=ModelAnswer, openapi_extra=UPLOAD_BODY)
def create_model(body: ModelCreate, once: TheOnce, caller: TheCaller) -> Response:
    """Check a definition and keep it, or a model file with its weights (multipart); jobs may then name it by its id."""

    def prepare() -> Write:
        model = read_model(body.model)
        summary = inspect.summary(model)
        return lambda session: to_model(
            ModelRepository(session).create(
                caller.project_id, name=body.name, definition=model.to_json(), summary=summary, labels=body.metadata
            )
        )

    return once.answer(201, body.model_dump(exclude_unset=True), prepare)


@router.post("/validate", response_model=ModelSummary)
def validate_model(body: ModelValidate, service: TheService, caller: TheCaller) -> dict[str, Any]:
    """Every layer's output shape and parameters, and the planned memory for a batch; nothing is stored."""
    with service.database.read() as session:
        definition = resolve_definition(session, caller.project_id, body.model)
    return inspect.summary(read_model(definition), body.batch_size)


@router.get("", openapi_extra=METADATA_PARAMETER)
def list_models(
    session: ReadSession, caller: TheCaller, page: Paging, metadata: MetadataFilter
) -> Listing[ModelAnswer]:
    """The project's definitions."""
    found = ModelRepository(session).page(
        caller.project_id, after=page.cursor("model"), limit=page.limit, order=page.order, labels=metadata
    )
    return Listing[ModelAnswer].of((to_model(row) for row in found.rows), has_more=found.has_more)


@router.get("/{model_id}")
def get_model(model_id: str, session: ReadSession, caller: TheCaller) -> ModelAnswer:
    """One definition."""
    return to_model(_find(session, caller, model_id))


@router.get("/{model_id}/graph", response_model=ModelGraph)
def get_graph(
    model_id: str,
    service: TheService,
    caller: TheCaller,
    stage: Annotated[
        Literal["forward", "training", "plan"], Query(description="`training` is differentiated, `plan` compiled")
    ] = "forward",
    batch_size: Annotated[BatchSize, Query()] = 32,
) -> dict[str, Any]:
    """Nodes and edges with shapes, types and floating-point operations."""
    with service.database.read() as session:
        definition = _find(session, caller, model_id).definition
    return inspect.graph(read_model(definition), stage=stage, batch_size=batch_size)


def _find(session: ReadSession, caller: TheCaller, model_id: str) -> Model:
    if not is_id("model", model_id):
        raise not_found("model")
    return ModelRepository(session).get(caller.project_id, model_id)
