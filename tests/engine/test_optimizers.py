"""Optimizers over several steps: the flat compute kernels against each op's float64 reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph.ir import GraphBuilder
from engine.kernels import state as run_state
from engine.lowering.plan import Plan, compile_plan
from engine.ops.optimize import updated
from engine.optimizers.base import Optimizer
from engine.options import entry, parse
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Type

SIZES = (1, 4095, 4096, 4097, 10_000)
"""Around the size of a chunk."""
RATES = np.array([0.01, 0.02, 0.005, 0.01, 0.03], np.float32)
CASES: list[dict[str, Any]] = [
    {"type": "SGD"}, {"type": "SGD", "momentum": 0.9}, {"type": "SGD", "momentum": 0.9, "nesterov": True},
    {"type": "RMSprop"}, {"type": "RMSprop", "centered": True}, {"type": "RMSprop", "momentum": 0.5},
    {"type": "RMSprop", "momentum": 0.5, "centered": True, "rho": 0.5, "epsilon": 1e-3},
    {"type": "Adam"}, {"type": "Adam", "amsgrad": True, "beta_2": 0.5}, {"type": "AdamW"},
    {"type": "Adagrad"}, {"type": "Adadelta"}, {"type": "Adamax"}, {"type": "Nadam"}, {"type": "Lion"},
    {"type": "Ftrl", "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2, "beta": 0.1,
     "l2_shrinkage_regularization_strength": 0.05, "learning_rate_power": -0.7},
    {"type": "ScheduleFreeAdamW", "warmup_steps": 3},
    {"type": "Adam", "use_ema": True, "ema_momentum": 0.8}, {"type": "SGD", "gradient_accumulation_steps": 2},
    {"type": "SGD", "use_ema": True, "ema_overwrite_frequency": 2},
    {"type": "Adam", "gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
]


def planned(optimizer: Optimizer, sizes: tuple[int, ...]) -> Plan:
    """One update of variables w0, w1, … by gradients g0, g1, …"""
    b = GraphBuilder("update")
    inputs = [b.parameter(f"{kind}{index}", Type((size,))) for index, size in enumerate(sizes)
              for kind in ("w", "g", *optimizer.kept)]
    b.apply("update", *inputs, slots=len(optimizer.kept), **optimizer.applied)
    return compile_plan(b.finish(), 1)


def options_of(optimizer: Optimizer) -> dict[str, Any]:
    """What the op is given besides the rule's name."""
    return {name: value for name, value in optimizer.applied.items() if name != "rule"}


def initial(optimizer: Optimizer, sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Drawn weights and gradients, slots of zeros."""
    random, store = np.random.default_rng(4), {}
    for index, size in enumerate(sizes):
        for kind in ("w", "g", *optimizer.kept):
            store[f"{kind}{index}"] = aligned((size,), "float32")
        store[f"w{index}"][...] = random.standard_normal(size)
        store[f"g{index}"][...] = random.standard_normal(size) * np.exp(random.uniform(-6, 3, size))
    return store


def run(optimizer: Optimizer, store: dict[str, np.ndarray], sizes: tuple[int, ...], threads: int = 1,
        rates: np.ndarray = RATES) -> dict[str, np.ndarray]:
    """All steps in one native call."""
    workers = Workers(threads)
    try:
        session = Session(planned(optimizer, sizes), store, {}, workers)
        session.state[run_state.RATES] = rates.ctypes.data
        assert session.run(1, len(rates)) == len(rates)
    finally:
        workers.close()
    return store


@pytest.mark.parametrize("decay", [None, 0.1])
@pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(map(str, options.values())))
def test_several_steps_of_many_variables(options: dict[str, Any], decay: float | None):
    given = options if decay is None else {**options, "weight_decay": decay}
    optimizer: Optimizer = parse(entry("optimizer"), given, "")
    exact = {name: array.astype("float64") for name, array in initial(optimizer, SIZES).items()}
    for step, rate in enumerate(RATES, start=1):
        for index in range(len(SIZES)):
            arrays = [exact[f"{kind}{index}"] for kind in ("w", "g", *optimizer.kept)]
            made = updated(optimizer.applied["rule"], float(rate), step, arrays, **options_of(optimizer))
            exact |= zip((f"{kind}{index}" for kind in ("w", *optimizer.kept)), made, strict=True)
    found = run(optimizer, initial(optimizer, SIZES), SIZES)
    for name, wanted in exact.items():
        # Ftrl takes the difference of two sums that are nearly equal.
        exactness = 2e-3 if options["type"] == "Ftrl" else 2e-5
        np.testing.assert_allclose(found[name], wanted, rtol=exactness, atol=exactness / 10, err_msg=name)
    for threads in (2, 4):
        again = run(optimizer, initial(optimizer, SIZES), SIZES, threads)
        assert all(again[name].tobytes() == array.tobytes() for name, array in found.items()), threads


def test_a_small_models_update_is_one_chunk_with_the_same_bits():
    """As if its variables stood among larger ones, whose update is shared out."""
    optimizer: Optimizer = parse(entry("optimizer"), {"type": "Adam"}, "")
    sizes = (1, 130, 4097)
    alone = run(optimizer, initial(optimizer, sizes), sizes)
    among = run(optimizer, initial(optimizer, (*sizes, 40_000)), (*sizes, 40_000))
    assert all(alone[name].tobytes() == among[name].tobytes() for name in alone)


def test_a_gradient_that_never_changes_has_no_variance_below_zero():
    """Its mean square and its mean's square are equal but for rounding, either of which may be the larger one."""
    optimizer: Optimizer = parse(entry("optimizer"), {"type": "RMSprop", "centered": True}, "")
    sizes = (4096,)
    store = initial(optimizer, sizes)
    store["g0"][...] = np.linspace(50, 5000, 4096)
    assert np.isfinite(run(optimizer, store, sizes, rates=np.full(400, 1e-6, np.float32))["w0"]).all()
