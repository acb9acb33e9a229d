"""A job's metrics over its steps and epochs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from api.deps import ReadSession, TheCaller
from api.errors import invalid
from api.route import resource
from api.routes.jobs import find_job
from api.schemas.metrics import SeriesListing, to_series
from store.repositories import MetricRepository

router = resource("/jobs/{job_id}/metrics", "metrics")

MAXIMUM_NAMES = 100


@router.get("")
def read_metrics(
    job_id: str,
    session: ReadSession,
    caller: TheCaller,
    names: Annotated[str | None, Query(max_length=8192, description="separated by commas; by default all")] = None,
    level: Annotated[Literal["step", "epoch"] | None, Query(description="only points of this kind")] = None,
    max_points: Annotated[int, Query(ge=1, le=10_000, description="points of a series, spread evenly")] = 1000,
) -> SeriesListing:
    """Series by step and by epoch, thinned out to `max_points` each; the last point always stays."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] if names is not None else None
    if wanted is not None and (len(wanted) > MAXIMUM_NAMES or not all(name.isprintable() for name in wanted)):
        raise invalid(f"expected at most {MAXIMUM_NAMES} names of printable characters", parameter="names")
    find_job(session, caller, job_id)
    series = MetricRepository(session).series(job_id, names=wanted, level=level, max_points=max_points)
    return SeriesListing(data=[to_series(one) for one in series])
