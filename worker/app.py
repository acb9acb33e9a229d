"""The Celery application. The broker only wakes workers up: a message says that there is work, never which."""

from __future__ import annotations

from celery import Celery
from kombu.entity import Queue

from store.settings import Settings

QUEUES = ("training", "ingest")


def task_name(queue: str) -> str:
    """The name of the one task of a queue."""
    return f"stoker.work.{queue}"


def create_app(settings: Settings) -> Celery:
    """An application on the settings' broker, without tasks: enough to send, and what a worker adds its tasks to."""
    app = Celery("stoker", set_as_current=False)
    app.conf.update(
        broker_url=settings.broker_url,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 5.0, "socket_keepalive": True},
        task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_routes={task_name(name): {"queue": name} for name in QUEUES},
        task_default_queue=QUEUES[0],
        task_create_missing_queues=False,
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        # The message is gone when the task starts: the database, not the broker, knows what is unfinished.
        task_acks_late=False,
        # A message waits in the broker until a slot is free, where any other worker can still take it.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_pool_start_method="fork",
        # A loaded machine may need longer than the default 4 s until a pool child says that it is up.
        worker_proc_alive_timeout=60.0,
    )
    return app
