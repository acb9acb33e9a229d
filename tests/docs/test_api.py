"""docs/api.md has a heading for every route, and no heading without one."""

from __future__ import annotations

import re
from pathlib import Path

from api.app import create_app
from store.settings import Settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "api.md"


def test_every_route_has_its_heading_and_every_heading_its_route(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    served = {
        (method.upper(), anonymous(path)) for path, methods in app.openapi()["paths"].items() for method in methods
    }
    told = {(method, anonymous(path)) for method, path in re.findall(r"^### ([A-Z]+) (/\S+)$", PAGE.read_text(), re.M)}
    assert told == served


def anonymous(path: str) -> str:
    """A path whose parameters have no names: the page says {id} where the code says {job_id}."""
    return re.sub(r"{\w+}", "{}", path)
