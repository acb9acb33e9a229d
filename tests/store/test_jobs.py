"""What users and workers may do to a job in each of its states."""

from __future__ import annotations

import itertools

import pytest

from store import outbox
from store.errors import IllegalTransition, LeaseLost, NotFound
from store.models import Job
from store.repositories import AttemptRepository, EventRepository, JobRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from store.states import JOB_STATUSES
from tests.store.rows import claim, claimed_job, new_dataset, new_job, new_project, publish

ERROR = {"code": "diverged", "message": "The loss is not finite.", "pointer": None}


@pytest.fixture
def project_id(database: Database) -> str:
    return new_project(database)


@pytest.fixture
def dataset_id(database: Database, project_id: str) -> str:
    return new_dataset(database, project_id).id


def job_in(database: Database, status: str, project_id: str, dataset_id: str) -> Job:
    """A job that came to `status` in the usual way."""
    if status == "queued":
        job = new_job(database, project_id, dataset_id)
    else:
        job = claimed_job(database, project_id, dataset_id)
        if status != "running":
            with database.write() as session:
                RunningJobRepository(session).finish(
                    job.id, job.token, status, error=ERROR if status == "failed" else None
                )
    return read(database, job)


def read(database: Database, job: Job) -> Job:
    with database.read() as session:
        return JobRepository(session).get(job.project_id, job.id)


def put_away(database: Database, job: Job) -> None:
    """No job is left for the tests that come."""
    with database.write() as session:
        if JobRepository(session).get(job.project_id, job.id).status in ("queued", "paused"):
            JobRepository(session).request_cancel(job.project_id, job.id)


VERBS = {
    "request_cancel": {"queued": "cancelled", "paused": "cancelled", "running": "running", "cancelled": "cancelled"},
    "request_pause": {"running": "running"},
    "resume": {"paused": "queued"},
    "retry": {"failed": "queued", "cancelled": "queued"},
}


@pytest.mark.parametrize(("verb", "status"), [*itertools.product(VERBS, JOB_STATUSES)])
def test_every_verb_in_every_state(
    database: Database, project_id: str, dataset_id: str, verb: str, status: str
) -> None:
    job = job_in(database, status, project_id, dataset_id)
    expected = VERBS[verb].get(status)
    if expected is None:
        with pytest.raises(IllegalTransition), database.write() as session:
            getattr(JobRepository(session), verb)(project_id, job.id)
        after = read(database, job)
        assert (after.status, after.event_seq) == (status, job.event_seq)
    else:
        with database.write() as session:
            after = getattr(JobRepository(session), verb)(project_id, job.id)
        assert after.status == expected
        assert after.event_seq == job.event_seq + (expected != status or status == "running")
    put_away(database, job)


@pytest.mark.parametrize(
    ("verb", "status", "message"),
    [
        ("request_cancel", "succeeded", "only a job that has not ended can be cancelled; this one has succeeded"),
        ("request_pause", "paused", "the job is already paused"),
        ("request_pause", "queued", "only a running job can be paused; this one is queued"),
        ("resume", "running", "only a paused job can be resumed; this one is running"),
        ("retry", "succeeded", "only a failed or cancelled job can be retried; this one has succeeded"),
    ],
)
def test_a_refusal_speaks_of_jobs(database: Database, project_id: str, dataset_id: str, verb, status, message) -> None:
    job = job_in(database, status, project_id, dataset_id)
    with pytest.raises(IllegalTransition) as caught, database.write() as session:
        getattr(JobRepository(session), verb)(project_id, job.id)
    assert str(caught.value) == message
    put_away(database, job)


@pytest.mark.parametrize(
    ("ending", "status"), [*itertools.product(("succeeded", "failed", "cancelled", "paused"), JOB_STATUSES)]
)
def test_only_a_running_job_can_be_ended(
    database: Database, project_id: str, dataset_id: str, ending: str, status: str
) -> None:
    job = job_in(database, status, project_id, dataset_id)
    if status == "running":
        with database.write() as session:
            RunningJobRepository(session).finish(job.id, job.token, ending, metrics={"latest": {"loss": 1.0}})
        after = read(database, job)
        assert (after.status, after.lease_until, after.worker) == (ending, None, None)
        assert after.metrics == {"latest": {"loss": 1.0}}
        assert (after.finished_at is None) == (ending == "paused")
        with database.read() as session:
            assert AttemptRepository(session).outcome(job.id, job.token) == ending
    else:
        with pytest.raises(LeaseLost), database.write() as session:
            RunningJobRepository(session).finish(job.id, job.token, ending)
        assert read(database, job).status == status
    put_away(database, job)


def test_an_end_that_is_none_is_refused(database: Database, project_id: str, dataset_id: str) -> None:
    job = claimed_job(database, project_id, dataset_id)
    for wanted in ("running", "queued", "ready", "unheard-of"):
        with pytest.raises(ValueError, match="expected one of"), database.write() as session:
            RunningJobRepository(session).finish(job.id, job.token, wanted)


