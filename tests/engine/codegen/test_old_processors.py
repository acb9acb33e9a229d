"""Processors without AVX-512, and those without AVX and multiply-adds: the same kernels, with what they have."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from engine.codegen import host as processors
from engine.codegen import objects
from engine.codegen.host import Host, host
from engine.kernels import contract, random, recurrent
from engine.lowering.select import Tile
from tests.engine.codegen.test_scalar import apply

LATER = ("avx", "fma", "f16c", "vaes", "vpclmulqdq", "gfni", "xop")
"""Beginnings of the names of what came with AVX or after it."""

x86 = pytest.mark.skipif("+sse2" not in host().features, reason="this processor is no x86")


def of_2008() -> Host:
    """x86-64 with nothing but its first extensions."""
    lacking = ",".join(f"-{name}" for name in llvm.get_host_cpu_features() if name.startswith(LATER))
    return Host("x86-64", lacking, lanes=4, registers=16)


def kernels() -> list[str]:
    """The IR of some."""
    return [contract.kernel.source(Tile(4, 2, 1, True), True, (), -1, True), random.dropout.source(),
            recurrent.forward.source("lstm", "tanh", "sigmoid", True, True)]


@x86
@pytest.mark.parametrize("lanes", ["8", "4"])
def test_narrowed_kernels_have_no_instruction_of_avx512(monkeypatch: Any, lanes: str) -> None:
    monkeypatch.setenv("STOKER_KERNEL_LANES", lanes)
    for ir in kernels():
        found = re.findall(r"%zmm\d+|%k[0-7]\b|%[xy]mm(?:1[6-9]|2\d|3[01])", objects.assembly(ir))
        assert not found


@x86
def test_a_processor_without_avx_computes_the_same(monkeypatch: Any) -> None:
    x = np.linspace(-3, 3, 1001, dtype=np.float32)
    wanted = {name: apply(monkeypatch, name, x) for name in ("exp", "tanh", "erf", "sin")}
    monkeypatch.setattr(processors, "_host", lambda narrowed: of_2008())
    assert not any(re.search(r"%[yz]mm|\tvfmadd", objects.assembly(ir)) for ir in kernels())
    for name, values in wanted.items():
        assert (apply(monkeypatch, name, x) == values).all()
