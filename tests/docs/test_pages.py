"""Links between the pages lead somewhere, and every decision is in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.catalogue import catalogue

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "client" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        reached = (page.parent / file).resolve() if file else page
        assert reached.exists(), f"{target} in {page.name}"
        assert not fragment or fragment in anchors(reached), f"{target} in {page.name}"


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for decision in folder.glob("[0-9]*.md"):
        title = decision.read_text(encoding="utf-8").splitlines()[0]
        match = re.fullmatch(r"# (\d+)\. (.+)", title)
        assert match and int(match[1]) == int(decision.name[:4]), f"{decision.name} begins with {title!r}"
        assert f"({decision.name})" in index, f"{decision.name} is not in docs/decisions/README.md"


def test_the_changelog_promises_no_more_than_there_is() -> None:
    """Its counts are of the day when they were written: since then there may be more, never less."""
    text = " ".join((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split())
    names = {"losses": "losses", "layers": "layers", "metrics": "metrics", "optimizers": "optimizers",
             "schedules": "learning rate schedules"}  # fmt: skip
    for group, words in names.items():
        told = [int(count) for count in re.findall(rf"(\d+) {words}", text)]
        assert told and max(told) <= len(catalogue()[group])
