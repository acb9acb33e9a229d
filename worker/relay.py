"""The relay: sends the outbox's wake-ups, sweeps for work that nobody was woken for, and takes work from dead workers.

A process of its own, never a Celery task, which would starve behind training. Any number of relays may run.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError as BrokerAway
from redis.exceptions import RedisError

from store import outbox
from store.garbage import collect
from store.repositories.datasets import DatasetRepository
from store.repositories.leases import Expired, LeaseRepository
from store.repositories.running_jobs import RunningJobRepository
from store.repositories.workers import WorkerRepository
from store.session import Database
from store.settings import Settings
from worker.app import create_app, task_name
from worker.lease import UNREACHABLE

OUTBOX_SECONDS = 0.2
GREET_SECONDS = 0.5
HOLD_SECONDS = 5.0
COLLECT_SECONDS = 300.0
MORE_SECONDS = 2.0
"""Until the next round of collecting while there is more: it works for half a second, and wake-ups go out between."""
LOOK_SHARE = 0.25
"""How often expired leases are looked for, as a share of how long they must have been seen."""
LONGEST_PAUSE_SECONDS = 5.0
BROKER_AWAY = (BrokerAway, RedisError, OSError)

log = logging.getLogger("stoker.relay")
Leased = RunningJobRepository | DatasetRepository


class Relay:
    """One relay's rounds. `send` puts a wake-up for a queue on the broker, `length` says how many lie there."""

    def __init__(self, database: Database, send: Callable[[str], None], length: Callable[[str], int]) -> None:
        self.database = database
        self.settings = database.settings
        self.send = send
        self.length = length
        self._seen: dict[Expired, float] = {}
        self._greeted: frozenset[str] = frozenset()

    def relay(self) -> int:
        """Send what the outbox holds; how many messages. A crash on the way sends some again, which is harmless."""
        with self.database.read() as session:
            if not outbox.pending(session):
                return 0
        with self.database.write() as session:
            messages = outbox.take(session, hold_seconds=HOLD_SECONDS)
        for message in messages:
            self.send(message.queue)
        with self.database.write() as session:
            outbox.sent(session, [message.id for message in messages])
        return len(messages)

    def sweep(self) -> int:
        """Wake workers for waiting work, in case messages were lost: as many as can take it, less those on the way."""
        woken = 0
        for repository in (RunningJobRepository, DatasetRepository):
            with self.database.read() as session:
                rows: LeaseRepository[Any] = repository(session)
                waiting, held = rows.count_waiting(), rows.count_held()
                slots = WorkerRepository(session).slots(repository.queue)
            wanted = min(waiting, max(slots - held, 0))
            if wanted:
                for _ in range(wanted - self.length(repository.queue)):
                    self.send(repository.queue)
                    woken += 1
        return woken

    def greet(self) -> int:
        """Sweep at once when a worker has come: nobody may have woken it for what waits, as after a restart."""
        with self.database.read() as session:
            present = WorkerRepository(session).names()
        woken = self.sweep() if present - self._greeted else 0
        self._greeted = present
        return woken

    def reap(self, now: float) -> list[str]:
        """Take back work whose very lease this relay itself has seen expired for long enough; the ids.

        `now` is of the monotonic clock: a jump of the database's clock makes every lease look expired, and reaps
        nothing, because living workers renew theirs before the time is over.
        """
        reaped = []
        still: dict[Expired, float] = {}
        for repository in (RunningJobRepository, DatasetRepository):
            with self.database.read() as session:
                expired = repository(session).expired()
            for lease in expired:
                since = still[lease] = self._seen.get(lease, now)
                if now - since >= self.settings.reap_seconds and self._take(repository, lease):
                    reaped.append(lease.id)
                    del still[lease]
        self._seen = still
        return reaped

    def _take(self, repository: type[Leased], lease: Expired) -> bool:
        with self.database.write() as session:
            status = repository(session).reap(lease, attempts=self.settings.attempts)
        if status is not None:
            log.warning("%s: its worker was lost; it is %s now", lease.id, status)
        return status is not None


class Broker:
    """The two things that the relay asks of the broker, by Celery's own connection."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def send(self, queue: str) -> None:
        """One wake-up. Raises one of BROKER_AWAY at once if the broker does not answer."""
        self.app.send_task(task_name(queue), retry=False, ignore_result=True)

    def length(self, queue: str) -> int:
        """How many wake-ups lie in a queue."""
        with self.app.connection_for_write() as connection:
            return int(connection.default_channel.client.llen(queue))


def run() -> int:
    """Relay until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    stop = Stop()
    database = Database(Settings.from_environment())
    broker = Broker(create_app(database.settings))
    relay = Relay(database, broker.send, broker.length)
    rounds = Rounds(relay)
    while not stop.requested:
        stop.wait(rounds.once(time.monotonic()))
    database.close()
    return 0


class Rounds:
    """What is due when. A round that fails is tried again with a growing pause; the others go on.

    A round that answers True has more to do and is due again soon.
    """

    def __init__(self, relay: Relay) -> None:
        settings = relay.settings
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._rounds: dict[str, tuple[float, Callable[[], object]]] = {
            "relay": (OUTBOX_SECONDS, relay.relay),
            "greet": (GREET_SECONDS, relay.greet),
            "sweep": (settings.sweep_seconds, relay.sweep),
            "reap": (max(settings.reap_seconds * LOOK_SHARE, OUTBOX_SECONDS), lambda: relay.reap(time.monotonic())),
            "collect": (COLLECT_SECONDS, lambda: collect(relay.database)),
        }

    def once(self, now: float) -> float:
        """Do what is due; how many seconds until the next is."""
        for name, (interval, work) in self._rounds.items():
            if now < self._due.get(name, 0.0):
                continue
            try:
                more = work() is True
                self._pauses.pop(name, None)
                self._due[name] = now + (min(interval, MORE_SECONDS) if more else interval)
            except (*UNREACHABLE, *BROKER_AWAY) as error:
                pause = self._pauses[name] = min(self._pauses.get(name, 0.1) * 2, LONGEST_PAUSE_SECONDS)
                self._due[name] = now + pause
                log.warning("%s failed, again in %.1f s: %s", name, pause, error)
        return max(0.0, min(self._due.values()) - time.monotonic())


class Stop:
    """SIGTERM or Ctrl-C, which end the wait at once."""

    def __init__(self) -> None:
        self.requested = False
        self._reader, writer = socket.socketpair()
        self._writer = writer
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until asked to stop."""
        if not self.requested and seconds > 0:
            self._reader.settimeout(seconds)
            with contextlib.suppress(TimeoutError):
                self._reader.recv(64)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
