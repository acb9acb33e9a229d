"""The two distributions that pip builds hold every file of their packages, and what they need to be told."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVER = ("api", "engine", "worker", "store", "stokerd", "migrations")


def files(*folders: Path) -> set[str]:
    """The files of packages, by their place in a wheel."""
    return {
        str(file.relative_to(folder.parent))
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".md"
    }


def wheel(source: Path, output: Path) -> zipfile.ZipFile:
    """Builds without the network: setuptools is pinned beside pip."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(output)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    done = subprocess.run(command, cwd=output, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    [made] = output.glob("*.whl")
    return zipfile.ZipFile(made)


def entry_points(made: zipfile.ZipFile) -> str:
    """What commands a wheel installs."""
    [name] = [name for name in made.namelist() if name.endswith("/entry_points.txt")]
    return made.read(name).decode()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where the wheel goes."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_the_server_s_distribution_is_whole(tmp_path: Path, output: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in SERVER:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    with wheel(source, output) as made:
        held = {name for name in made.namelist() if ".dist-info/" not in name}
        assert held == files(*(ROOT / name for name in SERVER))
        assert "stokerd = stokerd.main:main" in entry_points(made)


def test_the_client_s_distribution_is_whole(tmp_path: Path, output: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "client", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    with wheel(source, output) as made:
        held = {name for name in made.namelist() if ".dist-info/" not in name}
        assert held == files(ROOT / "client" / "stoker")
        assert "stoker = stoker.commands.main:main" in entry_points(made)
