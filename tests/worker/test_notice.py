from __future__ import annotations

import math
import os
import time

from worker.notice import CANCEL, HURRY, NOTHING, PAUSE, SHUTDOWN, Notice


def test_a_forked_child_sees_what_is_posted_after_the_fork():
    notice = Notice()
    pid = os.fork()
    if pid == 0:
        deadline = time.monotonic() + 5
        while notice.read() == NOTHING and time.monotonic() < deadline:
            time.sleep(0.005)
        os._exit(notice.read())
    notice.post(CANCEL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == CANCEL


def test_the_more_urgent_word_stays():
    notice = Notice()
    for said, read in [(PAUSE, PAUSE), (CANCEL, CANCEL), (SHUTDOWN, CANCEL), (HURRY, HURRY), (PAUSE, HURRY)]:
        notice.post(said)
        assert notice.read() == read


def test_it_is_good_for_as_long_as_it_was_prolonged():
    notice = Notice()
    assert notice.is_good()
    notice.good_until(time.monotonic() - 0.001)
    assert not notice.is_good()
    notice.good_until(time.monotonic() + 60)
    assert notice.is_good()
    notice.good_until(math.inf)
    assert notice.is_good()
    assert notice.read() == NOTHING
