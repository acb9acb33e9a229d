"""Statuses, and the one function that says which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from store.errors import IllegalTransition

QUEUED: Final = "queued"
RUNNING: Final = "running"
PAUSED: Final = "paused"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
PROCESSING: Final = "processing"
READY: Final = "ready"

JOB_STATUSES: Final = (QUEUED, RUNNING, PAUSED, SUCCEEDED, FAILED, CANCELLED)
DATASET_STATUSES: Final = (PROCESSING, READY, FAILED)
TERMINAL: Final = frozenset({SUCCEEDED, FAILED, CANCELLED})
ACTIVE: Final = frozenset({QUEUED, RUNNING, PAUSED})

JOB_TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    QUEUED: frozenset({RUNNING, CANCELLED}),
    RUNNING: frozenset({SUCCEEDED, FAILED, CANCELLED, PAUSED, QUEUED}),
    PAUSED: frozenset({QUEUED, CANCELLED}),
    SUCCEEDED: frozenset(),
    FAILED: frozenset({QUEUED}),
    CANCELLED: frozenset({QUEUED}),
}

DATASET_TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    PROCESSING: frozenset({READY, FAILED}),
    READY: frozenset(),
    FAILED: frozenset(),
}


def transition(current: str, wanted: str, table: Mapping[str, frozenset[str]] = JOB_TRANSITIONS) -> None:
    """Return if `wanted` may follow `current`; every change of a status passes here.

    Raises IllegalTransition.
    """
    if wanted not in table.get(current, frozenset()):
        raise IllegalTransition(current, wanted)
