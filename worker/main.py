"""`stokerd worker`: a Celery worker of one queue, whose pool children supervise the processes that do the work."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from typing import Any

from engine.runtime.cores import available_cores

LIBRARY_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def run(queue: str, concurrency: int) -> int:
    """Work until SIGTERM or Ctrl-C. The answer is the exit status."""
    bound_libraries()
    gc.disable()  # while importing: it would only walk what stays for good
    from celery import signals

    from store.settings import Settings
    from worker.app import create_app
    from worker.names import worker_name
    from worker.notice import HURRY, SHUTDOWN, Notice
    from worker.presence import Presence
    from worker.tasks import add_task

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings.from_environment()
    app = create_app(settings)
    notice = Notice()
    add_task(app, settings, queue, notice, threads=threads_of_a_job(settings.threads, concurrency))
    app.steps["consumer"].add(Presence)
    app.stoker_presence = (settings, queue, concurrency)
    heard = 0

    def shutting_down(how: str, **_: Any) -> None:
        nonlocal heard
        heard += 1
        notice.post(HURRY if heard > 1 or how == "Cold" else SHUTDOWN)

    def ready(**_: Any) -> None:
        # Ctrl-C drains as SIGTERM does; Celery's own second Ctrl-C would end pool children under running trainers.
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))

    signals.worker_shutting_down.connect(shutting_down, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    worker = app.Worker(
        hostname=worker_name(queue, os.getpid()),
        queues=[queue],
        pool="prefork",
        concurrency=concurrency,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    # What is here now is never collected, and so never touched: forked processes share its pages.
    gc.freeze()
    gc.enable()
    worker.start()
    return int(worker.exitcode or 0)


def bound_libraries() -> None:
    """One thread for what numpy calls, before it is imported: the engine has threads of its own, and a BLAS that starts
    some in a process that forks ends in a deadlock.
    """
    for variable in LIBRARY_THREADS:
        os.environ[variable] = "1"


def threads_of_a_job(asked: int, concurrency: int) -> int:
    """How many threads one training may use: what the settings say, else its share of the cores there are."""
    return asked or max(1, available_cores() // concurrency)
