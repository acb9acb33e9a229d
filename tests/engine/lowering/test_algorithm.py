"""Winograd's algorithm is chosen where the plan's numerics allow it and it gains, and the choice is printed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.graph.ir import Graph, GraphBuilder
from engine.graph.text import print_graph
from engine.lowering.algorithm import choose_algorithms
from engine.lowering.plan import compile_plan
from engine.lowering.select import NUMERICS, winograd_tile
from engine.runtime.session import Session, aligned
from engine.runtime.threads import Workers
from engine.types import Batch, Type

PADDING = ((1, 1), (1, 1))


def convolution(channels: int = 16, **attrs: object) -> Graph:
    b = GraphBuilder("g")
    x = b.input("x", Type((Batch(), 8, 8, channels)))
    kernel = b.parameter("k", Type((3, 3, channels, 32)))
    return b.finish(y=b.op("conv2d", x, kernel, **attrs))


def test_the_choice_stands_in_the_graph():
    graph = choose_algorithms(convolution(padding=PADDING), "winograd4")
    assert "winograd=4" in print_graph(graph)
    assert "winograd" not in print_graph(choose_algorithms(convolution(padding=PADDING), "direct"))


@pytest.mark.parametrize("attrs", [{"strides": (2, 2)}, {"dilation": (2, 2)}, {"channels": 24}, {"channels": 3}])
def test_what_it_cannot_do_stays_direct(attrs):
    assert "winograd" not in print_graph(choose_algorithms(convolution(**attrs), "winograd4"))


@pytest.mark.parametrize("outputs, gains", [((32, 32), True), ((13, 13), True), ((5, 5), False), ((1, 40), False)])
def test_images_that_waste_too_many_products_stay_direct(outputs, gains):
    assert bool(winograd_tile("winograd4", outputs, (3, 3, 64, 64), gradient=False)) == gains


def test_every_numerics_says_so_in_the_report_and_agrees_within_its_error():
    results = {}
    generator = np.random.default_rng(0)
    kernel = aligned((3, 3, 16, 32), "float32")
    kernel[...] = generator.standard_normal(kernel.shape)
    x = generator.standard_normal((4, 8, 8, 16))
    for numerics in NUMERICS:
        plan = compile_plan(convolution(padding=PADDING), 4, numerics=numerics)
        assert plan.report().startswith(f"numerics {numerics}\n")
        assert ("winograd.conv2d" in plan.report()) == (numerics != "direct")
        session = Session(plan, {"k": kernel}, {}, Workers(1))
        session.feeds["x"][...] = x
        session.run(4)
        results[numerics] = session.fetch("y", 4)
    deviation = results["direct"].std()
    for numerics in ("winograd2", "winograd4"):
        difference = np.abs(results[numerics] - results["direct"]).max()
        assert 0 < difference <= 2e-5 * deviation
