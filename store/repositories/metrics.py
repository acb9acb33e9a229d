"""Series of metrics: written in batches, read with as many points as a reader can use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.base import utc_now
from store.models import Metric


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """The values of several series at one step. `level` is step or epoch."""

    level: str
    epoch: int
    step: int
    values: Mapping[str, float]
    at: datetime | None = None


@dataclass(frozen=True)
class Point:
    """One value of a series; None where it was not finite."""

    step: int
    epoch: int
    value: float | None
    at: datetime


@dataclass(frozen=True)
class Series:
    """The points of one name and level, by step."""

    name: str
    level: str
    points: list[Point]


class MetricRepository:
    """A job's series."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, job_id: str, points: Sequence[MetricPoint]) -> None:
        """Insert points; one that is there already is replaced, because a resumed job trains some steps again."""
        rows: dict[tuple[str, str, int], dict[str, Any]] = {}
        for point in points:
            for name, value in point.values.items():
                rows[name, point.level, point.step] = {
                    "job_id": job_id,
                    "name": name,
                    "level": point.level,
                    "step": point.step,
                    "epoch": point.epoch,
                    "value": float(value) if math.isfinite(value) else None,
                    "at": point.at or utc_now(),
                }
        if rows:
            insert = postgresql.insert if self.session.get_bind().dialect.name == "postgresql" else sqlite.insert
            statement = insert(Metric)
            new = {name: statement.excluded[name] for name in ("epoch", "value", "at")}
            key = ["job_id", "name", "level", "step"]
            self.session.execute(statement.on_conflict_do_update(index_elements=key, set_=new), list(rows.values()))

    def series(
        self, job_id: str, *, names: Sequence[str] | None = None, level: str | None = None, max_points: int = 1000
    ) -> list[Series]:
        """Every series of the job (or those of `names` and `level`), each with at most `max_points` points.

        The points left are spread evenly over the series and always hold its last one, and its first if two fit.
        """
        series = (Metric.name, Metric.level)
        rank = func.row_number().over(partition_by=series, order_by=Metric.step) - 1
        last = func.count().over(partition_by=series) - 1
        statement = select(
            *series, Metric.step, Metric.epoch, Metric.value, Metric.at, rank.label("rank"), last.label("last")
        )
        statement = statement.where(Metric.job_id == job_id)
        if names is not None:
            statement = statement.where(Metric.name.in_(list(names)))
        if level is not None:
            statement = statement.where(Metric.level == level)
        every = statement.subquery()
        gaps = max(max_points, 1) - 1
        # Integer division: the mark changes `gaps` times along the series, and a row is kept where it does.
        mark, before = (
            every.c.rank * gaps // func.nullif(every.c.last, 0),
            (every.c.rank - 1) * gaps // func.nullif(every.c.last, 0),
        )
        keep = or_(every.c.last <= gaps, every.c.rank == every.c.last)
        if gaps:
            keep = or_(keep, every.c.rank == 0, mark != before)
        found: dict[tuple[str, str], Series] = {}
        rows = select(every).where(keep).order_by(every.c.name, every.c.level, every.c.step)
        for name, of_level, step, epoch, value, at, _, _ in self.session.execute(rows):
            one = found.setdefault((name, of_level), Series(name, of_level, []))
            one.points.append(Point(step, epoch, value, at))
        return list(found.values())
