"""A job's checkpoints."""

from __future__ import annotations

from api.deps import ReadSession, TheCaller
from api.errors import not_found
from api.pagination import Paging
from api.route import resource
from api.routes.jobs import find_job
from api.schemas.base import Listing
from api.schemas.checkpoints import CheckpointAnswer, to_checkpoint
from store.ids import is_id
from store.repositories import CheckpointRepository

router = resource("/jobs/{job_id}/checkpoints", "checkpoints")


@router.get("")
def list_checkpoints(job_id: str, session: ReadSession, caller: TheCaller, page: Paging) -> Listing[CheckpointAnswer]:
    """The checkpoints that are kept: the newest ones and the best."""
    job = find_job(session, caller, job_id)
    found = CheckpointRepository(session).page(
        job_id, after=page.cursor("checkpoint"), limit=page.limit, order=page.order
    )
    return Listing[CheckpointAnswer].of((to_checkpoint(row, job) for row in found.rows), has_more=found.has_more)


@router.get("/{checkpoint_id}")
def get_checkpoint(job_id: str, checkpoint_id: str, session: ReadSession, caller: TheCaller) -> CheckpointAnswer:
    """One checkpoint."""
    job = find_job(session, caller, job_id)
    if not is_id("checkpoint", checkpoint_id):
        raise not_found("checkpoint")
    return to_checkpoint(CheckpointRepository(session).get(caller.project_id, job_id, checkpoint_id), job)
