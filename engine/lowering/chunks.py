"""The one place that fixes the order of sums.

Long sums over a batch are cut into parts whose number follows from the shape alone, never from the number of threads;
the parts are added up in a fixed tree. Hence the same bits for any number of threads.
"""

from __future__ import annotations

from engine.types import Batch, Dim, Parts

PARTS = 8
MINIMUM_LENGTH = 512
"""Terms below which one chain is as exact and quicker."""
LARGE_OUTPUT, LARGE_OUTPUT_LENGTH = 2**16, 1024
"""Elements above which partial sums leave the caches, and the terms of a chain that are worth writing them."""


def parts(terms: Dim, outputs: int) -> Dim:
    """Into how many parts a sum is cut at most, for memory that is planned before the batch is known."""
    least = LARGE_OUTPUT_LENGTH if outputs > LARGE_OUTPUT else 1
    if isinstance(terms, Batch):
        return Parts(terms.factor, least, PARTS)
    return min(PARTS, -(-terms // least))


def batch_parts(batch: int, terms_per_example: int) -> int:
    """Into how many parts a sum over the batch is cut. Each part but the last has ceil(batch / parts) examples."""
    if batch < 2 or batch * terms_per_example < MINIMUM_LENGTH:
        return 1
    length = -(-batch // PARTS)
    return -(-batch // length)


def row_parts(rows: int, outputs: int = 1) -> int:
    """Into how many parts a sum over rows is cut: fewer where writing so many `outputs` apart would take too long."""
    if outputs <= LARGE_OUTPUT:
        return batch_parts(rows, 1)
    length = max(LARGE_OUTPUT_LENGTH, -(-rows // PARTS))
    return -(-rows // length)
