"""Who gets a job: order, races, leases and the reaper, on both databases."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from store import outbox
from store.errors import LeaseLost, QuotaExceeded
from store.models import Dataset, Job
from store.repositories import AttemptRepository, DatasetRepository, EventRepository, JobRepository
from store.repositories.leases import Expired, Flags
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from store.settings import Settings
from tests.store.rows import claim, claimed_job, new_dataset, new_job, new_project, publish


@pytest.fixture(autouse=True)
def nothing_waits(database: Database) -> Iterator[None]:
    """Every test begins with no work of another."""
    with database.write() as session:
        for table in ("jobs", "datasets"):
            session.execute(
                text(f"UPDATE {table} SET status = 'failed' WHERE status IN ('queued', 'running', 'processing')")
            )
        session.execute(text("DELETE FROM outbox"))
    yield


def one_job(database: Database, **options) -> Job:
    project_id = new_project(database)
    return new_job(database, project_id, new_dataset(database, project_id).id, **options)


def test_a_claim_takes_the_job_with_a_new_token_and_a_lease(database: Database) -> None:
    waiting = one_job(database)
    job = claim(database, 30.0, "worker-7")
    assert job is not None
    assert (job.id, job.status, job.worker) == (waiting.id, "running", "worker-7")
    assert (job.token, job.attempt, job.attempts_without_progress) == (1, 1, 1)
    assert job.lease_until is not None and job.started_at is not None
    assert 29 < (job.lease_until - job.started_at).total_seconds() < 31
    assert claim(database) is None
    with database.read() as session:
        [attempt] = AttemptRepository(session).list(job.id)
        assert (attempt.token, attempt.number, attempt.worker, attempt.outcome) == (1, 1, "worker-7", None)


def test_an_attempt_says_from_where_it_goes_on(database: Database) -> None:
    job = one_job(database)
    first = claim(database)
    assert first is not None
    checkpoint = publish(database, first, 70)
    with database.write() as session:
        RunningJobRepository(session).release(job.id, first.token)
    assert claim(database) is not None
    with database.read() as session:
        events = EventRepository(session).page(job.id).rows
    began = [event for event in events if event.data.get("status") == "running"]
    assert [event.message for event in began] == ["Attempt 1 has started.", "Attempt 1 goes on from step 70, epoch 1."]
    assert began[1].data["checkpoint"] == checkpoint.id


def test_the_order_is_priority_then_fairness_then_age(database: Database) -> None:
    busy, quiet = new_project(database), new_project(database)
    datasets = {project: new_dataset(database, project).id for project in (busy, quiet)}
    jobs = [new_job(database, busy, datasets[busy]).id for _ in range(3)]
    late = [new_job(database, quiet, datasets[quiet]).id for _ in range(2)]
    urgent = new_job(database, busy, datasets[busy], priority=1).id
    taken = [claimed.id for claimed in iter(lambda: claim(database), None)]
    # After the urgent one, busy has one running and quiet none; from then on they take turns.
    assert taken == [urgent, late[0], *sorted([jobs[0], late[1]], key=taken.index), jobs[1], jobs[2]]
    assert taken.index(late[1]) <= 3


def test_a_single_worker_serves_projects_in_turn(database: Database) -> None:
    projects = [new_project(database) for _ in range(3)]
    owners = {}
    for project in projects:
        dataset = new_dataset(database, project)
        owners.update({new_job(database, project, dataset.id).id: project for _ in range(3)})
    order = []
    while (job := claim(database)) is not None:
        order.append(owners[job.id])
        with database.write() as session:
            RunningJobRepository(session).finish(job.id, job.token, "succeeded")
        time.sleep(0.002)  # the clock on SQLite counts milliseconds
    assert [len(set(order[i : i + 3])) for i in (0, 3, 6)] == [3, 3, 3]


def test_no_project_runs_more_than_its_limit(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    for _ in range(3):
        new_job(database, project_id, dataset.id)
    for expected in (True, True, False):
        with database.write() as session:
            claimed = RunningJobRepository(session).claim_next("w", 30.0, running_limit=2)
        assert (claimed is not None) is expected


def test_no_project_queues_more_than_its_limit(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    for _ in range(2):
        new_job(database, project_id, dataset.id, queued_limit=2)
    with pytest.raises(QuotaExceeded, match="limit of 2 queued jobs"):
        new_job(database, project_id, dataset.id, queued_limit=2)


@pytest.mark.parametrize("attempt", range(3))
def test_threads_that_race_claim_each_job_once(database: Database, attempt: int) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    jobs = {new_job(database, project_id, dataset.id).id for _ in range(12)}
    start = threading.Barrier(6)
    taken: list[str] = []

    def work(name: str) -> None:
        start.wait()
        while (job := claim(database, worker=name)) is not None:
            taken.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == Counter(jobs)


def _claim_all(settings: Settings, start, taken) -> None:
    database = Database(settings)
    start.wait()
    while (job := claim(database)) is not None:
        taken.put((job.id, job.token))
    taken.put(None)
    database.close()


def test_processes_that_race_claim_each_job_once(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    jobs = {new_job(database, project_id, dataset.id).id for _ in range(20)}
    context = multiprocessing.get_context("spawn")
    start, taken = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_claim_all, args=(database.settings, start, taken)) for _ in range(3)]
    for process in processes:
        process.start()
    found, ended = [], 0
    while ended < len(processes):
        item = taken.get(timeout=60)
        ended += item is None
        found += [item] if item else []
    for process in processes:
        process.join(timeout=10)
        assert process.exitcode == 0
    assert Counter(found) == Counter((id, 1) for id in jobs)


def test_a_lease_is_renewed_by_its_holder_and_tells_what_users_asked(database: Database) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=1.0)
    with database.write() as session:
        assert RunningJobRepository(session).renew(job.id, job.token, 30.0) == Flags(cancel=False, pause=False)
    with database.write() as session:
        JobRepository(session).request_pause(project_id, job.id)
    with database.read() as session:
        assert RunningJobRepository(session).flags(job.id, job.token) == Flags(cancel=False, pause=True)
    with database.write() as session:
        JobRepository(session).request_cancel(project_id, job.id)
        JobRepository(session).request_cancel(project_id, job.id)  # asking twice is asking once
    with database.write() as session:
        assert RunningJobRepository(session).renew(job.id, job.token, 30.0) == Flags(cancel=True, pause=True)
    with database.read() as session:
        renewed = RunningJobRepository(session).find(job.id)
        assert renewed is not None and renewed.lease_until is not None and job.lease_until is not None
        assert (renewed.lease_until - job.lease_until).total_seconds() > 28
        logs = [event for event in EventRepository(session).page(job.id).rows if event.type == "log"]
    assert [event.message for event in logs] == ["Pausing was requested.", "Cancelling was requested."]


def stale_calls(job: Job):
    """Every call of a worker, with the token of `job`."""
    id, token = job.id, job.token
    return {
        "renew": lambda r: r.renew(id, token, 30.0),
        "flags": lambda r: r.flags(id, token),
        "fence": lambda r: r.fence(id, token),
        "report": lambda r: r.report(id, token, progress={"step": 1}),
        "succeeded": lambda r: r.finish(id, token, "succeeded"),
        "failed": lambda r: r.finish(id, token, "failed", error={"code": "x", "message": "x", "pointer": None}),
        "cancelled": lambda r: r.finish(id, token, "cancelled"),
        "paused": lambda r: r.finish(id, token, "paused"),
        "release": lambda r: r.release(id, token),
        "lose": lambda r: r.lose(id, token, "x"),
    }


def snapshot(database: Database, id: str):
    with database.read() as session:
        job = RunningJobRepository(session).find(id)
        assert job is not None
        return {
            column.key: getattr(job, column.key if column.key != "metadata" else "labels")
            for column in Job.__table__.columns
        }


@pytest.mark.parametrize("ending", ["taken over", "finished", "paused", "reaped"])
def test_nothing_of_a_stale_worker_lands(database: Database, ending: str) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=-1.0)
    with database.write() as session:
        running = RunningJobRepository(session)
        if ending == "finished":
            running.finish(job.id, job.token, "succeeded")
        elif ending == "paused":
            running.finish(job.id, job.token, "paused")
        else:
            assert running.reap(running.expired()[0]) == "queued"
    if ending == "taken over":
        again = claim(database)
        assert again is not None and (again.id, again.token) == (job.id, job.token + 1)
    before = snapshot(database, job.id)
    for name, call in stale_calls(job).items():
        with pytest.raises(LeaseLost), database.write() as session:
            call(RunningJobRepository(session))
        assert snapshot(database, job.id) == before, name
    with pytest.raises(LeaseLost):
        publish(database, job, 1)
    assert snapshot(database, job.id) == before


def test_a_stale_write_that_began_before_the_reaper_waits_and_is_refused(database: Database) -> None:
    """The fenced UPDATE takes the row's lock: of a worker and a reaper at once, one sees what the other did."""
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=-1.0)
    results: list[object] = []
    reaping, written = threading.Event(), threading.Event()

    def stale() -> None:
        reaping.wait()
        try:
            with database.write() as session:
                RunningJobRepository(session).report(job.id, job.token, progress={"step": 99})
            results.append("landed")
        except LeaseLost:
            results.append("refused")
        written.set()

    thread = threading.Thread(target=stale)
    thread.start()
    with database.write() as session:
        running = RunningJobRepository(session)
        assert running.reap(running.expired()[0]) == "queued"
        reaping.set()
        assert not written.wait(0.3)
    thread.join()
    assert results == ["refused"]
    assert snapshot(database, job.id)["progress"] is None


