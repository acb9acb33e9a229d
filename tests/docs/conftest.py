"""Where the pages' commands run."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_server import LocalServer


@pytest.fixture
def walk(service: LocalServer, tmp_path: Path) -> Path:
    """A folder as `make serve` leaves it: a running server has its data in ./stoker-data."""
    (tmp_path / "stoker-data").symlink_to(service.data_dir, target_is_directory=True)
    return tmp_path
