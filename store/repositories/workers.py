"""Workers that are there: for readiness, and for how much work is worth waking them up for."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.base import clock
from store.models import Worker


class WorkerRepository:
    """Each worker says every few seconds that it is there; one that has been silent counts no more."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def beat(self, name: str, queue: str, slots: int) -> None:
        """The worker `name` is there and takes up to `slots` pieces of work of `queue` at once."""
        insert = postgresql.insert if self.session.get_bind().dialect.name == "postgresql" else sqlite.insert
        values = {"name": name, "queue": queue, "slots": slots, "started_at": clock(), "seen_at": clock()}
        changed = {"queue": queue, "slots": slots, "seen_at": clock()}
        statement = insert(Worker).values(values)
        self.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))

    def leave(self, name: str) -> None:
        """The worker has ended."""
        self.session.execute(delete(Worker).where(Worker.name == name))

    def slots(self, queue: str, within_seconds: float = 60.0) -> int:
        """How many pieces of work of `queue` the workers seen `within_seconds` take at once; 0 if there is none."""
        seen = Worker.seen_at > clock(-within_seconds)
        return (
            self.session.scalar(select(func.coalesce(func.sum(Worker.slots), 0)).where(Worker.queue == queue, seen))
            or 0
        )

    def names(self, within_seconds: float = 60.0) -> frozenset[str]:
        """The workers seen `within_seconds`, of all queues; one that was started again has another name."""
        return frozenset(self.session.scalars(select(Worker.name).where(Worker.seen_at > clock(-within_seconds))))

    def forget(self, silent_seconds: float) -> int:
        """Remove workers silent for so long; how many."""
        statement = delete(Worker).where(Worker.seen_at < clock(-silent_seconds)).returning(Worker.name)
        return len(self.session.execute(statement, execution_options={"synchronize_session": False}).all())
