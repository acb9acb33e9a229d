"""Random changes of colour with nothing left to chance give what Keras's layers give."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.layers.base import Net
from engine.options import entry, parse
from engine.types import Batch, Type
from tests.parity import cases
from tests.parity.colours import CASES, FIGURES, SHAPE, picture

ANSWERS = json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("place", range(len(CASES)))
def test_a_change(place):
    name, options = CASES[place]
    net = Net(GraphBuilder("colour"), training=True)
    x = net.b.input("x", Type((Batch(), *SHAPE[1:])))
    y = net.apply("layer", parse(entry("layer"), {"type": name, **options}, ""), (x,))
    fed = picture(cases.draw(f"colours/{place}", SHAPE, 0, 1))
    found = interpret(net.b.finish(y=y), {"x": fed})["y"]
    product = (found * cases.draw(f"colours/{place}/v", SHAPE)).sum(dtype=np.float64)
    np.testing.assert_allclose((np.linalg.norm(found), product), ANSWERS[place], rtol=0, atol=2e-5)
