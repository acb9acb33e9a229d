"""The cache of compiled kernels: what it holds is used, what is broken in it is made again, and it may be missing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from engine import environment
from engine.codegen import objects
from engine.codegen.builder import Code
from engine.codegen.objects import compiled


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


@compiled
def adds(number: float) -> str:
    return store_constant(int(number) if str(number)[0] != "-" else 9)


@pytest.fixture
def anew(cache, monkeypatch):
    """As in a new process."""
    def forget() -> None:
        monkeypatch.setattr(objects, "_loaded", {})
        monkeypatch.setattr(adds, "_known", {})

    return forget


def test_a_variant_is_found_without_its_ir(cache, monkeypatch, anew):
    assert result(adds(5.0)) == 15
    anew()
    monkeypatch.setattr(adds, "source", lambda number: pytest.fail("built again"))
    assert result(adds(5.0)) == 15


def test_a_fresh_and_a_kept_kernel_are_the_same_bytes(cache, anew):
    adds(2.0)
    (kept,) = [file.read_bytes() for file in cache.glob("*.o")]
    anew()
    for file in cache.iterdir():
        file.unlink()
    adds(2.0)
    assert [file.read_bytes() for file in cache.glob("*.o")] == [kept]


def test_variants_differ_by_what_their_arguments_look_like(cache):
    """0.0 and -0.0 are equal."""
    assert result(adds(0.0)) == 0
    assert result(adds(-0.0)) == 27


def test_changed_sources_of_the_engine_build_the_ir_again_and_use_the_same_code(cache, monkeypatch, anew):
    adds(3.0)
    anew()
    monkeypatch.setattr(objects, "_sources", lambda: "others")
    monkeypatch.setattr(objects, "_compile", lambda ir: pytest.fail("compiled again"))
    assert result(adds(3.0)) == 9
    assert len(list(cache.glob("*.o"))) == 1


@pytest.mark.parametrize("kind", ["*.o", "*.v"])
@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"x" * 200)])
def test_half_of_a_variant_is_made_again(cache, anew, kind, damage):
    adds(4.0)
    anew()
    for file in cache.glob(kind):
        damage(file)
    assert result(adds(4.0)) == 12
    anew()
    assert result(adds(4.0)) == 12


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


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    for variable in ("STOKER_KERNEL_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    assert environment.kernel_cache() is None
    assert result(objects.load("kernel", store_constant(8))) == 24
