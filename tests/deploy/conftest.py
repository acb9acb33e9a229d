"""What the Dockerfile installs, once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT, build, parse


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with everything that the image holds of this project."""
    return build(parse((ROOT / "Dockerfile").read_text()), tmp_path_factory.mktemp("image"))
