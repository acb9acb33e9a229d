"""When a worker must think that it no longer hears its broker."""

from worker.hearing import DEAF_AFTER, Hearing


def test_waiting_messages_before_an_idle_worker_are_deafness():
    hearing = Hearing()
    assert [hearing.lost(waiting=1, busy=0) for _ in range(DEAF_AFTER)] == [False] * (DEAF_AFTER - 1) + [True]


def test_work_or_silence_in_between_begins_the_count_anew():
    hearing = Hearing()
    looks = [(1, 0), (1, 0), (1, 1), (1, 0), (1, 0), (0, 0), (1, 0), (1, 0)]
    assert not any(hearing.lost(waiting=waiting, busy=busy) for waiting, busy in looks)
