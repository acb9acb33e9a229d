"""Stored model definitions, and the answers of the dry run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.base import Answer, Body, Document, Metadata, Name, Time
from store.models import Model

BatchSize = Annotated[int, Field(ge=1, le=65_536, description="examples in a batch, for the planned memory")]


class ModelCreate(Body):
    """A definition to keep: native, or what Keras 3's `model.to_json()` gives, as it is."""

    name: Name = "model"
    model: Document
    metadata: Metadata = Field(default_factory=dict)


class ModelValidate(Body):
    """A dry run: nothing is stored."""

    model: Annotated[Any, Field(description="a definition, or a stored model's id")]
    batch_size: BatchSize = 32


class ModelSummary(Answer):
    """Shapes, parameters, floating-point operations an example, and planned memory. Batch dimensions are null."""

    inputs: Document
    outputs: Document
    layers: list[Document]
    parameters: dict[str, int]
    flops: dict[str, int]
    memory_bytes: dict[str, int]
    warnings: list[Any]


class ModelGraph(Answer):
    """Nodes and edges of the graph at one stage of its way to a plan."""

    nodes: list[Document]
    edges: list[Document]


class ModelWeights(Answer):
    """The file that a model was posted with: jobs that name the model start from its weights."""

    format: str
    bytes: int
    sha256: str


class ModelAnswer(Answer):
    """A stored definition, as it was understood."""

    id: str
    object: Literal["model"] = "model"
    name: str
    created_at: Time
    model: Document
    parameters: dict[str, int] | None
    weights: ModelWeights | None
    metadata: dict[str, str]
    links: dict[str, str]


def to_model(row: Model) -> ModelAnswer:
    """The answer for a row."""
    path = f"/v1/models/{row.id}"
    return ModelAnswer.model_construct(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        model=row.definition,
        parameters=(row.summary or {}).get("parameters"),
        weights=_weights(row),
        metadata=row.labels,
        links={"self": path, "graph": f"{path}/graph"},
    )


def _weights(row: Model) -> ModelWeights | None:
    if row.weights_format is None:
        return None
    return ModelWeights.model_construct(
        format=row.weights_format, bytes=row.weights_bytes, sha256=row.weights_sha256
    )
