"""Tiles fit the registers of every instruction set, blocks cover everything, parts follow from the shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen.host import Host
from engine.lowering.chunks import PARTS, batch_parts
from engine.lowering.select import blocks, tile

HOSTS = [Host("zen", "", 16, 32), Host("haswell", "", 8, 16), Host("neon", "", 4, 32), Host("sse", "", 4, 16)]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.cpu)
@given(rows=st.integers(1, 1300), columns=st.integers(1, 300), depth=st.integers(1, 5000))
def test_accumulators_and_operands_fit_the_registers(host: Host, rows: int, columns: int, depth: int):
    chosen = tile(rows, columns, depth, host.lanes, {vectors: host.rows(vectors) for vectors in (1, 2, 3, 4)})
    assert chosen.rows * chosen.vectors + chosen.vectors <= host.registers
    assert 1 <= chosen.rows <= rows


@given(rows=st.integers(1, 1300), columns=st.integers(1, 300), depth=st.integers(1, 5000))
def test_whole_tiles_and_the_tail_cover_all_columns(rows: int, columns: int, depth: int):
    chosen = tile(rows, columns, depth, 16, {1: 28, 2: 14, 3: 9, 4: 6})
    whole = columns // (chosen.vectors * 16) * chosen.vectors * 16
    assert whole + chosen.tail * 16 >= columns
    assert chosen.tail * 16 - (columns - whole) < 16
    assert chosen.masked == (columns % 16 != 0)


@given(outer=st.integers(1, 500), rows=st.integers(1, 300), columns=st.integers(1, 300), depth=st.integers(1, 5000))
def test_blocks_are_never_empty(outer: int, rows: int, columns: int, depth: int):
    chosen = tile(rows, columns, depth, 16, {1: 28, 2: 14, 3: 9, 4: 6})
    block = blocks(outer, rows, columns, depth, chosen, 16)
    assert block.row_tiles >= 1
    assert block.column_tiles >= 1


@given(batch=st.integers(1, 5000), terms=st.integers(1, 5000))
def test_parts_cover_the_batch(batch: int, terms: int):
    parts = batch_parts(batch, terms)
    length = -(-batch // parts)
    assert 1 <= parts <= PARTS
    assert (parts - 1) * length < batch <= parts * length


def test_short_sums_are_one_chain():
    assert batch_parts(32, 1) == 1
    assert batch_parts(1, 10**6) == 1
    assert batch_parts(32, 900) == 8
