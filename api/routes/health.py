"""Whether the server lives, whether it can serve, and how much there is to do."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.deps import ReadSession, TheService
from api.route import resource
from store.repositories import DatasetRepository, WorkerRepository
from store.repositories.datasets import INGEST
from store.repositories.jobs import TRAINING
from store.repositories.running_jobs import RunningJobRepository

router = resource("", "health")


@router.get("/healthz")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "something cannot be reached"}})
def ready(service: TheService) -> Response:
    """Database, broker and workers can be reached."""
    checks = service.health.checks()
    good = all(checks.values())
    shown = {name: "ok" if reached else "unreachable" for name, reached in checks.items()}
    return JSONResponse({"status": "ready" if good else "not_ready", "checks": shown}, 200 if good else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def prometheus(session: ReadSession, service: TheService) -> str:
    """Gauges in Prometheus's text format. Needs a key, except from this machine on a loopback address."""
    jobs, datasets, workers = RunningJobRepository(session), DatasetRepository(session), WorkerRepository(session)
    gauges = {
        "stoker_work_waiting": ("Work that waits for a worker", jobs.count_waiting(), datasets.count_waiting()),
        "stoker_work_held": ("Work that workers hold", jobs.count_held(), datasets.count_held()),
        "stoker_worker_slots": ("Work that workers can take", workers.slots(TRAINING), workers.slots(INGEST)),
    }
    lines = []
    for name, (meaning, training, ingest) in gauges.items():
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{queue="training"}} {training}', f'{name}{{queue="ingest"}} {ingest}']
    lines += ["# HELP stoker_event_streams Open event streams of this process", "# TYPE stoker_event_streams gauge"]
    return "\n".join([*lines, f"stoker_event_streams {service.streams.count()}", ""])
