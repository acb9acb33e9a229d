"""Register tiles stay in registers: every micro-kernel's inner loop, read as assembly of three instruction sets."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest

from engine.codegen.host import Host
from engine.kernels import contract, depthwise, winograd
from engine.lowering.select import Tile
from engine.ops.base import find

HOSTS = {
    "avx512": (Host("avx512", "", 16, 32), "x86_64-unknown-linux-gnu", "skylake-avx512"),
    "avx2": (Host("avx2", "", 8, 16), "x86_64-unknown-linux-gnu", "haswell"),
    "neon": (Host("neon", "", 4, 32), "aarch64-unknown-linux-gnu", "cortex-a76"),
}
FUSED = re.compile(r"v?fmadd\w*ps|fmla")
STACK = re.compile(r"%rsp|\[sp\b")
"""Frames are addressed by the stack pointer alone: %rbp and x29 are registers as any other."""
VECTOR_ON_STACK = re.compile(r"mm\d+.*%rsp|%rsp.*mm\d+|\b[qvd]\d+\b.*\[sp")
DRAWN = re.compile(r"\s*(\.LBB\w+):")


@pytest.fixture(params=HOSTS)
def host(request, monkeypatch) -> str:
    """The builder makes code for this processor, whichever runs the test."""
    for module in (contract, depthwise, winograd):
        monkeypatch.setattr(module, "host", lambda: HOSTS[request.param][0])
    return request.param


def assembly(host: str, source: str) -> str:
    """Of LLVM IR for that processor."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    _, triple, cpu = HOSTS[host]
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module = llvm.parse_assembly(source)
    module.triple, module.data_layout = triple, str(machine.target_data)
    return str(machine.emit_assembly(module))


def loops(text: str, count: int) -> list[list[str]]:
    """Blocks with just so many fused multiply-adds: the micro-kernel's, not the transforms around it."""
    blocks: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if label := DRAWN.match(line):
            blocks.append((label[1], []))
        elif line.strip() and not line.strip().startswith((".", "#", "//")):
            blocks[-1][1].append(line.strip())
    return [lines for _, lines in blocks if sum(bool(FUSED.match(line)) for line in lines) == count]


def check(host: str, source: str, accumulators: int, count: int) -> None:
    found = loops(assembly(host, source), accumulators)
    assert len(found) >= count, f"{len(found)} inner loops of {accumulators} multiply-adds, expected {count}"
    for lines in found:
        on_stack = [line for line in lines if STACK.search(line)]
        assert not on_stack, f"{len(on_stack)} of {len(lines)} instructions use the stack: {on_stack[:3]}"


@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_contractions_keep_their_accumulators_in_registers(host, vectors):
    rows = HOSTS[host][0].rows(vectors)
    for height in {rows, max(1, rows - 1), max(1, rows // 2)}:
        source = contract.kernel.source(Tile(height, vectors, 0, False), False, (), -1, False)
        check(host, source, height * vectors, 1)


@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_so_do_those_with_a_masked_tail(host, vectors):
    if host == "neon":
        pytest.skip("NEON has no masked loads: the last columns are read one by one")
    assert find("relu")
    for tail in range(1, vectors + 1):
        rows = HOSTS[host][0].rows(vectors, masked=tail == vectors)
        source = contract.kernel.source(Tile(rows, vectors, tail, True), True, (("relu", (0,), ()),), 1, False)
        check(host, source, rows * tail, 1)


@pytest.mark.parametrize("filters", [16, 32, 48])
def test_winograds_products_are_the_same_micro_kernel(host, filters):
    chosen = winograd._tile(24, filters)
    check(host, winograd.convolve.source(4, chosen, False, ()), chosen.rows * chosen.vectors, 1)
    chosen = winograd._tile(HOSTS[host][0].lanes, filters, dividing=True)
    check(host, winograd.correlate.source(4, chosen), chosen.rows * chosen.vectors, 1)


@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (5, 1)])
def test_depthwise_convolutions_keep_vectors_in_registers(host, taps, stride):
    """Addresses may come from the stack: there are more of them than of anything else."""
    registers = HOSTS[host][0].registers
    pixels, gradients = registers // depthwise.PIXELS_OF_REGISTERS, registers // depthwise.GRADIENTS_OF_REGISTERS
    sources = [(depthwise.positions.source(pixels, taps, stride, 1, False), pixels * taps)]
    if taps == 3:
        sources.append((depthwise.taps.source(3, 3, stride, 1, False), 9 * gradients))
    for source, count in sources:
        found = loops(assembly(host, source), count)
        assert found
        assert not [line for lines in found for line in lines if VECTOR_ON_STACK.search(line)]


def test_the_test_sees_a_tile_that_is_too_large():
    here, *_ = HOSTS["avx2"]
    source = contract.kernel.source(Tile(here.rows(2) + 3, 2, 0, False), False, (), -1, False)
    with pytest.raises(AssertionError):
        check("avx2", source, 2 * (here.rows(2) + 3), 1)
