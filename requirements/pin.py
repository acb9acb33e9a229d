"""Writes requirements/*.txt: the full closure of each *.in, at the versions installed beside this interpreter.

    python requirements/pin.py server client demo test build

Pins carry no index address, so any index or folder of wheels serves them. A dependency that only some of the supported
Python versions have (3.11 to 3.13, Linux) is written with its marker.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
PYTHONS = ("3.11.0", "3.11.7", "3.12.1", "3.13.0")


def environments() -> Iterator[dict[str, str]]:
    """The marker environments that a pin has to serve."""
    for full in PYTHONS:
        yield {
            "python_full_version": full,
            "python_version": full.rpartition(".")[0],
            "sys_platform": "linux",
            "platform_system": "Linux",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


def wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Whether any supported Python needs `requirement` of a distribution that is installed with `extras`."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for environment in environments() for extra in extras or {""}
    )


def closure(names: list[str]) -> dict[str, str]:
    """Distribution name -> pin line, for everything that `names` lead to."""
    pins: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(name) for name in names]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if requirement.marker is None:
                raise
            pins.setdefault(name, f"# {name}: needed when {requirement.marker}; pin it by hand in conditional.txt")
            continue
        pins[name] = f"{name}=={distribution.version}"
        children = [Requirement(text) for text in distribution.requires or []]
        queue += [child for child in children if wanted(child, requirement.extras)]
    return pins


def by_hand() -> dict[str, str]:
    """Pins of what this interpreter does not need but another one does: `requirements/conditional.txt`."""
    lines = (HERE / "conditional.txt").read_text().splitlines()
    return {canonicalize_name(Requirement(line).name): line for line in lines if line and not line.startswith("#")}


def main() -> None:
    """Pins each set named on the command line."""
    for name in sys.argv[1:]:
        source = [line for line in (HERE / f"{name}.in").read_text().splitlines() if line and not line.startswith("#")]
        pins = closure(source) | {key: line for key, line in by_hand().items() if key in closure(source)}
        text = f"# Written by requirements/pin.py from {name}.in.\n" + "".join(pins[key] + "\n" for key in sorted(pins))
        (HERE / f"{name}.txt").write_text(text)
        print(f"{name}.txt: {len(pins)} pins")


if __name__ == "__main__":
    main()
