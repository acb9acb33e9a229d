"""Series of metrics."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Answer, Time
from store.repositories.metrics import Series


class PointAnswer(Answer):
    """One value; null where it was not finite."""

    step: int
    epoch: int
    value: float | None
    at: Time


class SeriesAnswer(Answer):
    """The points of one metric by step: within epochs (`step`) or at their ends (`epoch`)."""

    name: str
    level: Literal["step", "epoch"]
    points: list[PointAnswer]


class SeriesListing(Answer):
    """All series at once."""

    object: Literal["list"] = "list"
    data: list[SeriesAnswer]


def to_series(series: Series) -> SeriesAnswer:
    """The answer for a series."""
    points = [
        PointAnswer.model_construct(step=point.step, epoch=point.epoch, value=point.value, at=point.at)
        for point in series.points
    ]
    return SeriesAnswer.model_construct(name=series.name, level=series.level, points=points)
