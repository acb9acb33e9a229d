"""The tables, one file each. Importing this package registers all of them with `Base.metadata`."""

from store.models.api_key import ApiKey
from store.models.attempt import Attempt
from store.models.blob import Blob, Chunk
from store.models.checkpoint import Checkpoint
from store.models.dataset import Dataset, DatasetFile
from store.models.event import Event
from store.models.idempotency_key import IdempotencyKey
from store.models.job import Job
from store.models.metric import Metric
from store.models.model import Model
from store.models.outbox import OutboxRow
from store.models.project import Project
from store.models.worker import Worker

__all__ = [
    "ApiKey",
    "Attempt",
    "Blob",
    "Checkpoint",
    "Chunk",
    "Dataset",
    "DatasetFile",
    "Event",
    "IdempotencyKey",
    "Job",
    "Metric",
    "Model",
    "OutboxRow",
    "Project",
    "Worker",
]
