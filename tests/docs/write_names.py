"""Write the guide's table of names anew: `python -m tests.docs.write_names` after something was registered."""

from __future__ import annotations

import re
from pathlib import Path

from engine.catalogue import catalogue

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guide.md"
WORDS = {"transforms": "preprocessing", "augmentations": "augmentation", "formats": "files of data",
         "weights_formats": "files of weights"}  # fmt: skip
"""What the guide calls a group of the catalogue, where it is not the group's own name."""


def table() -> str:
    """The table's lines."""
    lines = ["| what | names |", "| --- | --- |"]
    for group, entries in catalogue().items():
        lines.append(f"| {WORDS.get(group, group)} | {', '.join(f'`{name}`' for name in entries)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = GUIDE.read_text(encoding="utf-8")
    before, _, after = text.partition("## What there is")
    after = re.sub(r"\| what \| names \|\n(\|.*\n)+", lambda _: table(), after, count=1)
    GUIDE.write_text(f"{before}## What there is{after}", encoding="utf-8")
