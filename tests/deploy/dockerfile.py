"""Reading the Dockerfile, and building what it builds without a container engine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction: `arguments` is its text with continued lines joined."""

    stage: int
    keyword: str
    arguments: str

    def words(self) -> list[str]:
        """The arguments as words: those of the JSON form, or split as a shell does."""
        text = self.arguments
        return list(json.loads(text)) if text.startswith("[") else shlex.split(text)


def parse(text: str) -> list[Instruction]:
    """All instructions, with the number of their stage, counted from 0."""
    found: list[Instruction] = []
    stage, pending = -1, ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pending += line.strip().removesuffix("\\").strip() + " "
        if line.rstrip().endswith("\\"):
            continue
        keyword, _, arguments = pending.strip().partition(" ")
        stage += keyword == "FROM"
        found.append(Instruction(stage, keyword, arguments.strip()))
        pending = ""
    return found


def copied(instructions: list[Instruction]) -> list[tuple[str, str]]:
    """(source in the build context, target) of every COPY that is not from another stage."""
    pairs = []
    for instruction in instructions:
        words = instruction.words() if instruction.keyword == "COPY" else []
        if words and not words[0].startswith("--from"):
            pairs += [(source, words[-1]) for source in words[:-1]]
    return pairs


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps a file from the builder: the last pattern that matches it or a parent decides."""
    parts = path.split("/")
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        anywhere = wanted.removeprefix("**/") if wanted.startswith("**/") else None
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        if any(fnmatch(prefix, wanted) for prefix in prefixes) or (
            anywhere and any(fnmatch(p, anywhere) for p in parts)
        ):
            ignored = not pattern.startswith("!")
    return ignored


def ignore_patterns() -> list[str]:
    """The lines of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def context_files(source: str) -> list[str]:
    """The files of the build context under `source`, relative to the repository."""
    path = ROOT / source
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    patterns = ignore_patterns()
    names = [str(file.relative_to(ROOT)) for file in files]
    return [name for name in names if not is_ignored(name, patterns)]


def build(instructions: list[Instruction], directory: Path) -> Path:
    """Do what the first stage does after its pins: copy, and install; the folder with what was installed.

    The pins themselves are those of this environment already.
    """
    context, installed = directory / "src", directory / "installed"
    for source, target in copied([each for each in instructions if each.stage == 0]):
        for name in context_files(source):
            inside = Path(name).relative_to(source) if (ROOT / source).is_dir() else Path(name).name
            copy = context / target / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
    [install] = [
        each for each in instructions if each.keyword == "RUN" and each.arguments.endswith("--no-build-isolation .")
    ]
    words = install.words()
    assert words[:2] == ["/opt/stoker/bin/pip", "install"]
    command = [sys.executable, "-m", "pip", *words[1:], "--target", str(installed), "--quiet"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(command, cwd=context, env=environment, check=True, timeout=120)
    return installed
