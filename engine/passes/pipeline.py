"""The passes in their order, with the verifier between them."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import CompileError
from engine.graph.ir import Graph
from engine.graph.verify import verify
from engine.passes.dead import eliminate_dead
from engine.passes.fold import fold_constants
from engine.passes.fuse import fuse_chains, fuse_epilogues
from engine.passes.heads import fold_heads
from engine.passes.norms import split_norms
from engine.passes.padding import fold_padding
from engine.passes.pooling import pool_gradients
from engine.passes.recompute import recompute
from engine.passes.share import share_common

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    fold_constants,
    share_common,
    fold_padding,
    pool_gradients,
    fold_heads,
    eliminate_dead,
    fuse_epilogues,
    split_norms,
    fuse_chains,
    recompute,
    eliminate_dead,
)


def optimise(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """Run the passes. Raises CompileError naming the pass after which the graph no longer verifies."""
    verify(graph)
    for rewrite in passes:
        graph = rewrite(graph)
        try:
            verify(graph)
        except CompileError as error:
            raise CompileError(f"after {rewrite.__name__}: {error}") from error
    return graph
