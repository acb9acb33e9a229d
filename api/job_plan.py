"""Checking a job before it is queued: what it names exists, what it says is understood, and it fits into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

import engine
from api.definitions import MATCHING, ResolvedModel, check_id, named_at, read_model, resolve_model
from api.errors import Fault, Problem, conflict, invalid
from api.schemas.jobs import JobCreate
from engine import inspect
from engine.definition import JobSpec, parse_job
from engine.errors import WeightsError
from store.errors import QuotaExceeded
from store.models import Job
from store.repositories import DatasetRepository, JobRepository
from store.session import Database
from store.settings import Settings
from store.states import QUEUED, READY

BLOCKS = ("data", "training", "checkpoints", "resources")


@dataclass(frozen=True)
class JobPlan:
    """A job that may be queued."""

    name: str
    spec: Mapping[str, Any]
    dataset_id: str
    model_id: str | None
    labels: Mapping[str, str]

    def create(self, session: Session, project_id: str, settings: Settings) -> Job:
        """The queued job. Raises Problem if the dataset has gone meanwhile, QuotaExceeded."""
        _ready_manifest(session, project_id, self.dataset_id)
        return JobRepository(session).create(
            project_id,
            name=self.name,
            spec=self.spec,
            dataset_id=self.dataset_id,
            model_id=self.model_id,
            labels=self.labels,
            queued_limit=settings.project_queued_jobs,
        )


def plan_job(
    database: Database, project_id: str, body: JobCreate, initial_weights: Mapping[str, str] | None = None
) -> JobPlan:
    """Read what the body names, then check it with no transaction open. Raises Problem, DefinitionError, NotFound.

    `initial_weights` are those of a job that is cloned with the model it has.
    """
    check_id("dataset", body.dataset, "/dataset")
    with database.read() as session:
        manifest = _ready_manifest(session, project_id, body.dataset)
        resolved = resolve_model(session, project_id, body.model)
    job = _understand(body, resolved, manifest)
    _admit(job, database.settings)
    _check_start(job, resolved)
    weights = initial_weights or resolved.initial_weights
    spec = {**job.to_json(), "initial_weights": weights, "warnings": list(job.warnings)}
    return JobPlan(body.name, spec, body.dataset, resolved.model_id, body.metadata)


def check_queue(session: Session, project_id: str, settings: Settings) -> None:
    """Raises QuotaExceeded if the project has as many queued jobs as it may have."""
    limit = settings.project_queued_jobs
    if JobRepository(session).counts(project_id).get(QUEUED, 0) >= limit:
        raise QuotaExceeded("queued jobs", limit)


def _ready_manifest(session: Session, project_id: str, dataset_id: str) -> Mapping[str, Any]:
    with named_at("/dataset"):
        dataset = DatasetRepository(session).get(project_id, dataset_id)
    if dataset.status != READY or dataset.manifest is None:
        raise conflict("dataset_not_ready", f"the dataset is {dataset.status}; a job needs one that is ready")
    return dataset.manifest


def _understand(body: JobCreate, resolved: ResolvedModel, manifest: Mapping[str, Any]) -> JobSpec:
    given = {name: getattr(body, name) for name in BLOCKS if name in body.model_fields_set}
    return parse_job({"model": resolved.definition, **given}, manifest)


def _check_start(job: JobSpec, resolved: ResolvedModel) -> None:
    """Raises Problem if the weights to start from belong to another model and do not fit this one."""
    if resolved.source is None or resolved.initial_weights is None:
        return
    matching = resolved.initial_weights.get("weights") == MATCHING
    try:
        engine.check_start(job.model, read_model(resolved.source), matching=matching)
    except WeightsError as error:
        raise invalid(str(error), pointer="/model/definition", code="invalid_weights") from None


def _admit(job: JobSpec, settings: Settings) -> None:
    """Raises Problem if the planner says that training does not fit into the memory the job may use."""
    allowed, limit = job.resources.memory_bytes, settings.job_memory_bytes or _memory_of_machine()
    # A limit that somebody has set is kept by computing values again; the machine's own is no plan to live by.
    bounds = [bound for bound in (allowed, settings.job_memory_bytes) if bound]
    planned = inspect.training_memory_bytes(job.model, job.training.batch_size, min(bounds, default=None))
    if allowed is not None and planned > allowed:
        pointer, maximum, whose = "/resources/memory_bytes", allowed, "the job's memory_bytes"
    elif planned > limit:
        pointer, maximum, whose = "/model", limit, "the server's limit for a job"
    else:
        return
    detail = f"expected a job that fits into {maximum} bytes ({whose}), received one that plans {planned}"
    raise Problem(422, "does_not_fit", detail, errors=[Fault(detail, pointer=pointer)])


def _memory_of_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
