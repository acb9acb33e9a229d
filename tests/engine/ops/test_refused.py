"""Inputs that do not belong together are refused by `infer`: compute kernels would read beyond their ends."""

from __future__ import annotations

import pytest

from engine.ops.base import ShapeMismatch, find
from engine.ops.elementwise import Elementwise
from engine.types import Type
from tests.engine.lowered import WHOLE
from tests.engine.ops.checks import check, sampled

SEVERAL = sorted({name for name, sample in sampled()
                  if len(sample.shapes) > 1 and not isinstance(find(name), Elementwise)})


@pytest.mark.parametrize("op", SEVERAL)
def test_a_changed_dimension_is_refused_or_computed(op):
    """Every dimension of every input, one longer, or 1."""
    for sample in find(op).samples[:3]:
        arrays = sample.arrays(1)
        for place, array in enumerate(arrays):
            for axis in range(array.ndim):
                for length in {array.shape[axis] + 1, 1} - {array.shape[axis]}:
                    changed = list(arrays)
                    changed[place] = array.take(range(length), axis, mode="wrap")
                    types = [Type(each.shape, str(each.dtype)) for each in changed]
                    if find(op).stateful:
                        types.append(Type((16,), "int64"))
                    try:
                        find(op).infer(*types, **sample.attrs)
                    except ShapeMismatch:
                        continue
                    check(op, changed, sample.attrs, divisions=(WHOLE,))
