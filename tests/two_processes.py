"""How tests are shared between the processes of `pytest --numprocesses` (`make test`)."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

SERVERS = ("tests/worker/", "tests/stokerd/", "tests/client/", "tests/docs/", "tests/deploy/")
"""Folders whose tests start whole servers and look at the clock: one process runs them one after the other, so that
they share a server and never compete with another one."""


def file_of(nodeid: str) -> str:
    """The file of a test: `tests/store/test_jobs.py`."""
    return nodeid.partition("::")[0]


def begin_with_the_longest(items: list[pytest.Item]) -> None:
    """The servers first, and beside them the rules of the house: mypy is the longest test of all."""
    items.sort(key=lambda item: (not item.nodeid.startswith(SERVERS), file_of(item.nodeid) != "tests/test_house.py"))


class ByFile(LoadScopeScheduling):
    """Every file's tests go to one process, in their order; all files of SERVERS to the same one."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False  # as they were collected: see begin_with_the_longest
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return "servers" if nodeid.startswith(SERVERS) else file_of(nodeid)