def test_the_reaper_takes_only_the_lease_it_has_seen(database: Database) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=-1.0)
    with database.read() as session:
        [expired] = RunningJobRepository(session).expired()
    assert (expired.id, expired.token) == (job.id, job.token)
    with database.write() as session:  # the worker was only slow
        RunningJobRepository(session).renew(job.id, job.token, 30.0)
    with database.write() as session:
        running = RunningJobRepository(session)
        assert running.expired() == []
        assert running.reap(expired) is None
        assert running.reap(Expired(job.id, job.token + 1, expired.lease_until)) is None
    assert snapshot(database, job.id)["status"] == "running"


def test_many_reapers_take_a_lost_job_once(database: Database) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=-1.0)
    with database.read() as session:
        [expired] = RunningJobRepository(session).expired()
    outcomes: list[str | None] = []

    def reap() -> None:
        with database.write() as session:
            outcomes.append(RunningJobRepository(session).reap(expired))

    threads = [threading.Thread(target=reap) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["None"] * 4 + ["queued"]
    again = claim(database)
    assert again is not None and (again.id, again.token, again.attempt) == (job.id, 2, 2)


def lose(database: Database, attempts: int = 3) -> str | None:
    """The next claim's worker is lost at once."""
    with database.write() as session:
        running = RunningJobRepository(session)
        job = running.claim_next("lost", -1.0)
        assert job is not None
        return running.reap(running.expired()[0], attempts=attempts)


def test_three_attempts_without_a_checkpoint_fail_the_job(database: Database) -> None:
    job = one_job(database)
    assert [lose(database) for _ in range(3)] == ["queued", "queued", "failed"]
    state = snapshot(database, job.id)
    assert state["error"]["code"] == "worker_lost"
    assert state["finished_at"] is not None and state["lease_until"] is None and state["worker"] is None
    with database.read() as session:
        assert [attempt.outcome for attempt in AttemptRepository(session).list(job.id)] == ["lost"] * 3
        last = EventRepository(session).page(job.id, order="desc", limit=1).rows[0]
    assert (last.type, last.level, last.data["status"]) == ("status", "error", "failed")
    assert last.data["error"]["code"] == "worker_lost"


def test_a_checkpoint_gives_three_attempts_anew(database: Database) -> None:
    one_job(database)
    assert [lose(database) for _ in range(2)] == ["queued", "queued"]
    job = claim(database, -1.0)
    assert job is not None
    publish(database, job, 1)
    with database.write() as session:
        running = RunningJobRepository(session)
        assert running.reap(running.expired()[0]) == "queued"
    assert [lose(database) for _ in range(3)] == ["queued", "queued", "failed"]


@pytest.mark.parametrize(("asked", "then"), [("request_cancel", "cancelled"), ("request_pause", "paused")])
@pytest.mark.parametrize("how", ["reap", "release", "lose"])
def test_what_users_asked_is_done_when_the_worker_goes(database: Database, asked: str, then: str, how: str) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id, lease_seconds=-1.0)
    with database.write() as session:
        getattr(JobRepository(session), asked)(project_id, job.id)
    with database.write() as session:
        running = RunningJobRepository(session)
        if how == "reap":
            assert running.reap(running.expired()[0]) == then
        elif how == "release":
            assert running.release(job.id, job.token) == then
        else:
            assert running.lose(job.id, job.token, "It died.") == then
    assert snapshot(database, job.id)["status"] == then
    assert claim(database) is None


