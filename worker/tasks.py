"""The Celery tasks: one for each queue, each a single line of work."""

from __future__ import annotations

from typing import Any

from celery import Celery

from store.settings import Settings
from worker.app import task_name
from worker.notice import Notice
from worker.work import Work, work_off


def add_task(app: Celery, settings: Settings, queue: str, stop: Notice, *, threads: int) -> None:
    """Give `app` the task of `queue`, and import all that its work needs, so that forking it takes milliseconds."""
    work = kind_of_work(queue)(settings, threads)

    def task() -> None:
        work_off(work, stop)

    app.task(name=task_name(queue), ignore_result=True)(task)


def kind_of_work(queue: str) -> type[Work[Any]]:
    """The work of a queue. Training loads the engine's compiler, ingest does not."""
    if queue == "training":
        from worker.execute import Training
        from worker.preload import preload

        preload()
        return Training
    from worker.ingest import Ingest

    return Ingest
