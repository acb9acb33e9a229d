"""One random graph computed in every way that there is, beside its references in float64."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from engine.graph.interpret import interpret
from engine.graph.ir import Graph
from engine.graph.verify import verify
from engine.kernels import state as run_state
from engine.lowering.plan import Plan, compile_plan
from engine.ops.dropout import REFERENCE_STATE
from engine.passes.pipeline import PASSES, Pass, optimise
from engine.runtime.session import Session
from engine.runtime.threads import Workers
from tests.engine.fuzz.case import Arrays, Case

FOLDED = 1e-6
"""How far float64 may be from float64, as a part of the largest value: constants are folded in their own precision."""
WAYS: dict[str, tuple[Pass, ...]] = {"": PASSES, " without passes": ()}
ROUNDING, NOISE = 1e-5, 30.0
"""How far float32 may be from float64: a part of the largest value, and so many times what rounding does to numpy."""


SQUARED = 1e-13
"""What squares of rounding errors of numbers around 1 leave where nothing should be: the variance of equal numbers."""


def fault(case: Case, seed: int = 0) -> str | None:
    """What is wrong with this graph, in words.

    Where the numbers decide (which of two nearly equal ones is larger, on which side of 0 a value lies), rounding may
    decide otherwise for one draw of them; a fault of the engine shows for two draws out of three.
    """
    verify(case.graph)
    with np.errstate(all="ignore"):
        try:
            plans = {how: compile_plan(case.graph, case.batch, passes=passes) for how, passes in WAYS.items()}
            first = next(_faults(case, plans, seed), None)
            if first is None or not first.startswith("expected"):
                return first
            others = (next(_faults(case, plans, seed + again), None) for again in (1, 2))
            return first if any(others) else None
        except Exception:
            return traceback.format_exc(limit=-4)


def _faults(case: Case, plans: Mapping[str, Plan], seed: int) -> Iterator[str]:
    for batch in dict.fromkeys((case.batch, 1 + seed % case.batch)):
        feeds, parameters = case.arrays(batch, seed)
        doubles = _doubled(feeds), _doubled(parameters)
        exact = interpret(case.graph, *doubles)
        noise = _noise(case.graph, feeds, parameters, exact)
        passed = interpret(optimise(case.graph), *doubles)
        for name, wanted in exact.items():
            yield from _far(f"{name} after the passes, {batch} examples", passed[name], wanted,
                            FOLDED * _largest(wanted) + noise[name])
        for how, plan in plans.items():
            found = _run(plan, feeds, parameters, batch, threads=1)
            for name, wanted in exact.items():
                yield from _far(f"{name}{how}, {batch} examples", found[name], wanted,
                                SQUARED + ROUNDING * _largest(wanted) + NOISE * noise[name])
            for name, other in _run(plan, feeds, parameters, batch, threads=2).items():
                if other.tobytes() != found[name].tobytes():
                    yield f"other bits of {name} on two threads{how}, {batch} examples"


def _far(what: str, received: np.ndarray, wanted: np.ndarray, allowed: float) -> Iterator[str]:
    if received.shape != wanted.shape:
        yield f"expected {what} of shape {wanted.shape}, received {received.shape}"
        return
    apart = np.abs(received.astype("float64") - wanted.astype("float64"))
    unequal = np.isfinite(received) != np.isfinite(wanted)
    wrong = unequal | (np.isfinite(wanted) & (apart > allowed))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        yield (f"expected {what} at {list(place)} to be {wanted[place]:.9g}, received {received[place]:.9g}; "
               f"{int(wrong.sum())} of {wrong.size} are farther apart than {allowed:.3g}")


def _largest(array: np.ndarray) -> float:
    values = np.abs(array[np.isfinite(array)]) if array.dtype.kind == "f" else np.abs(array)
    return float(values.max(initial=1e-30))


def _noise(graph: Graph, feeds: Arrays, parameters: Arrays, exact: Arrays) -> dict[str, float]:
    """What rounding does to each output: the references in both precisions, of inputs as they are and a little off.

    Several, since one may round to nothing where others do not: a sum of float32 is exactly 1 often enough.
    """
    off = [(_disturbed(feeds, seed), _disturbed(parameters, seed + 2)) for seed in range(3)]
    others = [interpret(graph, *given) for given in ((feeds, parameters), *off, *map(_halved, off))]
    found = {}
    for name, wanted in exact.items():
        apart = [np.abs(other[name].astype("float64") - wanted.astype("float64")) for other in others]
        found[name] = max(_largest(each) if each.size else 0.0 for each in apart)
    return found


def _doubled(arrays: Arrays) -> Arrays:
    return {name: array.astype("float64") if array.dtype == "float32" else array for name, array in arrays.items()}


def _halved(given: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
    """Rounded to float32."""
    feeds, parameters = ({name: array.astype("float32") if array.dtype == "float64" else array
                          for name, array in arrays.items()} for arrays in given)
    return feeds, parameters


def _disturbed(arrays: Arrays, seed: int) -> Arrays:
    random = np.random.default_rng(seed)
    return {name: array * (1 + 1e-7 * random.standard_normal(array.shape)) if array.dtype.kind == "f" else array
            for name, array in _doubled(arrays).items()}


@cache
def _workers(threads: int) -> Workers:
    return Workers(threads)


def _run(plan: Plan, feeds: Arrays, parameters: Arrays, batch: int, threads: int) -> Arrays:
    session = Session(plan, parameters, {}, _workers(threads), seed=REFERENCE_STATE[0])
    session.state[run_state.STEP] = REFERENCE_STATE[1]
    for name, array in feeds.items():
        session.feeds[name].reshape(-1)[: array.size] = array.ravel()
    session.run(batch)
    return {name: session.fetch(name, batch) for name in plan.graph.outputs}
