"""LLVM IR to machine code: compiled once a machine, kept in a content-addressed directory, loaded into this process.

Many processes may share the directory: files are written under another name and renamed. A directory that cannot be
written costs a compilation, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import llvmlite.binding as llvm

from engine.codegen.host import host, target_machine

Given = ParamSpec("Given")
Made = TypeVar("Made")

_loaded: dict[str, int] = {}
_engines: list[llvm.ExecutionEngine] = []
"""Execution engines own the loaded code, so they live as long as the process."""


def cache_directory() -> Path | None:
    """`STOKER_KERNEL_CACHE`, or `stoker/kernels` in the user's cache directory; None for a user without a home."""
    given = os.environ.get("STOKER_KERNEL_CACHE")
    if given:
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(caches or Path.home() / ".cache") / "stoker" / "kernels"
    except RuntimeError:
        return None


def load(name: str, ir: str) -> int:
    """The address of function `name` of a module's IR text."""
    key = hashlib.sha256(f"{host().key}\n{ir}".encode()).hexdigest()
    if key not in _loaded:
        machine_code = _read(key)
        if machine_code is None:
            machine_code = _compile(ir)
            _write(key, machine_code)
        _loaded[key] = _link(name, machine_code)
    return _loaded[key]


def remembered(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """As functools.cache, but by what the arguments look like: 0.0 and -0.0 are equal, and make other code."""
    known: dict[str, Made] = {}

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        key = repr((args, kwargs))
        if key not in known:
            known[key] = function(*args, **kwargs)
        return known[key]

    return call


def assembly(ir: str) -> str:
    """The host's assembly for a module's IR text."""
    return str(target_machine().emit_assembly(_parse(ir)))


def _parse(ir: str) -> llvm.ModuleRef:
    machine = target_machine()
    module = llvm.parse_assembly(ir)
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    module.verify()
    return module


def _compile(ir: str) -> bytes:
    return bytes(target_machine().emit_object(_parse(ir)))


def _link(name: str, machine_code: bytes) -> int:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(name))


def _read(key: str) -> bytes | None:
    directory = cache_directory()
    if directory is None:
        return None
    try:
        stored = (directory / f"{key}.o").read_bytes()
    except OSError:
        return None
    digest, machine_code = stored[:32], stored[32:]
    return machine_code if hashlib.sha256(machine_code).digest() == digest else None


def _write(key: str, machine_code: bytes) -> None:
    directory = cache_directory()
    if directory is None:
        return
    part = directory / f".{key}.{secrets.token_hex(6)}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(hashlib.sha256(machine_code).digest() + machine_code)
            part.replace(directory / f"{key}.o")
        finally:  # a full disk leaves no part behind
            part.unlink(missing_ok=True)
    except OSError:
        return
