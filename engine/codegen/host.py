"""What the processor offers: vector lanes, registers, and the register tiles that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import llvmlite.binding as llvm

from engine import ENGINE_VERSION
from engine.environment import kernel_lanes

NEON_ACCUMULATORS = 24
"""More of them, and LLVM keeps some on the stack."""


@dataclass(frozen=True)
class Host:
    """`lanes` is the number of float32 in a vector register, `registers` how many of them there are."""

    cpu: str
    features: str
    lanes: int
    registers: int

    def rows(self, vectors: int, *, masked: bool = False) -> int:
        """The most rows of a register tile `vectors` wide: accumulators, the operand and one broadcast must fit.

        So must the mask, if there is one, unless masks have registers of their own as in AVX-512.

        NEON has no multiplication by a number in memory and keeps several broadcasts in registers.
        """
        accumulators = self.registers - vectors - (2 if masked and self.lanes < 16 else 1)
        if (self.lanes, self.registers) == (4, 32):
            accumulators = min(accumulators, NEON_ACCUMULATORS)
        return max(1, accumulators // vectors)

    @cached_property
    def key(self) -> str:
        """Whatever compiled code depends on, for cache keys."""
        version = ".".join(map(str, llvm.llvm_version_info))
        return f"{ENGINE_VERSION} {version} {self.cpu} {self.features} {self.lanes}"


def host() -> Host:
    """The processor this process runs on. `STOKER_KERNEL_LANES` (16, 8 or 4) narrows the vectors that are used."""
    return _host(kernel_lanes())


@cache
def _host(narrowed: int | None) -> Host:
    present = llvm.get_host_cpu_features()
    if present.get("avx512f") and present.get("avx512vl"):
        lanes, registers = 16, 32
    elif present.get("avx2") and present.get("fma"):
        lanes, registers = 8, 16
    elif present.get("neon") or present.get("asimd"):
        lanes, registers = 4, 32
    else:
        lanes, registers = 4, 16
    wanted = narrowed or lanes
    features = present
    if wanted < lanes:
        lanes, registers = wanted, 16
        features = {name: on and not name.startswith("avx512") for name, on in present.items()}
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    return Host(llvm.get_host_cpu_name(), flags, lanes, registers)


def target_machine() -> llvm.TargetMachine:
    """LLVM's target for this host; set up on first use, after any fork."""
    return _target_machine(host())


@cache
def _target_machine(here: Host) -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=here.cpu, features=here.features, opt=3, jit=True
    )
