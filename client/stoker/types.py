"""The API's answers as frozen values. Each keeps the whole document in `raw`: a newer server may say more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

JsonObject = dict[str, Any]
T = TypeVar("T", bound="Answer")


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _reads(reader: Callable[[Any], Any], default: Any = None) -> Any:
    """A field whose JSON value goes through `reader`."""
    return field(default=default, metadata={"reader": reader})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What every typed answer is: fields taken from the document by name, and the document itself."""

    raw: JsonObject = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads `document`; fields it does not have keep their defaults, fields unknown here stay in `raw`."""
        values: JsonObject = {"raw": dict(document)}
        for known in fields(cls):
            value = document.get(known.name)
            if known.name != "raw" and value is not None:
                reader = known.metadata.get("reader")
                values[known.name] = reader(value) if reader else value
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Dataset(Answer):
    """An uploaded dataset: `processing`, then `ready` or `failed`."""

    id: str
    name: str = ""
    version: int = 1
    status: str = "processing"
    format: str | None = None
    examples: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    features: list[JsonObject] = field(default_factory=list)
    target: str | None = None
    classes: list[str] | None = None
    splits: JsonObject = field(default_factory=dict)
    warnings: list[Any] = field(default_factory=list)
    error: JsonObject | None = None
    created_at: datetime | None = _reads(_time)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Progress(Answer):
    """Where training stands; `epoch` counts from 1, `step` is the number of optimizer updates done."""

    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    examples_per_second: float | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobError(Answer):
    """Why a job failed."""

    code: str = ""
    message: str = ""
    pointer: str | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.code}{', at ' + self.pointer if self.pointer else ''})"


@dataclass(frozen=True, kw_only=True)
class Job(Answer):
    """One training execution."""

    id: str
    name: str | None = None
    status: str = "queued"
    is_terminal: bool = False
    attempt: int = 0
    progress: Progress | None = _reads(Progress.from_json)
    metrics: JsonObject = field(default_factory=dict)
    error: JobError | None = _reads(JobError.from_json)
    dataset: str | None = None
    created_at: datetime | None = _reads(_time)
    started_at: datetime | None = _reads(_time)
    finished_at: datetime | None = _reads(_time)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def latest(self) -> dict[str, float]:
        """The newest metrics."""
        return dict(self.metrics.get("latest") or {})

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the best checkpoint by the job's monitor; empty without a monitor."""
        return dict(self.metrics.get("best") or {})

    @property
    def test(self) -> dict[str, dict[str, float]]:
        """`last` and, with a monitor, `best`: metrics on the test split once the job has ended."""
        return {kind: dict(values or {}) for kind, values in (self.metrics.get("test") or {}).items()}


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """Something that happened to a job: `status`, `metrics`, `checkpoint`, `log`, and `done` at the stream's end."""

    id: str = ""
    type: str = ""
    level: str = "info"
    message: str = ""
    job: str | None = None
    created_at: datetime | None = _reads(_time)
    data: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Answer):
    """A stored state of a job's training."""

    id: str
    job: str | None = None
    step: int = 0
    epoch: int = 0
    kind: str = ""
    metrics: JsonObject = field(default_factory=dict)
    bytes: int | None = None
    sha256: str | None = None
    created_at: datetime | None = _reads(_time)


@dataclass(frozen=True, kw_only=True)
class Point(Answer):
    """One value of a metric."""

    step: int = 0
    epoch: int | None = None
    value: float | None = None
    at: datetime | None = _reads(_time)


@dataclass(frozen=True, kw_only=True)
class Series(Answer):
    """A metric over training."""

    name: str = ""
    level: str = ""
    points: tuple[Point, ...] = _reads(lambda points: tuple(Point.from_json(point) for point in points), ())


@dataclass(frozen=True, kw_only=True)
class Model(Answer):
    """A stored definition; `weights` says what file it was posted with, if it was one."""

    id: str
    name: str | None = None
    model: JsonObject = field(default_factory=dict)
    parameters: dict[str, int] | None = None
    weights: JsonObject | None = None
    created_at: datetime | None = _reads(_time)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list; the next one begins after `last_id`."""

    data: list[T]
    has_more: bool
    last_id: str | None
