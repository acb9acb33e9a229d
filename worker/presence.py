"""A worker says every few seconds that it is there, while it is connected to the broker."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from celery import bootsteps
from celery.worker import state
from redis.exceptions import RedisError

from store.repositories.workers import WorkerRepository
from store.session import Database
from worker.hearing import Hearing
from worker.lease import UNREACHABLE

BEAT_SECONDS = 5.0

log = logging.getLogger("stoker.worker")


class Presence(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of Celery's consumer: started with each connection to the broker, stopped when it is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._hearing = Hearing()

    def start(self, consumer: Any) -> None:
        """Begin; the timer is the event loop's, no thread."""
        self._beat(consumer)
        self._timer = consumer.timer.call_repeatedly(BEAT_SECONDS, self._beat, (consumer,))

    def stop(self, consumer: Any) -> None:
        """No longer there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._write(consumer, lambda workers: workers.leave(consumer.hostname))

    def _beat(self, consumer: Any) -> None:
        _, queue, slots = consumer.app.stoker_presence
        self._write(consumer, lambda workers: workers.beat(consumer.hostname, queue, slots))
        try:
            # Not `channel.client`: its one connection is in the middle of a BRPOP, which would take the answer.
            with consumer.connection.default_channel.conn_or_acquire() as client:
                waiting = int(client.llen(queue))
        except (RedisError, OSError):
            return  # Celery finds out itself, and connects again
        if self._hearing.lost(waiting=waiting, busy=len(state.active_requests)):
            log.error("messages wait and this idle worker takes none: it ends, so that another one is started")
            os.kill(os.getpid(), signal.SIGTERM)

    def _write(self, consumer: Any, write: Any) -> None:
        settings, _, _ = consumer.app.stoker_presence
        # No connection may stay open here: this process forks.
        database = Database(settings)
        try:
            with database.write() as session:
                write(WorkerRepository(session))
        except UNREACHABLE as error:
            log.warning("the worker could not say that it is there: %s", error)
        finally:
            database.close()
