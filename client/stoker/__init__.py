"""The client of Stoker, training as a service.

    with stoker.Client() as client:
        dataset = client.datasets.upload("digits.zip")
        client.datasets.wait(dataset.id)
        job = client.jobs.create({...})
        client.jobs.weights(job.id, "digits.safetensors")
"""

from stoker.client import Client
from stoker.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DatasetFailedError,
    Fault,
    IntegrityError,
    InvalidRequestError,
    JobFailedError,
    NotFoundError,
    OutputError,
    RateLimitedError,
    ServerError,
    StokerError,
)
from stoker.pytorch import from_torch
from stoker.types import Checkpoint, Dataset, Event, Job, JobError, Model, Page, Point, Progress, Series
from stoker.version import __version__

__all__ = [
    "Client", "from_torch",
    "Dataset", "Job", "JobError", "Progress", "Event", "Checkpoint", "Series", "Point", "Model", "Page",
    "StokerError", "ConfigurationError", "ConnectionFailedError", "OutputError", "IntegrityError",
    "JobFailedError", "DatasetFailedError",
    "ApiError", "AuthenticationError", "NotFoundError", "ConflictError", "InvalidRequestError", "RateLimitedError",
    "ServerError", "Fault",
    "__version__",
]
