"""The engine as a participant: python -m benchmarks.ours FOLDER engine THREADS [--no-dropout]"""

from __future__ import annotations

from benchmarks.participant import serve, settings
from benchmarks.step import Step
from engine import registry
from engine.codegen import objects

IMPORTED = (objects,)
"""LLVM comes in with this, as the peers import their compilers: before memory is looked at."""


def main() -> None:
    """Take part."""
    chosen = settings()
    for kind in registry.PACKAGES:  # the peers import all their layers, too, before any clock runs
        registry.entries(kind)
    serve(lambda: Step(chosen.problem(), chosen.threads))


if __name__ == "__main__":
    main()
