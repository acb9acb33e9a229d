from __future__ import annotations

import itertools

import pytest

from store.errors import IllegalTransition
from store.states import DATASET_STATUSES, DATASET_TRANSITIONS, JOB_STATUSES, JOB_TRANSITIONS, transition

LEGAL = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "paused"),
    ("running", "queued"),
    ("paused", "queued"),
    ("paused", "cancelled"),
    ("failed", "queued"),
    ("cancelled", "queued"),
}


@pytest.mark.parametrize(("current", "wanted"), [*itertools.product(JOB_STATUSES, JOB_STATUSES)])
def test_exactly_the_legal_transitions_of_jobs_pass(current: str, wanted: str) -> None:
    if (current, wanted) in LEGAL:
        transition(current, wanted)
    else:
        with pytest.raises(IllegalTransition, match=f"{current} row cannot become {wanted}"):
            transition(current, wanted)


@pytest.mark.parametrize(("current", "wanted"), [*itertools.product(DATASET_STATUSES, DATASET_STATUSES)])
def test_exactly_the_legal_transitions_of_datasets_pass(current: str, wanted: str) -> None:
    if current == "processing" and wanted != "processing":
        transition(current, wanted, DATASET_TRANSITIONS)
    else:
        with pytest.raises(IllegalTransition):
            transition(current, wanted, DATASET_TRANSITIONS)


def test_the_tables_know_every_status() -> None:
    assert set(JOB_TRANSITIONS) == set(JOB_STATUSES)
    assert set(DATASET_TRANSITIONS) == set(DATASET_STATUSES)


def test_unknown_statuses_are_refused() -> None:
    with pytest.raises(IllegalTransition):
        transition("unheard-of", "running")
    with pytest.raises(IllegalTransition):
        transition("queued", "unheard-of")