def test_a_release_consumes_no_attempt_and_keeps_the_place(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    first = new_job(database, project_id, dataset.id)
    new_job(database, project_id, dataset.id)
    for token in range(1, 6):
        job = claim(database)
        assert job is not None and (job.id, job.token, job.attempt) == (first.id, token, 1)
        with database.write() as session:
            assert RunningJobRepository(session).release(job.id, job.token) == "queued"
    state = snapshot(database, first.id)
    assert (state["attempt"], state["attempts_without_progress"], state["lease_until"]) == (0, 0, None)
    with database.read() as session:
        assert {attempt.outcome for attempt in AttemptRepository(session).list(first.id)} == {"released"}


def test_a_worker_that_lost_its_process_says_why(database: Database) -> None:
    id = one_job(database).id
    cause = "The trainer was killed (signal 9)."
    for expected in ("queued", "queued", "failed"):
        job = claim(database)
        assert job is not None
        with database.write() as session:
            assert RunningJobRepository(session).lose(job.id, job.token, cause) == expected
    assert snapshot(database, id)["error"]["message"].startswith(f"{cause} 3 attempts in a row")


def test_counts_tell_the_sweep_how_much_work_waits(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    for _ in range(3):
        new_job(database, project_id, dataset.id)
    claim(database)
    with database.read() as session:
        running, datasets = RunningJobRepository(session), DatasetRepository(session)
        assert (running.count_waiting(), running.count_held()) == (2, 1)
        assert (datasets.count_waiting(), datasets.count_held()) == (1, 0)


# Datasets by the same protocol ----------------------------------------------------------------------------------------


def claim_ingest(database: Database, lease_seconds: float = 30.0) -> Dataset | None:
    with database.write() as session:
        return DatasetRepository(session).claim_next("ingester", lease_seconds)


def test_ingests_are_claimed_by_age_and_once(database: Database) -> None:
    project_id = new_project(database)
    waiting = [new_dataset(database, project_id).id for _ in range(3)]
    taken = [claimed.id for claimed in iter(lambda: claim_ingest(database), None)]
    assert taken == waiting


def test_nothing_of_a_stale_ingest_lands(database: Database) -> None:
    new_dataset(database, new_project(database))
    stale = claim_ingest(database, -1.0)
    assert stale is not None
    with database.write() as session:
        datasets = DatasetRepository(session)
        assert datasets.reap(datasets.expired()[0]) == "processing"
        assert [message.reason for message in outbox.take(session)] == ["created", "lost"]
    fresh = claim_ingest(database)
    assert fresh is not None and (fresh.id, fresh.token) == (stale.id, 2)
    error = {"code": "x", "message": "x", "pointer": None}
    for call in (
        lambda d: d.renew(stale.id, stale.token, 30.0),
        lambda d: d.flags(stale.id, stale.token),
        lambda d: d.report(stale.id, stale.token, {"read": 1}),
        lambda d: d.ready(stale.id, stale.token, {}, {}),
        lambda d: d.fail(stale.id, stale.token, error),
        lambda d: d.release(stale.id, stale.token),
        lambda d: d.lose(stale.id, stale.token, "x"),
    ):
        with pytest.raises(LeaseLost), database.write() as session:
            call(DatasetRepository(session))
    with database.read() as session:
        row = DatasetRepository(session).find(stale.id)
        assert row is not None and (row.status, row.progress, row.manifest) == ("processing", None, None)


def test_a_killed_ingest_ends_failed_after_three_attempts(database: Database) -> None:
    id = new_dataset(database, new_project(database)).id
    outcomes = []
    for _ in range(3):
        assert claim_ingest(database, -1.0) is not None
        with database.write() as session:
            datasets = DatasetRepository(session)
            outcomes.append(datasets.reap(datasets.expired()[0]))
    assert outcomes == ["processing", "processing", "failed"]
    with database.read() as session:
        row = DatasetRepository(session).find(id)
        assert row is not None and row.error is not None and row.error["code"] == "worker_lost"


def test_a_released_ingest_consumes_no_attempt(database: Database) -> None:
    new_dataset(database, new_project(database))
    for _ in range(4):
        dataset = claim_ingest(database)
        assert dataset is not None and dataset.attempt == 1
        with database.write() as session:
            DatasetRepository(session).release(dataset.id, dataset.token)
