from __future__ import annotations

import pytest

from store.errors import NotFound
from store.repositories import CheckpointRepository, DatasetRepository, JobRepository, ModelRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_job, new_project


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_join_up_to_the_whole_list(database: Database, order, limit: int) -> None:
    project_id = new_project(database)
    with database.write() as session:
        made = [ModelRepository(session).create(project_id, name=f"m{n}", definition={}).id for n in range(7)]
    seen: list[str] = []
    has_more = True
    while has_more:
        with database.read() as session:
            page = ModelRepository(session).page(project_id, after=seen[-1] if seen else None, limit=limit, order=order)
        assert len(page.rows) <= limit
        seen += [row.id for row in page.rows]
        has_more = page.has_more
    assert seen == (made if order == "asc" else made[::-1])


def test_an_empty_list_has_no_more(database: Database) -> None:
    with database.read() as session:
        page = JobRepository(session).page(new_project(database))
    assert (page.rows, page.has_more) == ([], False)


def test_jobs_are_found_by_status_and_labels(database: Database) -> None:
    project_id = new_project(database)
    dataset = new_dataset(database, project_id)
    tagged = new_job(database, project_id, dataset.id, labels={"team": "vision", "run": "1"})
    new_job(database, project_id, dataset.id, labels={"team": "audio"})
    plain = new_job(database, project_id, dataset.id)
    with database.write() as session:
        JobRepository(session).request_cancel(project_id, plain.id)

    def found(**filters) -> list[str]:
        with database.read() as session:
            return [row.id for row in JobRepository(session).page(project_id, **filters).rows]

    assert found(labels={"team": "vision"}) == [tagged.id]
    assert found(labels={"team": "vision", "run": "1"}) == [tagged.id]
    assert found(labels={"team": "vision", "run": "2"}) == []
    assert found(status="cancelled") == [plain.id]
    assert found(status="queued", labels={"run": "1"}) == [tagged.id]
    assert found(labels={"a\"]'$.b": 'x"y%_'}) == []
    with database.read() as session:
        assert JobRepository(session).counts(project_id) == {"queued": 2, "cancelled": 1}


def test_nobody_sees_another_projects_rows(database: Database) -> None:
    mine, other = new_project(database), new_project(database)
    dataset = new_dataset(database, mine)
    job = new_job(database, mine, dataset.id)
    with database.write() as session:
        model = ModelRepository(session).create(mine, name="m", definition={})
    with database.read() as session:
        for read in (
            lambda: JobRepository(session).get(other, job.id),
            lambda: DatasetRepository(session).get(other, dataset.id),
            lambda: ModelRepository(session).get(other, model.id),
            lambda: CheckpointRepository(session).get(other, job.id, "ckpt_none"),
        ):
            with pytest.raises(NotFound):
                read()
        assert JobRepository(session).page(other).rows == []
    for change in ("request_cancel", "request_pause", "resume", "retry"):
        with pytest.raises(NotFound), database.write() as session:
            getattr(JobRepository(session), change)(other, job.id)
    with database.write() as session:
        JobRepository(session).request_cancel(mine, job.id)
    assert claimed_job(database, mine, dataset.id).project_id == mine
