"""Parameters are written after everything that reads them, so passes may move reads about."""

from __future__ import annotations

import pytest

from engine.errors import CompileError
from engine.graph.ir import GraphBuilder
from engine.graph.verify import verify
from engine.types import Type


def test_a_read_after_an_assignment_is_refused():
    b = GraphBuilder("late")
    total, step = b.parameter("total", Type((3,))), b.parameter("step", Type((3,)))
    b.apply("assign", total, b.op("add", total, step))
    verify(b.finish())
    b.op("exp", total)
    with pytest.raises(CompileError, match=r"parameter 'total' is read after assign has written it"):
        verify(b.finish())


def test_a_view_of_a_parameter_is_the_parameter():
    b = GraphBuilder("view")
    kernel = b.parameter("kernel", Type((2, 3)))
    flat = b.op("reshape", kernel, shape=(6,))
    b.apply("assign", kernel, b.op("scale", kernel, factor=2.0))
    verify(b.finish(flat=flat))
    b.op("exp", flat)
    with pytest.raises(CompileError, match=r"parameter 'kernel' is read after assign"):
        verify(b.finish())


def test_a_parameter_is_written_once():
    b = GraphBuilder("twice")
    total = b.parameter("total", Type((3,)))
    for factor in (0.5, 2.0):
        b.apply("assign", total, b.constant([factor] * 3))
    with pytest.raises(CompileError, match="'total' is read after assign"):
        verify(b.finish())
