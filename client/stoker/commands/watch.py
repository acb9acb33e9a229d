"""Following a job until it ends: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import queue
import sys
import threading
import time

from stoker.client import Client
from stoker.commands.view import LiveView, PlainView, State, View
from stoker.errors import ConnectionFailedError
from stoker.types import Event, Job

DRAW_SECONDS = 0.2
POLL_SECONDS = 1.0


def follow(client: Client, job_id: str, *, view: View | None = None) -> int:
    """Shows the job until it ends. 0 if it succeeded, 1 if not, 130 if the person had enough."""
    view = view or (LiveView() if sys.stdout.isatty() else PlainView())
    try:
        with view:
            job = watch(client, job_id, view)
    except KeyboardInterrupt:
        print(f"\n{job_id} goes on. stoker watch|cancel {job_id}", file=sys.stderr)
        return 130
    view.end(job)
    return 0 if job.status == "succeeded" else 1


def watch(client: Client, job_id: str, view: View) -> Job:
    """Feeds `view` from the event stream, and from the job's progress once a second, until the stream's `done`."""
    arrived: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
    # The reader may sit in a read of up to 45 s at Ctrl-C: as a daemon it does not hold the exit up.
    threading.Thread(target=_read, args=(client, job_id, arrived), daemon=True, name="events").start()
    state = State(client.jobs.get(job_id))
    polled = time.monotonic()
    while True:
        try:
            event = arrived.get(timeout=DRAW_SECONDS)
        except queue.Empty:
            event = None
        if isinstance(event, Exception):
            raise event
        if event is not None:
            state.take(event)
            view.event(state, event)
            if event.type == "done":
                return client.jobs.get(job_id)
        if time.monotonic() - polled >= POLL_SECONDS:
            try:
                state.job = client.jobs.get(job_id)
            except ConnectionFailedError:
                view.away(state)  # the event reader decides when to give up
            polled = time.monotonic()
        view.draw(state)


def _read(client: Client, job_id: str, arrived: queue.SimpleQueue[Event | Exception]) -> None:
    try:
        for event in client.jobs.events(job_id):
            arrived.put(event)
    except Exception as error:  # raised again where the person is; after Ctrl-C nobody is, and the client is closed
        arrived.put(error)
