"""Exit statuses of the forked processes; what became of the work is in the database."""

from typing import Final

DONE: Final = 0
"""The row was brought to where it belongs."""
LEASE_LOST: Final = 3
"""Somebody else holds the row, or may: nothing more was written."""
CRASHED: Final = 70
"""An exception that nobody expected; it is in the worker's log."""
