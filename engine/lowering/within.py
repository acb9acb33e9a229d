"""Plans within a limit of memory: where a plan's arena is above it, values are computed again instead of kept."""

from __future__ import annotations

from engine.graph.ir import Graph
from engine.lowering.plan import Plan, compile_plan
from engine.lowering.select import Numerics
from engine.passes import rematerialise as repeating

TRIES = 5
"""The pass knows what lives, not what an arena makes of it: it aims lower until the plan fits."""


def compile_within(graph: Graph, batch: int, limit_bytes: int | None,
                   numerics: Numerics = "winograd4") -> tuple[Plan, str]:
    """A plan whose arena takes at most `limit_bytes`, or the smallest found; and what that costs, for a person.

    The text is empty where nothing had to be computed again.
    """
    plain = compile_plan(graph, batch, numerics=numerics)
    arena = plain.allocation.arena_bytes
    if limit_bytes is None or arena <= limit_bytes:
        return plain, ""
    lives = repeating.live_bytes(plain.graph, batch)
    aim, best = lives * limit_bytes // arena, plain
    for _ in range(TRIES):
        smaller = repeating.rematerialise(plain.graph, batch, aim)
        plan = compile_plan(smaller, batch, passes=(), numerics=numerics)
        if plan.allocation.arena_bytes < best.allocation.arena_bytes:
            best = plan
        if plan.allocation.arena_bytes <= limit_bytes or repeating.live_bytes(smaller, batch) > aim:
            break
        aim = aim * limit_bytes // plan.allocation.arena_bytes
    if best is plain:
        return plain, ""
    after = best.allocation.arena_bytes
    repeated = repeating.report(plain.graph, best.graph)
    return best, f"arena {arena:,} -> {after:,} bytes ({after / arena:.0%}); {repeated}"
