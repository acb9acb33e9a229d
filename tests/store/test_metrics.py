from __future__ import annotations

import itertools

import pytest

from store.repositories import MetricRepository
from store.repositories.metrics import MetricPoint, Series
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from tests.store.rows import claimed_job, new_dataset, new_project


def job_with(database: Database, points: list[MetricPoint]):
    project_id = new_project(database)
    job = claimed_job(database, project_id, new_dataset(database, project_id).id)
    report(database, job, points)
    return job


def report(database: Database, job, points: list[MetricPoint]) -> None:
    with database.write() as session:
        RunningJobRepository(session).report(job.id, job.token, points=points)


def step(number: int, **values: float) -> MetricPoint:
    return MetricPoint(level="step", epoch=1 + number // 10, step=number, values=values)


def series(database: Database, job, **options) -> dict[tuple[str, str], Series]:
    with database.read() as session:
        return {(one.name, one.level): one for one in MetricRepository(session).series(job.id, **options)}


def test_series_by_name_and_level(database: Database) -> None:
    epoch = MetricPoint(level="epoch", epoch=1, step=2, values={"loss": 0.5, "val_loss": 0.6})
    job = job_with(database, [step(1, loss=1.0), step(2, loss=0.9), epoch])
    found = series(database, job)
    assert set(found) == {("loss", "step"), ("loss", "epoch"), ("val_loss", "epoch")}
    assert [(point.step, point.epoch, point.value) for point in found["loss", "step"].points] == [
        (1, 1, 1.0),
        (2, 1, 0.9),
    ]
    assert set(series(database, job, names=["val_loss"])) == {("val_loss", "epoch")}
    assert set(series(database, job, level="step")) == {("loss", "step")}
    assert series(database, job, names=[]) == {}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 97])
def test_a_series_keeps_its_shape_in_fewer_points(database: Database, count: int) -> None:
    job = job_with(database, [step(10 * n, loss=float(n)) for n in range(count)])
    for most in (1, 2, 3, 7, 96, 97, 98, 1000):
        found = series(database, job, max_points=most)
        points = found["loss", "step"].points if found else []
        assert len(points) == min(count, most)
        values = [point.value or 0.0 for point in points]
        assert values == sorted(values)
        if count:
            assert values[-1] == count - 1
        if len(points) > 1:
            assert values[0] == 0
            gaps = [after - before for before, after in itertools.pairwise(values)]
            assert max(gaps) - min(gaps) <= 1  # evenly spread


def test_a_step_that_is_trained_again_replaces_its_point(database: Database) -> None:
    job = job_with(database, [step(n, loss=1.0) for n in range(5)])
    report(database, job, [step(3, loss=2.0), step(3, loss=3.0), step(5, loss=1.0)])
    assert [point.value for point in series(database, job)["loss", "step"].points] == [1.0, 1.0, 1.0, 3.0, 1.0, 1.0]


def test_values_that_are_not_finite_come_back_as_none(database: Database) -> None:
    values = [float("nan"), float("inf"), -float("inf"), 5e-324, 1.7976931348623157e308]
    job = job_with(database, [step(n, loss=value) for n, value in enumerate(values)])
    assert [point.value for point in series(database, job)["loss", "step"].points] == [None, None, None, *values[3:]]


def test_a_large_batch_is_one_call(database: Database) -> None:
    job = job_with(database, [step(n, loss=1.0, accuracy=0.5) for n in range(5000)])
    assert len(series(database, job, max_points=10_000)["accuracy", "step"].points) == 5000
