"""Every registered op: its kernels on its own samples, its documentation, and what it says about memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import registry
from engine.ops.base import find
from tests.engine.lowered import WHOLE, Division, lowered, same_bits
from tests.engine.ops.checks import check_sample, sampled

ROOT = Path(__file__).parents[3]
IN_TESTS_OF_THEIR_OWN = {"gather", "record", "assign", "sgd", "rmsprop", "adam"}
"""Ops that read tables or write parameters: `test_effects.py`."""


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


NARROW = """
from tests.engine.lowered import WHOLE, Division
from tests.engine.ops.checks import check_sample, sampled
from engine.codegen.host import host
for name, sample in sampled():
    check_sample(name, sample, (WHOLE, Division(2)))
print(host().lanes)
"""


@pytest.mark.parametrize("lanes", [8, 4])
def test_kernels_agree_with_the_reference_on_narrower_vectors(lanes):
    """As on a processor without AVX-512, and without AVX."""
    from engine.codegen.host import host

    if host().lanes <= lanes:
        pytest.skip(f"this processor's vectors have {host().lanes} lanes")
    environment = {**os.environ, "STOKER_KERNEL_LANES": str(lanes), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NARROW], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(lanes)
