"""Steps of columns give what Keras's layers of the same names give, learnt vocabularies and hashes included."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.data.apply import run_steps
from engine.data.texts import texts
from engine.data.transform import Part
from engine.options import entry, parse
from tests.parity.texts import CASES, FIGURES

ANSWERS = json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]


def column(values):
    """A part of these values, and the values as its steps take them."""
    if isinstance(values[0], str):
        return Part(name="a", source="a", kind="text", shape=()), texts(values)
    return Part(name="a", source="a", kind="numeric", shape=()), np.asarray(values, np.float64)


@pytest.mark.parametrize("place", range(len(CASES)))
def test_a_step(place):
    name, options, training, asked = CASES[place]
    part, values = column(asked)
    step = parse(entry("transform"), {"type": name, **options, "columns": ["a"]}, "")
    assert step.accepts(part) is None
    known = column(training or asked)[1]
    state = json.loads(json.dumps(step.fit(part, lambda: iter([known[:3], known[3:]]))))
    found = run_steps(values, [{"type": name, **state}])
    assert found.shape == (len(asked), *step.resolve(part)[0].shape)
    np.testing.assert_allclose(found.reshape(len(asked), -1), ANSWERS[place], atol=1e-6)
