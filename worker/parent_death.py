"""A process that must not outlive its parent says so to the kernel."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have Linux send `number` to this process when its parent dies; elsewhere nothing is promised.

    `parent` is the pid that forked: when it is gone already, the request came too late and this process ends here.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
