"""Compute kernels as machine code: built once a machine, kept in a folder, loaded into this process.

    @compiled
    def scale(masked: bool) -> str:
        code = Code("scale", host().lanes)
        ...
        return code.finish()

    scale(True)           the address of the machine code
    scale.source(True)    the LLVM IR

The folder holds machine code by what it was made of: IR, LLVM, processor and engine. To know the IR it would have to be
built, which takes as long as compiling; hence a second file for each kernel leads from the function, its arguments and
the source files of the engine to the machine code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, update_wrapper
from pathlib import Path
from typing import Any, Generic, ParamSpec

import llvmlite.binding as llvm

import engine
from engine.codegen import cache as folder
from engine.codegen.host import host, target_machine

Given = ParamSpec("Given")

SOURCES = ("", "codegen", "kernels", "lowering", "ops", "optimizers", "runtime")
"""Folders of the engine whose files decide what a kernel's IR is."""

declared: list[Compiled[Any]] = []
"""Every kernel of the modules that were imported."""
made: list[str] = []
"""What this process compiled, as it was not in the folder."""
_loaded: dict[str, int] = {}
_engines: list[llvm.ExecutionEngine] = []
"""Execution engines own the loaded code, so they live as long as the process."""


class Compiled(Generic[Given]):
    """A function that builds IR, of arguments whose `repr` says all about them; a call gives the kernel's address."""

    def __init__(self, build: Callable[Given, str]) -> None:
        self.source = build
        self.name = f"{build.__module__}.{build.__qualname__}"
        self._known: dict[tuple[str, str], int] = {}
        update_wrapper(self, build)

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> int:
        # Not by equality: 0.0 and -0.0 are equal, and make other code.
        variant = (host().key, repr((args, kwargs)))
        if variant not in self._known:
            self._known[variant] = self._load(self.name + variant[1], *args, **kwargs)
        return self._known[variant]

    def _load(self, variant: str, *args: Given.args, **kwargs: Given.kwargs) -> int:
        lead = hashlib.sha256(f"{host().key}\n{_sources()}\n{variant}".encode()).hexdigest() + ".v"
        found = folder.read(lead)
        if found is not None:
            key, _, name = found.decode().partition(" ")
            machine_code = folder.read(f"{key}.o")
            if key in _loaded or machine_code is not None:
                return _link(key, name, machine_code or b"")
        ir = self.source(*args, **kwargs)
        name = _entry(ir)
        address = load(name, ir)
        folder.write(lead, f"{_key(ir)} {name}".encode())
        return address


def compiled(build: Callable[Given, str]) -> Compiled[Given]:
    """Decorator."""
    made_of = Compiled(build)
    declared.append(made_of)
    return made_of


def load(name: str, ir: str) -> int:
    """The address of function `name` of a module's IR text."""
    key = _key(ir)
    if key in _loaded:
        return _loaded[key]
    machine_code = folder.read(f"{key}.o")
    if machine_code is None:
        machine_code = _compile(ir)
        made.append(name)
        folder.write(f"{key}.o", machine_code)
    return _link(key, name, machine_code)


def assembly(ir: str) -> str:
    """The host's assembly for a module's IR text."""
    return str(target_machine().emit_assembly(_parse(ir)))


@cache
def _sources() -> str:
    """What the engine's source files hold."""
    root = Path(engine.__file__).parent
    digest = hashlib.sha256()
    for part in SOURCES:
        for path in sorted((root / part).glob("*.py")):
            digest.update(f"{part}/{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _key(ir: str) -> str:
    return hashlib.sha256(f"{host().key}\n{ir}".encode()).hexdigest()


def _entry(ir: str) -> str:
    """The function that the module defines."""
    line = next(line for line in ir.splitlines() if line.startswith("define "))
    return line.partition("@")[2].partition("(")[0].strip('"')


def _parse(ir: str) -> llvm.ModuleRef:
    machine = target_machine()
    module = llvm.parse_assembly(ir)
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    return module


def _compile(ir: str) -> bytes:
    return bytes(target_machine().emit_object(_parse(ir)))


def _link(key: str, name: str, machine_code: bytes) -> int:
    if key not in _loaded:
        linker = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        linker.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
        linker.finalize_object()
        _engines.append(linker)
        _loaded[key] = int(linker.get_function_address(name))
    return _loaded[key]
