from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from stokerd.main import parser
from tests.deploy.dockerfile import ROOT, Instruction, context_files, copied, ignore_patterns, is_ignored, parse

PACKAGES = ("api", "engine", "migrations", "store", "stokerd", "worker")


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    return parse((ROOT / "Dockerfile").read_text())


def last(instructions: list[Instruction], keyword: str) -> Instruction:
    return [each for each in instructions if each.keyword == keyword][-1]


def test_everything_that_is_copied_is_there_and_reaches_the_builder(instructions: list[Instruction]) -> None:
    sources = [source for source, _ in copied(instructions)]
    assert set(PACKAGES) <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert context_files(source), f"{source} is kept from the builder by .dockerignore"


def test_what_does_not_belong_into_an_image_stays_outside() -> None:
    patterns = ignore_patterns()
    for name in (
        ".git/config",
        ".venv/bin/python",
        "stoker-data/api-key",
        "tests/conftest.py",
        "store/__pycache__/x.pyc",
    ):
        assert is_ignored(name, patterns), name
    assert not is_ignored("migrations/versions/0001_the_first_tables.py", patterns)


def test_only_pins_are_installed(instructions: list[Instruction]) -> None:
    for instruction in instructions:
        if instruction.keyword != "RUN" or "pip install" not in instruction.arguments:
            continue
        words = instruction.words()
        files = [words[index + 1] for index, word in enumerate(words) if word == "-r"]
        assert files or "--no-deps" in words
        for file in files:
            assert (ROOT / file).is_file(), file
            assert file in {source for source, _ in copied(instructions)}


def test_the_image_runs_as_nobody_of_importance(instructions: list[Instruction]) -> None:
    user = last(instructions, "USER")
    assert user.stage == max(each.stage for each in instructions)
    assert user.words() == ["stoker"]
    made = [each for each in instructions if each.keyword == "RUN" and "useradd" in each.arguments]
    assert "--uid 10001" in made[0].arguments


def test_its_commands_are_this_programs(instructions: list[Instruction]) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert last(instructions, "ENTRYPOINT").words()[0] in scripts
    options = parser().parse_args(last(instructions, "CMD").words())
    assert (options.host, str(options.port)) == ("0.0.0.0", last(instructions, "EXPOSE").arguments)
    check = last(instructions, "HEALTHCHECK").arguments
    assert f"127.0.0.1:{options.port}/readyz" in check


def test_shell_lines_are_sound(instructions: list[Instruction]) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    for instruction in instructions:
        if instruction.keyword == "RUN":
            done = subprocess.run([shell, "-n", "-c", instruction.arguments], capture_output=True, text=True)
            assert done.returncode == 0, f"{instruction.arguments}: {done.stderr}"


def test_the_installation_holds_every_module_and_the_command(installed: Path) -> None:
    for package in PACKAGES:
        for source in sorted((ROOT / package).rglob("*.py")):
            name = source.relative_to(ROOT)
            assert (installed / name).is_file(), f"{name} is not packaged"
    assert (installed / "bin" / "stokerd").is_file()
    assert not (installed / "tests").exists()
