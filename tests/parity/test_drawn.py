"""Layers over drawn configurations against Keras: outputs and gradients, by their lengths and by one product each.

`make parity` compares every element of every plan (`compare.py`); here the graphs are computed by the ops' references,
and one of each layer's by its plan as well.
"""

from __future__ import annotations

import numpy as np
import pytest

from engine.graph.text import print_graph
from tests.parity import cases, comparison, drawn
from tests.parity.compare import BESIDES
from tests.parity.figures import figures

TOLERANCE = 1e-5


@pytest.mark.parametrize("layer", drawn.LAYERS)
def test_the_configuration_that_keras_writes_is_read(layer):
    written = {key: value for key, value in figures("drawn")[layer]["config"].items() if key not in BESIDES}
    configuration = drawn.configurations(layer)[0]
    graphs = [comparison.build("layer/0", {"type": layer, **options}, configuration)[0]
              for options in (written, configuration.options)]
    assert print_graph(graphs[0]) == print_graph(graphs[1])


@pytest.mark.parametrize("layer", drawn.LAYERS)
def test_outputs_and_gradients(layer):
    expected = figures("drawn")[layer]["figures"]
    assert len(expected) == drawn.COUNT
    for number, (configuration, wanted) in enumerate(zip(drawn.configurations(layer), expected, strict=True)):
        name = f"{layer}/{number}"
        built = comparison.build(name, {"type": layer, **configuration.options}, configuration)
        received = comparison.referenced(*built)
        assert set(wanted) in ({"output"}, set(received)), name
        for key, (length, product) in wanted.items():
            array = received[key]
            found = np.linalg.norm(array), (array * cases.draw(f"{name}/{key}/v", array.shape)).sum(dtype=np.float64)
            np.testing.assert_allclose(found, (length, product), rtol=0, atol=TOLERANCE * max(1.0, length),
                                       err_msg=f"{key} of {name} {configuration}")
        if number == 0:
            for key, array in comparison.planned(*built).items():
                assert comparison.error(array, received[key]) < TOLERANCE, f"{key} of {name}"
