"""The server's settings: every one is an environment variable STOKER_*, read in one place."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


def setting(variable: str, default: Any, description: str) -> Any:
    """A field that is read from `variable`; its description is what the documentation shows."""
    return field(default=default, metadata={"variable": variable, "description": description})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a server process needs to know. Durations are seconds, sizes bytes."""

    data_dir: Path = setting("STOKER_DATA_DIR", Path("stoker-data"), "where the embedded stack keeps everything")
    database_url: str = setting(
        "STOKER_DATABASE_URL", "", "sqlite:///FILE or postgresql://…; by default stoker.db in the data directory"
    )
    broker_url: str = setting(
        "STOKER_BROKER_URL", "redis://127.0.0.1:6379/0", "Redis or Valkey: redis://… or redis+socket://PATH"
    )
    cache_dir: Path = setting(
        "STOKER_CACHE_DIR", Path(), "datasets as files for training; by default cache/ in the data directory"
    )
    cache_bytes: int = setting("STOKER_CACHE_BYTES", 20 * GIB, "the dataset cache is kept below this size")

    lease_seconds: float = setting("STOKER_LEASE_SECONDS", 30.0, "how long a worker's claim lasts without renewal")
    renew_seconds: float = setting("STOKER_RENEW_SECONDS", 10.0, "how often a worker renews its claim")
    poll_seconds: float = setting("STOKER_POLL_SECONDS", 1.0, "how often a worker looks for cancel and pause requests")
    sweep_seconds: float = setting(
        "STOKER_SWEEP_SECONDS", 15.0, "how often the relay wakes workers for waiting work again"
    )
    reap_seconds: float = setting(
        "STOKER_REAP_SECONDS", 30.0, "how long the relay must itself have seen a lease expired before it takes it away"
    )
    attempts: int = setting("STOKER_ATTEMPTS", 3, "attempts without a new checkpoint after which lost work is failed")

    body_bytes: int = setting("STOKER_BODY_BYTES", 8 * MIB, "largest JSON body of a request")
    upload_bytes: int = setting("STOKER_UPLOAD_BYTES", 4 * GIB, "largest uploaded file")
    model_bytes: int = setting("STOKER_MODEL_BYTES", 1 * GIB, "largest posted model file")
    chunk_bytes: int = setting(
        "STOKER_CHUNK_BYTES", 2 * MIB, "stored files are cut into chunks of this size (1 to 4 MiB)"
    )
    idempotency_seconds: float = setting(
        "STOKER_IDEMPOTENCY_SECONDS", 86400.0, "how long an Idempotency-Key is remembered"
    )
    garbage_seconds: float = setting(
        "STOKER_GARBAGE_SECONDS", 3600.0, "how long an unfinished upload or an unreferenced file is kept"
    )

    project_requests_per_minute: int = setting(
        "STOKER_PROJECT_REQUESTS_PER_MINUTE", 6000, "requests a project may make in a minute"
    )
    project_queued_jobs: int = setting("STOKER_PROJECT_QUEUED_JOBS", 1000, "jobs a project may have waiting")
    project_running_jobs: int = setting("STOKER_PROJECT_RUNNING_JOBS", 64, "jobs a project may have running at once")
    project_bytes: int = setting(
        "STOKER_PROJECT_BYTES", 100 * GIB, "bytes of datasets, models and checkpoints a project may store"
    )

    job_memory_bytes: int = setting(
        "STOKER_JOB_MEMORY_BYTES", 0, "most memory a job may plan for; 0 means the memory of the machine"
    )
    database_pool: int = setting("STOKER_DATABASE_POOL", 10, "connections a process keeps to the database")
    threads: int = setting("STOKER_THREADS", 0, "threads of one training; 0 means cores divided by the worker's slots")

    def __post_init__(self) -> None:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir.absolute() / 'stoker.db'}")
        if self.cache_dir == Path():
            object.__setattr__(self, "cache_dir", self.data_dir / "cache")
        if not MIB <= self.chunk_bytes <= 4 * MIB:
            raise ValueError(f"STOKER_CHUNK_BYTES: expected {MIB} to {4 * MIB}, received {self.chunk_bytes}")
        if not 0 < self.renew_seconds < self.lease_seconds:
            raise ValueError("STOKER_RENEW_SECONDS: expected more than 0 and less than STOKER_LEASE_SECONDS")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings of `environment` (by default the process's own); `overrides` win.

        Raises ValueError that names the variable.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for entry in dataclasses.fields(cls):
            text = environment.get(entry.metadata["variable"], "")
            if text:
                values[entry.name] = _convert(entry.metadata["variable"], text, type(entry.default))
        return cls(**{**values, **overrides})

    def to_environment(self) -> dict[str, str]:
        """The environment with which a child process reads the same settings."""
        return {entry.metadata["variable"]: str(getattr(self, entry.name)) for entry in dataclasses.fields(self)}


def _convert(variable: str, text: str, kind: type[Any]) -> Any:
    if issubclass(kind, Path):
        return Path(text)
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(
            f"{variable}: expected {'an integer' if kind is int else 'a number'}, received {text!r}"
        ) from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{variable}: expected a finite number of at least 0, received {text!r}")
    return value
