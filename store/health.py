"""`python -m store.health worker|relay`: the health checks of containers that serve no port.

A worker is well while it says that it is there; the relay while no wake-up message waits for long. Both are read in the
database, so a process that hangs is found as well as one that cannot reach it.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from store.base import clock, utc_now
from store.models import OutboxRow, Worker
from store.session import Database
from store.settings import Settings

SILENT_SECONDS = 20.0
WAITING_SECONDS = 60.0


def worker_is_well(session: Session, host: str) -> bool:
    """Whether a worker of this host (its name ends in `@host`) was heard of lately."""
    here = Worker.name.endswith(f"@{host}", autoescape=True)
    return bool(session.scalar(select(exists().where(here, Worker.seen_at > clock(-SILENT_SECONDS)))))


def relay_is_well(session: Session) -> bool:
    """Whether the oldest message in the outbox is young."""
    oldest = session.scalar(select(func.min(OutboxRow.created_at)))
    return oldest is None or (utc_now() - oldest).total_seconds() < WAITING_SECONDS


def main(arguments: Sequence[str]) -> int:
    """0 if well, 1 if not, 2 if asked for something else."""
    if list(arguments) not in (["worker"], ["relay"]):
        sys.stderr.write("usage: python -m store.health worker|relay\n")
        return 2
    database = Database(Settings.from_environment())
    try:
        with database.read() as session:
            well = worker_is_well(session, socket.gethostname()) if arguments[0] == "worker" else relay_is_well(session)
    except SQLAlchemyError as error:
        sys.stderr.write(f"the database does not answer: {error}\n")
        return 1
    finally:
        database.close()
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
