"""`client.jobs`: create, follow, steer, and fetch what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stoker import live, paging
from stoker.download import download
from stoker.errors import JobFailedError, OutputError
from stoker.transport import Transport
from stoker.types import Checkpoint, Event, Job, Page, Series

ROUTE = "/v1/jobs"
WEIGHTS_FORMATS = ("safetensors", "npz", "keras", "h5", "onnx")


class Jobs:
    """The project's jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Queues a job. Raises InvalidRequestError with a pointer to each fault."""
        return Job.from_json(self._transport.create(ROUTE, dict(document), idempotency_key=idempotency_key))

    def get(self, job_id: str) -> Job:
        """One job."""
        return Job.from_json(self._transport.get(f"{ROUTE}/{job_id}"))

    def page(
        self,
        *,
        status: str | None = None,
        metadata: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int | None = None,
        order: str | None = None,
    ) -> Page[Job]:
        """A page of jobs, newest first."""
        chosen = _filters(status, metadata)
        return paging.page(self._transport, Job, ROUTE, after=after, limit=limit, order=order, **chosen)

    def list(
        self, *, status: str | None = None, metadata: Mapping[str, str] | None = None, order: str | None = None
    ) -> Iterator[Job]:
        """Every job, newest first."""
        return paging.every(self._transport, Job, ROUTE, limit=100, order=order, **_filters(status, metadata))

    def cancel(self, job_id: str) -> Job:
        """Asks a job to stop; it acts within about two seconds."""
        return self._act(job_id, "cancel")

    def pause(self, job_id: str) -> Job:
        """Asks a running job to write a checkpoint and stop until `resume`."""
        return self._act(job_id, "pause")

    def resume(self, job_id: str) -> Job:
        """Queues a paused job again; it goes on from its checkpoint."""
        return self._act(job_id, "resume")

    def retry(self, job_id: str) -> Job:
        """Queues a failed or cancelled job again, from its latest checkpoint."""
        return self._act(job_id, "retry")

    def clone(self, job_id: str, patch: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Job:
        """A new job with this one's body, changed by `patch`."""
        path = f"{ROUTE}/{job_id}/clone"
        return Job.from_json(self._transport.create(path, dict(patch or {}), idempotency_key=idempotency_key))

    def events(self, job_id: str, *, after: str | None = None) -> Iterator[Event]:
        """What happens to the job, live, from the beginning or after an event's id, up to `done`.

        A connection that breaks is taken up again after the last event seen.
        """
        return live.events(self._transport, f"{ROUTE}/{job_id}/events", after=after)

    def history(self, job_id: str, *, after: str | None = None) -> Iterator[Event]:
        """The events so far, oldest first."""
        return paging.every(self._transport, Event, f"{ROUTE}/{job_id}/events", after=after, limit=100, order="asc")

    def wait(self, job_id: str) -> Job:
        """The job once it has succeeded. Raises JobFailedError when it ends otherwise."""
        for _ in self.events(job_id):
            pass
        job = self.get(job_id)
        if job.status != "succeeded":
            raise JobFailedError(job)
        return job

    def metrics(
        self, job_id: str, *, level: str = "epoch", names: Sequence[str] | None = None, max_points: int | None = None
    ) -> dict[str, Series]:
        """Series by name: a point for each epoch, or with `level="step"` for stretches of steps."""
        chosen = ",".join(names) if names else None
        answer = self._transport.get(f"{ROUTE}/{job_id}/metrics", level=level, names=chosen, max_points=max_points)
        return {item["name"]: Series.from_json(item) for item in answer["data"]}

    def checkpoints(self, job_id: str) -> Iterator[Checkpoint]:
        """The job's stored checkpoints."""
        return paging.every(self._transport, Checkpoint, f"{ROUTE}/{job_id}/checkpoints", limit=100)

    def weights(
        self,
        job_id: str,
        output: str | Path,
        *,
        format: str | None = None,
        layout: str | None = None,
        preprocessing: bool = False,
        checkpoint: str | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Downloads trained weights and checks their SHA-256.

        `format` is `safetensors`, `npz`, `keras`, `h5` or `onnx`; by default what the output's name ends with
        (safetensors if with nothing, OutputError if with something else). `layout="torch"` gives safetensors and npz
        the names and layouts of the equivalent PyTorch module; with `preprocessing` an ONNX model takes examples as the
        dataset holds them. `checkpoint` is `best`, `last` or an id (default: best if the job has
        a monitor, else last).
        """
        path = f"{ROUTE}/{job_id}/weights"
        format = format or _format_of(Path(output))
        return download(self._transport, path, Path(output), progress=progress, format=format, layout=layout,
                        preprocessing="true" if preprocessing else None, checkpoint=checkpoint)

    def _act(self, job_id: str, verb: str) -> Job:
        return Job.from_json(self._transport.act(f"{ROUTE}/{job_id}/{verb}"))


def _format_of(output: Path) -> str | None:
    """The format that the file's name says; the server's default if it has no ending."""
    ending = output.suffix.lower().removeprefix(".")
    if not ending:
        return None
    if ending not in WEIGHTS_FORMATS:
        known = " or ".join(f".{name}" for name in WEIGHTS_FORMATS)
        raise OutputError(f"{output}: expected a name that ends with {known}, or a chosen format")
    return ending


def _filters(status: str | None, metadata: Mapping[str, str] | None) -> dict[str, str | None]:
    tags = {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
    return {"status": status, **tags}
