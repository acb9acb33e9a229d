"""Every registered op: its kernels on its own samples, its documentation, and what it says about memory."""

from __future__ import annotations

import pytest

from engine import registry
from engine.codegen.host import host
from engine.ops.base import find
from tests.engine.lowered import WHOLE, Division, lowered, same_bits
from tests.engine.ops.checks import check_sample, sampled

IN_TESTS_OF_THEIR_OWN = {"gather", "record", "assign", "update", "step"}
"""Ops that read tables or the run's state, or write parameters: `test_effects.py`, `test_optimizers.py`."""


@pytest.mark.parametrize("op", registry.entries("op"))
def test_every_op_has_samples(op):
    assert find(op).samples or op in IN_TESTS_OF_THEIR_OWN
    assert find(op).__doc__ or type(find(op)).__name__ == op


@pytest.mark.parametrize("op", sorted({name for name, _ in sampled()}))
def test_kernels_agree_with_the_reference_for_any_number_of_threads(op):
    for sample in find(op).samples:
        check_sample(op, sample)


def test_every_op_takes_an_open_batch():
    opened = {name for name, sample in sampled() if check_sample(name, sample, (WHOLE,))}
    assert {name for name, _ in sampled()} - opened == set()


@pytest.mark.parametrize("op", [op for op in registry.entries("op") if find(op).overwrites])
def test_an_output_may_take_over_the_buffer_that_its_op_names(op):
    """The plan lets them share memory, so the kernels must read each element before it is written."""
    for sample in find(op).samples:
        arrays = sample.arrays(3)
        node = lowered(op, arrays, sample.attrs)
        for output, taken in find(op).overwrites.items():
            if node.node.outputs[output].type != node.node.inputs[taken].type:
                continue
            apart = node.run(arrays)
            for division in (WHOLE, Division(2), Division(single=True, backwards=True)):
                together = node.run(arrays, division, sharing={node.node.outputs[output]: node.node.inputs[taken]})
                assert same_bits(apart[output], together[output])


@pytest.mark.parametrize("lanes", [8, 4])
@pytest.mark.parametrize("op", sorted({name for name, _ in sampled()}))
def test_kernels_agree_with_the_reference_on_narrower_vectors(op, lanes, monkeypatch):
    """As on a processor without AVX-512, and without AVX."""
    if host().lanes <= lanes:
        pytest.skip(f"this processor's vectors have {host().lanes} lanes")
    monkeypatch.setenv("STOKER_KERNEL_LANES", str(lanes))
    for sample in find(op).samples:
        check_sample(op, sample, (WHOLE, Division(2)))
