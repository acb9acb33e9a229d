"""Jobs: create, look, and steer."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.deps import METADATA_PARAMETER, MetadataFilter, ReadSession, TheCaller, TheService, WriteSession
from api.errors import from_validation, not_found
from api.idempotency import TheOnce, Write
from api.job_plan import check_queue, plan_job
from api.merge_patch import merge
from api.pagination import Paging
from api.route import resource
from api.schemas.base import Listing
from api.schemas.jobs import SPEC_BLOCKS, JobAnswer, JobCreate, JobPatch, JobStatus, to_job
from store.ids import is_id
from store.models import Job
from store.repositories import JobRepository

router = resource("/jobs", "jobs")


@router.post("", status_code=201, response_model=JobAnswer)
def create_job(body: JobCreate, service: TheService, caller: TheCaller, once: TheOnce) -> Response:
    """Check a training job and queue it. The answer is the job as it was understood, defaults filled in."""

    def prepare() -> Write:
        plan = plan_job(service.database, caller.project_id, body)
        return lambda session: to_job(plan.create(session, caller.project_id, service.settings))

    return once.answer(201, body.model_dump(exclude_unset=True), prepare)


@router.get("", openapi_extra=METADATA_PARAMETER)
def list_jobs(
    session: ReadSession, caller: TheCaller, page: Paging, metadata: MetadataFilter, status: JobStatus | None = None
) -> Listing[JobAnswer]:
    """The project's jobs, of one status and with all the tags asked for."""
    found = JobRepository(session).page(
        caller.project_id, after=page.cursor("job"), limit=page.limit, order=page.order, status=status, labels=metadata
    )
    return Listing[JobAnswer].of((to_job(row) for row in found.rows), has_more=found.has_more)


@router.get("/{job_id}")
def get_job(job_id: str, session: ReadSession, caller: TheCaller) -> JobAnswer:
    """One job, with its progress and its latest and best metrics."""
    return to_job(find_job(session, caller, job_id))


@router.post("/{job_id}/cancel")
def cancel_job(job_id: str, session: WriteSession, caller: TheCaller) -> JobAnswer:
    """End a job: a waiting or paused one at once, a running one within about two seconds."""
    return to_job(JobRepository(session).request_cancel(caller.project_id, _checked(job_id)))


@router.post("/{job_id}/pause")
def pause_job(job_id: str, session: WriteSession, caller: TheCaller) -> JobAnswer:
    """Let a running job write a checkpoint and give its worker back."""
    return to_job(JobRepository(session).request_pause(caller.project_id, _checked(job_id)))


@router.post("/{job_id}/resume")
def resume_job(job_id: str, session: WriteSession, caller: TheCaller, service: TheService) -> JobAnswer:
    """Queue a paused job again; it goes on from its checkpoint as if nothing had been."""
    check_queue(session, caller.project_id, service.settings)
    return to_job(JobRepository(session).resume(caller.project_id, _checked(job_id)))


@router.post("/{job_id}/retry")
def retry_job(job_id: str, session: WriteSession, caller: TheCaller, service: TheService) -> JobAnswer:
    """Queue a failed or cancelled job again under the same id, from its latest checkpoint, attempts from zero."""
    check_queue(session, caller.project_id, service.settings)
    return to_job(JobRepository(session).retry(caller.project_id, _checked(job_id)))


@router.post("/{job_id}/clone", status_code=201, response_model=JobAnswer)
def clone_job(job_id: str, body: JobPatch, service: TheService, caller: TheCaller, once: TheOnce) -> Response:
    """A new job with this one's body, changed by a merge patch."""
    patch = body.model_dump(exclude_unset=True)

    def prepare() -> Write:
        with service.database.read() as session:
            job = find_job(session, caller, job_id)
        weights = None if patch.get("model") is not None else job.spec.get("initial_weights")
        plan = plan_job(service.database, caller.project_id, _patched(job, patch), weights)
        return lambda session: to_job(plan.create(session, caller.project_id, service.settings))

    return once.answer(201, patch, prepare)


def _patched(job: Job, patch: dict[str, Any]) -> JobCreate:
    """The body that would create this job, patched. Raises Problem if that is no body any more."""
    body: dict[str, Any] = {"name": job.name, "dataset": job.dataset_id, "metadata": job.labels}
    body |= {block: job.spec[block] for block in SPEC_BLOCKS}
    body["model"] = patch.get("model") or job.model_id or job.spec["model"]
    changes = {name: value for name, value in patch.items() if name != "model"}
    try:
        return JobCreate.model_validate(merge(body, changes))
    except ValidationError as error:
        findings = [{**finding, "loc": ("body", *finding["loc"])} for finding in error.errors()]
        raise from_validation(findings, list(JobCreate.model_fields)) from None


def find_job(session: Session, caller: TheCaller, job_id: str) -> Job:
    """The caller's job. Raises Problem 404."""
    return JobRepository(session).get(caller.project_id, _checked(job_id))


def _checked(job_id: str) -> str:
    if not is_id("job", job_id):
        raise not_found("job")
    return job_id
