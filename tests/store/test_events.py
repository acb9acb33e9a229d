from __future__ import annotations

import threading

from store.repositories import EventRepository, JobRepository
from store.repositories.events import NewEvent
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_project


def log(message: str) -> NewEvent:
    return NewEvent(type="log", message=message)


def test_numbers_have_no_gap_whoever_writes_at_once(database: Database) -> None:
    """The worker's two threads, a user's requests and failed transactions all number events of one job."""
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id)
    failures: list[BaseException] = []

    def report(name: str) -> None:
        try:
            for round in range(15):
                try:
                    with database.write() as session:
                        batch = [log(f"{name} {round} {n}") for n in range(round % 4)]
                        RunningJobRepository(session).report(job.id, job.token, events=batch)
                        if round % 5 == 0:
                            raise RuntimeError("rolled back")
                except RuntimeError:
                    pass
        except BaseException as error:
            failures.append(error)

    def ask() -> None:
        with database.write() as session:
            JobRepository(session).request_pause(project_id, job.id)

    seen: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        while not (stop.is_set() and len(seen) == last()):
            with database.read() as session:
                page = EventRepository(session).page(job.id, after=seen[-1] if seen else None, limit=7)
            seen.extend(event.seq for event in page.rows)

    def last() -> int:
        with database.read() as session:
            return EventRepository(session).heads([job.id])[job.id].seq

    reader = threading.Thread(target=follow)
    writers = [threading.Thread(target=report, args=(name,)) for name in "ab"] + [threading.Thread(target=ask)]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join(timeout=30)
    assert not failures
    # A reader that follows by number misses nothing: an event is never seen before one with a lower number.
    assert seen == list(range(1, last() + 1))


def test_pages_of_events_by_number_in_both_orders(database: Database) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id)
    with database.write() as session:
        RunningJobRepository(session).report(job.id, job.token, events=[log(f"{n}") for n in range(8)])
    with database.read() as session:
        events = EventRepository(session)
        assert [event.seq for event in events.page(job.id, after=4, limit=3).rows] == [5, 6, 7]
        assert [event.seq for event in events.page(job.id, order="desc", limit=2).rows] == [10, 9]
        assert events.page(job.id, limit=9).has_more
        assert not events.page(job.id, limit=10).has_more
        assert events.page(job.id, after=10).rows == []
        assert events.page("job_none").rows == []


def test_an_event_says_what_was_said(database: Database) -> None:
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id)
    event = NewEvent(type="log", level="warning", message="NUL \0 and \ud800", data={"values": [1.5, float("nan")]})
    with database.write() as session:
        RunningJobRepository(session).report(job.id, job.token, events=[event])
    with database.read() as session:
        stored = EventRepository(session).page(job.id, order="desc", limit=1).rows[0]
        heads = EventRepository(session).heads([job.id, "job_none"])
    assert (stored.type, stored.level, stored.message, stored.data) == (
        "log",
        "warning",
        "NUL \ufffd and ?",
        {"values": [1.5, None]},
    )
    assert list(heads) == [job.id]
    assert (heads[job.id].seq, heads[job.id].status) == (3, "running")