def test_a_job_is_created_with_its_event_and_its_wake_up_or_not_at_all(
    database: Database, project_id: str, dataset_id: str
) -> None:
    with database.write() as session:
        before = outbox.pending(session).get("training", 0)
    job = new_job(database, project_id, dataset_id, labels={"team": "vision"})
    with database.read() as session:
        [event] = EventRepository(session).page(job.id).rows
        assert (event.seq, event.type, event.data) == (1, "status", {"status": "queued"})
        assert outbox.pending(session)["training"] == before + 1
    with pytest.raises(RuntimeError), database.write() as session:
        lost = JobRepository(session).create(project_id, name="x", spec={}, dataset_id=dataset_id)
        raise RuntimeError
    with database.read() as session:
        assert outbox.pending(session)["training"] == before + 1
        with pytest.raises(NotFound):
            JobRepository(session).get(project_id, lost.id)
    put_away(database, job)


def test_a_spec_comes_back_in_the_order_it_was_given(database: Database, project_id: str, dataset_id: str) -> None:
    spec = {"model": {"inputs": {"zeta": 1, "a": 2, "mm": 3}}, "data": {"b": 1e22, "a": 1e-7, "tiny": 5e-324}}
    with database.write() as session:
        job = JobRepository(session).create(project_id, name="x", spec=spec, dataset_id=dataset_id)
    found = read(database, job).spec
    assert list(found["model"]["inputs"]) == ["zeta", "a", "mm"]
    assert found == spec
    assert isinstance(found["data"]["b"], float)
    put_away(database, job)


def test_pause_and_resume_keep_the_checkpoint_and_the_attempt(
    database: Database, project_id: str, dataset_id: str
) -> None:
    job = claimed_job(database, project_id, dataset_id)
    checkpoint = publish(database, job, 5)
    with database.write() as session:
        JobRepository(session).request_pause(project_id, job.id)
    with database.write() as session:
        RunningJobRepository(session).finish(job.id, job.token, "paused")
    with database.write() as session:
        resumed = JobRepository(session).resume(project_id, job.id)
    assert (resumed.pause_requested_at, resumed.attempts_without_progress) == (None, 0)
    again = claim(database)
    assert again is not None
    assert (again.id, again.token, again.attempt, again.latest_checkpoint_id) == (job.id, 2, 2, checkpoint.id)


def test_a_retry_begins_from_attempt_zero_and_the_latest_checkpoint(
    database: Database, project_id: str, dataset_id: str
) -> None:
    job = claimed_job(database, project_id, dataset_id)
    checkpoint = publish(database, job, 5)
    with database.write() as session:
        RunningJobRepository(session).finish(job.id, job.token, "failed", error=ERROR)
    failed = read(database, job)
    assert failed.error == ERROR and failed.finished_at is not None
    with database.write() as session:
        retried = JobRepository(session).retry(project_id, job.id)
    assert (retried.attempt, retried.attempts_without_progress, retried.error, retried.finished_at) == (
        0,
        0,
        None,
        None,
    )
    again = claim(database)
    assert again is not None
    assert (again.id, again.token, again.attempt, again.latest_checkpoint_id) == (job.id, 2, 1, checkpoint.id)
    with database.read() as session:
        assert [(one.token, one.number, one.outcome) for one in AttemptRepository(session).list(job.id)] == [
            (1, 1, "failed"),
            (2, 1, None),
        ]


def test_a_cancelled_job_that_is_retried_is_not_cancelled_again(
    database: Database, project_id: str, dataset_id: str
) -> None:
    job = new_job(database, project_id, dataset_id)
    with database.write() as session:
        JobRepository(session).request_cancel(project_id, job.id)
    with database.write() as session:
        assert JobRepository(session).retry(project_id, job.id).cancel_requested_at is None
    again = claim(database)
    assert again is not None
    with database.read() as session:
        assert not RunningJobRepository(session).flags(again.id, again.token).cancel


def test_final_weights_and_success_are_one_transaction(database: Database, project_id: str, dataset_id: str) -> None:
    from store.repositories import CheckpointRepository
    from tests.store.rows import written

    job = claimed_job(database, project_id, dataset_id)

    def end(fails: bool) -> None:
        weights, state = written(database, b"final"), written(database, b"final state")
        with database.write() as session:
            CheckpointRepository(session).publish(
                job.id, job.token, weights=weights, state=state, step=9, epoch=1, metrics={}, best=False
            )
            RunningJobRepository(session).finish(job.id, job.token, "succeeded")
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        end(fails=True)
    assert (read(database, job).status, read(database, job).latest_checkpoint_id) == ("running", None)
    end(fails=False)
    after = read(database, job)
    assert after.status == "succeeded" and after.latest_checkpoint_id is not None
    with database.read() as session:  # what a worker reads when its COMMIT's outcome is unknown
        assert AttemptRepository(session).outcome(job.id, job.token) == "succeeded"
