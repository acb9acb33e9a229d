"""README.md's commands run as they stand, in order, against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent

BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)

BLOCKS_TEXT = "".join(text for _, text in BLOCKS)


def script() -> str:
    """All blocks as one script: a Python block is given to python on standard input."""
    parts = [text if kind == "sh" else f"python - <<'PYTHON_BLOCK'\n{text}PYTHON_BLOCK\n" for kind, text in BLOCKS]
    return "set -eu\n" + "\n".join(f"echo '=== block {number}'\n{part}" for number, part in enumerate(parts, 1))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
@pytest.mark.timeout(180)
def test_the_walk_runs(walk: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    (walk / "scratch").mkdir()
    environment["TMPDIR"] = str(walk / "scratch")
    (walk / "walk.sh").write_text(script())
    done = subprocess.run(["bash", "walk.sh"], cwd=walk, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for expected in (
        '"parameters"',                                  # the dry run
        "epoch 15/15",                                   # the client's view
        "event: done",                                   # the stream
        "('inside', 'outside') [[",                      # the prediction
        "succeeded",                                     # the client
        '"pointer": "/model/layers/0/units"',            # the fault
    ):  # fmt: skip
        assert expected in done.stdout, f"{expected!r} is missing in\n{done.stdout}\n{done.stderr}"
    left = {each.name for each in walk.iterdir()}
    assert left == {"walk.sh", "scratch", "stoker-data"}, f"the walk leaves {left} where it was begun"
    assert done.stdout.count("event: ") <= 3, "hundreds of raw events hide what the reader looks for"
    assert BLOCKS_TEXT.index("stoker watch") < BLOCKS_TEXT.index("text/event-stream")
    accuracy = re.search(r"'test': {'last': {[^}]*'accuracy': ([\d.]+)", done.stdout)
    assert accuracy and float(accuracy[1]) > 0.9, done.stdout


def test_the_walk_has_its_blocks() -> None:
    assert [kind for kind, _ in BLOCKS].count("sh") >= 6 and ("python" in dict(BLOCKS))
