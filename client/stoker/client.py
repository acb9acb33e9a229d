"""The client itself: one object per server and key."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from stoker.configuration import resolve
from stoker.datasets import Datasets
from stoker.jobs import Jobs
from stoker.models import Models
from stoker.transport import Transport
from stoker.types import JsonObject


class Client:
    """Speaks to a Stoker server. Safe to use from several threads; a context manager that closes its connections.

    Without arguments the address and key are those of `STOKER_URL` and `STOKER_API_KEY`, else of a local `stokerd up`
    (`STOKER_DATA_DIR`, or `stoker-data` in the current directory).
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        data_dir: str | Path | None = None,
        retries: int = 4,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.configuration = resolve(url, api_key, data_dir=data_dir)
        self.transport = Transport(self.configuration, retries=retries, timeout_seconds=timeout_seconds)
        self.datasets = Datasets(self.transport)
        self.jobs = Jobs(self.transport)
        self.models = Models(self.transport)

    def catalogue(self) -> JsonObject:
        """Every layer, loss, metric, optimizer, schedule, transform and format that the server knows."""
        return dict(self.transport.get("/v1/catalogue"))

    def close(self) -> None:
        """Ends the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
