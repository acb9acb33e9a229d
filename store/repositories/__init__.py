"""All queries, one class a table, each over a session that the caller opened and whose transaction the caller owns."""

from store.repositories.api_keys import ApiKeyRepository
from store.repositories.attempts import AttemptRepository
from store.repositories.checkpoints import CheckpointRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.events import EventRepository
from store.repositories.idempotency_keys import IdempotencyRepository
from store.repositories.jobs import JobRepository
from store.repositories.metrics import MetricRepository
from store.repositories.models import ModelRepository
from store.repositories.projects import ProjectRepository
from store.repositories.workers import WorkerRepository

__all__ = [
    "ApiKeyRepository",
    "AttemptRepository",
    "CheckpointRepository",
    "DatasetRepository",
    "EventRepository",
    "IdempotencyRepository",
    "JobRepository",
    "MetricRepository",
    "ModelRepository",
    "ProjectRepository",
    "WorkerRepository",
]
