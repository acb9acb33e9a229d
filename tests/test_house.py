"""Rules of the whole repository: lint, types, the arrows between parts, pins, and what must not be in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent
PINNED = sorted(path for path in (ROOT / "requirements").glob("*.txt"))
OLDEST = (3, 11)
SERVER = ["api", "engine", "worker", "store", "stokerd", "migrations"]


def run(*command: str | Path) -> None:
    """Fails with the tool's own words."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "client")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def tracked() -> list[Path]:
    """The repository's files; what git ignores is not among them."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_ruff_has_nothing_to_say() -> None:
    run(TOOLS / "ruff", "check", "--no-cache", ".")


@pytest.mark.timeout(300)
def test_mypy_strict_has_nothing_to_say() -> None:
    run(TOOLS / "mypy")


@pytest.mark.timeout(300)
def test_the_arrows_that_never_are() -> None:
    run(TOOLS / "lint-imports", "--no-cache")


# Written in pieces so that this file does not hold them.
FORBIDDEN = [
    *(host + end for host in ("pypi.", "pythonhosted.", "npmjs.", "yarnpkg.") for end in ("org", "com")),
    *(f"--{flag}-url" for flag in ("index", "extra-index")),
    *(f"/{home}/" for home in ("home", "root", "Users")),
    "/" + "work/",
]


def test_no_file_names_a_package_index_or_somebodys_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an archive
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {word}" for word in FORBIDDEN if _holds(line, word)]
    assert not found, "\n".join(found)


def _holds(line: str, word: str) -> bool:
    """Whether `word` is there; a path only where it begins: the middle of `docs/home/x` names no machine."""
    return re.search(rf"(?<![\w.\])}}]){re.escape(word)}", line) is not None if word.startswith("/") else word in line


@pytest.mark.parametrize("file", PINNED, ids=lambda file: file.name)
def test_requirements_are_exact_pins_and_nothing_else(file: Path) -> None:
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            assert requirement.url is None and re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), line


def pins(name: str) -> dict[str, str]:
    """Canonical name -> version of a pinned set."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in parsed}


def test_sets_installed_together_agree() -> None:
    chosen: dict[str, str] = {}
    for name in ("build", "server", "client", "demo", "test"):
        for package, version in pins(name).items():
            assert chosen.setdefault(package, version) == version, f"{package} in {name}.txt"


@pytest.mark.parametrize(("project", "name"), [("pyproject.toml", "server"), ("client/pyproject.toml", "client")])
def test_every_dependency_of_a_distribution_is_pinned(project: str, name: str) -> None:
    declared = tomllib.loads((ROOT / project).read_text())["project"]["dependencies"]
    for requirement in map(Requirement, declared):
        version = pins(name)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, pinned {version}"


def sources() -> list[Path]:
    """The Python files of the repository."""
    return [path for path in tracked() if path.suffix == ".py"]


def test_the_oldest_supported_python_can_read_every_file() -> None:
    for path in sources():
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST)


@pytest.mark.parametrize(("project", "folders"), [("pyproject.toml", SERVER), ("client/pyproject.toml", ["client"])])
def test_only_declared_distributions_are_imported(project: str, folders: list[str]) -> None:
    """A module that only happens to be installed here is missing elsewhere."""
    declared = tomllib.loads((ROOT / project).read_text())["project"]["dependencies"]
    names = {canonicalize_name(Requirement(each).name) for each in declared}
    own = SERVER if folders == SERVER else ["stoker"]
    providers = packages_distributions()
    for path in sources():
        if path.relative_to(ROOT).parts[0] not in folders:
            continue
        for module in _imported(path) - set(own) - sys.stdlib_module_names:
            found = {canonicalize_name(name) for name in providers.get(module, ())}
            assert found & names, f"{path.relative_to(ROOT)} imports {module}, which {project} does not declare"


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_no_source_file_puts_its_work_off() -> None:
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert not found, "\n".join(found)


def test_make_alone_lists_every_target_with_its_help() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    for target in ("install", "demo", "test", "fuzz", "serve", "lint", "types", "parity"):
        assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE), target
