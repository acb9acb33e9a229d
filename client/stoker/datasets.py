"""`client.datasets`: upload, wait for ingest, look at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stoker import paging
from stoker.errors import DatasetFailedError, StokerError
from stoker.transport import Transport
from stoker.types import Dataset, JsonObject, Page
from stoker.upload import Watched, content_type

ROUTE = "/v1/datasets"


class Datasets:
    """The project's datasets."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        format: str | None = None,
        options: Mapping[str, Any] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Streams a file to the server, which then reads it in the background: see `wait`.

        `format` is `image-folder`, `npz`, `npy` or `csv`, and found out when left out. `progress` receives bytes
        sent and in total.
        """
        file = Path(file)
        fields = {"name": name or file.stem}
        if format:
            fields["format"] = format
        if options:
            fields["options"] = json.dumps(dict(options))
        with file.open("rb") as opened:
            content = Watched(opened, file.stat().st_size, progress) if progress else opened
            part = (file.name, content, content_type(file))
            answer = self._transport.upload(ROUTE, fields, part, idempotency_key=idempotency_key)
        return Dataset.from_json(answer)

    def wait(self, dataset_id: str, *, timeout_seconds: float | None = None, poll_seconds: float = 0.25) -> Dataset:
        """The dataset once it is ready. Raises DatasetFailedError, or StokerError when the time is over."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            dataset = self.get(dataset_id)
            if dataset.status == "ready":
                return dataset
            if dataset.status == "failed":
                raise DatasetFailedError(dataset)
            if deadline is not None and time.monotonic() > deadline:
                raise StokerError(f"dataset {dataset_id} is still {dataset.status} after {timeout_seconds:.0f} s")
            time.sleep(poll_seconds)
            poll_seconds = min(poll_seconds * 1.5, 2.0)

    def get(self, dataset_id: str) -> Dataset:
        """One dataset."""
        return Dataset.from_json(self._transport.get(f"{ROUTE}/{dataset_id}"))

    def page(self, *, after: str | None = None, limit: int | None = None, order: str | None = None) -> Page[Dataset]:
        """A page of datasets, newest first."""
        return paging.page(self._transport, Dataset, ROUTE, after=after, limit=limit, order=order)

    def list(self, *, order: str | None = None) -> Iterator[Dataset]:
        """Every dataset, newest first."""
        return paging.every(self._transport, Dataset, ROUTE, limit=100, order=order)

    def profile(self, dataset_id: str) -> JsonObject:
        """Statistics of each column."""
        return dict(self._transport.get(f"{ROUTE}/{dataset_id}/profile"))

    def preview(self, dataset_id: str, *, limit: int | None = None) -> JsonObject:
        """The first examples."""
        return dict(self._transport.get(f"{ROUTE}/{dataset_id}/preview", limit=limit))

    def delete(self, dataset_id: str) -> None:
        """Deletes a dataset."""
        self._transport.delete(f"{ROUTE}/{dataset_id}")
