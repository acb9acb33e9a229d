"""From what a user sent to what the engine understood: models by value, by id or by a job's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from api.errors import conflict, invalid, not_found, received
from engine import definition
from engine.definition import Model
from engine.errors import nearest, show
from store.errors import NotFound
from store.ids import is_id
from store.models import Checkpoint, Job
from store.models import Model as StoredModel
from store.repositories import CheckpointRepository, JobRepository, ModelRepository

POINTER = "/model"
ALL, MATCHING = WEIGHTS = ("all", "matching")
OPTIONS = ("weights", "definition")


@dataclass(frozen=True)
class ResolvedModel:
    """A definition, the stored model it came from, and the weights that training starts from.

    `source` is the definition that the weights belong to, where it may be another.
    """

    definition: Mapping[str, Any]
    model_id: str | None = None
    initial_weights: Mapping[str, str] | None = None
    source: Mapping[str, Any] | None = None


def read_model(document: Any) -> Model:
    """The engine's model. Raises DefinitionError with pointers below `/model`."""
    return definition.parse_model(document, pointer=POINTER)


def resolve_definition(session: Session, project_id: str, given: Any) -> Mapping[str, Any]:
    """The definition that a stored model's id names, or the one given. Raises Problem."""
    return _by_value(given) if not isinstance(given, str) else _stored(session, project_id, given)


def resolve_model(session: Session, project_id: str, given: Any) -> ResolvedModel:
    """What a job's `model` means: a definition, a stored model's id, or other weights to start from. Raises Problem."""
    if isinstance(given, str):
        row = _find(session, project_id, given, POINTER)
        weights = {"model": row.id} if row.weights_blob is not None else None
        return ResolvedModel(row.definition, row.id, weights)
    if isinstance(given, dict) and ("from_job" in given or "from_model" in given or given.keys() == {"checkpoint"}):
        return _warm_start(session, project_id, given)
    return ResolvedModel(_by_value(given))


def _by_value(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise invalid(f"expected a definition or a model's id, received {received(given)}", pointer=POINTER)
    return given


def _stored(session: Session, project_id: str, model_id: str) -> Mapping[str, Any]:
    return _find(session, project_id, model_id, POINTER).definition


def _find(session: Session, project_id: str, model_id: Any, pointer: str) -> StoredModel:
    check_id("model", model_id, pointer)
    with named_at(pointer):
        return ModelRepository(session).get(project_id, model_id)


def _warm_start(session: Session, project_id: str, given: Mapping[str, Any]) -> ResolvedModel:
    """`from_job` or `from_model`, with `weights` and a `definition` of the job's own. Raises Problem."""
    known = ("from_model", *OPTIONS) if "from_model" in given else ("from_job", "checkpoint", *OPTIONS)
    for name in given:
        if name not in known:
            expected = f"{', '.join(known[:-1])} and {known[-1]}"
            detail = f"expected {expected}, received the unknown field {show(name)}{nearest(name, known)}"
            raise invalid(detail, pointer=f"{POINTER}/{name[:200]}")
    chosen = given.get("weights", ALL)
    if chosen not in WEIGHTS:
        detail = f"expected {' or '.join(WEIGHTS)}, received {received(chosen)}"
        raise invalid(detail, pointer=f"{POINTER}/weights")
    found = _from_model(session, project_id, given) if "from_model" in given else _from_job(session, project_id, given)
    assert found.initial_weights is not None
    weights = {**found.initial_weights, **({"weights": MATCHING} if chosen == MATCHING else {})}
    definition = given.get("definition")
    if definition is None:
        return replace(found, initial_weights=weights)
    if not isinstance(definition, dict):
        raise invalid(f"expected a definition, received {received(definition)}", pointer=f"{POINTER}/definition")
    return ResolvedModel(definition, None, weights, source=found.definition)


def _from_job(session: Session, project_id: str, given: Mapping[str, Any]) -> ResolvedModel:
    check_id("job", given.get("from_job"), f"{POINTER}/from_job")
    with named_at(f"{POINTER}/from_job"):
        job = JobRepository(session).get(project_id, given["from_job"])
    checkpoint = choose_checkpoint(session, job, given.get("checkpoint"), pointer=f"{POINTER}/checkpoint")
    return ResolvedModel(job.spec["model"], job.model_id, {"job": job.id, "checkpoint": checkpoint.id})


def _from_model(session: Session, project_id: str, given: Mapping[str, Any]) -> ResolvedModel:
    row = _find(session, project_id, given["from_model"], f"{POINTER}/from_model")
    if row.weights_blob is None:
        detail = "expected a model that was posted with weights, received one that is a definition alone"
        raise invalid(detail, pointer=f"{POINTER}/from_model", code="no_weights")
    return ResolvedModel(row.definition, row.id, {"model": row.id})


def check_id(kind: str, given: Any, pointer: str) -> None:
    """Raises Problem: 422 if it is no text, 404 if it cannot be the id of anything."""
    if not isinstance(given, str):
        raise invalid(f"expected the id of a {kind}, received {received(given)}", pointer=pointer)
    if not is_id(kind, given):
        raise not_found(kind, pointer=pointer)


@contextmanager
def named_at(pointer: str | None = None, parameter: str | None = None) -> Iterator[None]:
    """What is looked up inside was named at this place of the request. Raises Problem 404 with it."""
    try:
        yield
    except NotFound as absent:
        raise not_found(absent.what, pointer=pointer, parameter=parameter) from None


def choose_checkpoint(
    session: Session, job: Job, chosen: Any, *, pointer: str | None = None, parameter: str | None = None
) -> Checkpoint:
    """`best`, `last` or an id; by default the best if a monitor is set, else the last. Raises Problem."""
    monitored = job.spec["checkpoints"].get("monitor") is not None
    if chosen is None:
        chosen = "best" if monitored and job.best_checkpoint_id else "last"
    if chosen == "best":
        if not monitored:
            raise invalid(
                "expected last or a checkpoint's id: the job has no monitor, received 'best'",
                pointer=pointer,
                parameter=parameter,
                code="no_best_checkpoint",
            )
        wanted = job.best_checkpoint_id
    elif chosen == "last":
        wanted = job.latest_checkpoint_id
    else:
        if not isinstance(chosen, str) or not (chosen.startswith("ckpt_") and len(chosen) <= 64):
            detail = f"expected best, last or a checkpoint's id, received {received(chosen)}"
            raise invalid(detail, pointer=pointer, parameter=parameter)
        if not is_id("checkpoint", chosen):
            raise not_found("checkpoint", pointer=pointer, parameter=parameter)
        wanted = chosen
    if wanted is None:
        raise conflict("no_checkpoint", "the job has no weights yet: it has not written its first checkpoint")
    with named_at(pointer, parameter):
        return CheckpointRepository(session).get(job.project_id, job.id, wanted)
