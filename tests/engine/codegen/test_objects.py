"""The cache of compiled kernels: what it holds is used, what is broken in it is made again, and it may be missing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from engine.codegen import objects
from engine.codegen.builder import Code


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOKER_KERNEL_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(objects, "_loaded", {})
    return tmp_path / "kernels"


def store_constant(number: int) -> str:
    """A kernel that adds `number` for each chunk into where its first argument points."""
    code = Code("kernel", 4)
    with code.loop(code.begin, code.end):
        address = code.pointer(0)
        code.ir.store(code.ir.add(code.load_scalar(address, "int64"), code.index(number).value), address)
    return code.finish()


def result(address: int) -> int:
    total = np.zeros(1, np.int64)
    args = np.array([total.ctypes.data])
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)(args.ctypes.data, 0, 3)
    return int(total[0])


def test_a_kernel_is_compiled_once_and_loaded_from_the_file_afterwards(cache, monkeypatch):
    source = store_constant(5)
    assert result(objects.load("kernel", source)) == 15
    assert objects.load("kernel", source) == objects.load("kernel", source)
    monkeypatch.setattr(objects, "_loaded", {})
    monkeypatch.setattr(objects, "_compile", lambda ir: pytest.fail("compiled again"))
    assert result(objects.load("kernel", source)) == 15


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-7], lambda data: data[:50] + b"x" + data[51:]]
)
def test_a_damaged_file_is_replaced(cache, monkeypatch, damage):
    source = store_constant(6)
    objects.load("kernel", source)
    (file,) = cache.glob("*.o")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    monkeypatch.setattr(objects, "_loaded", {})
    assert result(objects.load("kernel", source)) == 18
    assert file.read_bytes() == whole
    assert [path.name for path in cache.iterdir()] == [file.name]


def test_a_directory_that_cannot_be_written_costs_nothing_but_time(cache):
    cache.write_text("a file where the directory should be")
    assert result(objects.load("kernel", store_constant(7))) == 21
