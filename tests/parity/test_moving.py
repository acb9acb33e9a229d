"""Pictures moved by given numbers are what Keras's layers make of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder, Value
from engine.layers.pictures import Draws
from engine.options import entry, parse
from engine.types import Batch, Shape, Type
from tests.parity import cases
from tests.parity.moving import CASES, FIGURES, SHAPE

ANSWERS = json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]


class Given(Draws):
    """Draws that are known beforehand."""

    def __init__(self, b: GraphBuilder, numbers: list[float]) -> None:
        self._b = b
        self._numbers = iter(numbers)

    def uniform(self, x: Value, low: float, high: float, shape: Shape | None = None) -> Value:
        any_number = self._b.op("reduce_mean", x, axes=(1, 2, 3), keepdims=True)
        return self._b.op("scale", any_number, factor=0.0, offset=next(self._numbers))


@pytest.mark.parametrize("place", range(len(CASES)))
def test_a_move(place):
    name, options, numbers = CASES[place]
    b = GraphBuilder("moving")
    x = b.input("x", Type((Batch(), *SHAPE[1:])))
    layer: Any = parse(entry("layer"), {"type": name, **options}, "")
    y = (layer.move if hasattr(layer, "move") else layer.change)(b, x, Given(b, numbers))
    found = interpret(b.finish(y=y), {"x": cases.draw(f"moving/{place}", SHAPE)})["y"]
    product = (found * cases.draw(f"moving/{place}/v", SHAPE)).sum(dtype=np.float64)
    np.testing.assert_allclose((np.linalg.norm(found), product), ANSWERS[place], rtol=0, atol=5e-5)
