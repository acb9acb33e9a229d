from __future__ import annotations

import threading
import time

import pytest

from store.ids import PREFIXES, is_id, new_id


def test_ids_grow_within_a_process_also_across_threads() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(mine: list[str]) -> None:
        mine.extend(new_id("job") for _ in range(2000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({id for mine in made for id in mine}) == 8000


def test_an_id_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    number = int(new_id("job").removeprefix("job_"), 16)
    assert before <= number >> 80 <= time.time_ns() // 1_000_000 + 10
    assert (number >> 76) & 0xF == 7
    assert (number >> 62) & 0b11 == 0b10


@pytest.mark.parametrize("kind", PREFIXES)
def test_an_id_is_known_by_its_form(kind: str) -> None:
    assert is_id(kind, new_id(kind))


ZEROS = "0" * 32
FORGED = [
    "",
    "job_",
    "job_x",
    f"job_{ZEROS[1:]}",
    f"job_{ZEROS}0",
    f"ds_{ZEROS}",
    f"job_{ZEROS[1:]}G",
    f"job_{ZEROS}\n",
    "job_'; --",
]


@pytest.mark.parametrize("text", FORGED)
def test_a_forged_id_is_none(text: str) -> None:
    assert not is_id("job", text)
