"""Readiness: the database answers, the broker answers, and a worker of each queue is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import redis
from sqlalchemy.exc import SQLAlchemyError

from store.repositories import WorkerRepository
from store.repositories.datasets import INGEST
from store.repositories.jobs import TRAINING
from store.session import Database

QUEUES = (TRAINING, INGEST)
BROKER_SECONDS = 1.0
WORKER_SECONDS = 15.0
REMEMBERED_SECONDS = 0.2


class Health:
    """Checks at most five times a second, however often it is asked: the question needs no key."""

    def __init__(self, database: Database, broker_url: str) -> None:
        self._database = database
        url = broker_url.replace("redis+socket://", "unix://", 1)
        self._broker = redis.Redis.from_url(url, socket_timeout=BROKER_SECONDS, socket_connect_timeout=BROKER_SECONDS)
        self._lock = threading.Lock()
        self._until = 0.0
        self._checks: Mapping[str, bool] = {}

    def checks(self) -> Mapping[str, bool]:
        """What could be reached, by name."""
        known = self._checks
        # Only the very first askers wait: a broker that hangs must not hold all the server's threads.
        if self._lock.acquire(blocking=not known):
            try:
                if time.monotonic() >= self._until:
                    self._checks = {**self._check_database(), "broker": self._check_broker()}
                    self._until = time.monotonic() + REMEMBERED_SECONDS
                known = self._checks
            finally:
                self._lock.release()
        return known

    def close(self) -> None:
        """Close the connection to the broker."""
        self._broker.close()

    def _check_database(self) -> dict[str, bool]:
        try:
            with self._database.read() as session:
                workers = WorkerRepository(session)
                return {"database": True, "worker": all(workers.slots(queue, WORKER_SECONDS) > 0 for queue in QUEUES)}
        except SQLAlchemyError:
            return {"database": False, "worker": False}

    def _check_broker(self) -> bool:
        try:
            return bool(self._broker.ping())
        except redis.RedisError:
            return False
