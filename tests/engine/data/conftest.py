from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import Dataset, ingest


@pytest.fixture
def take(tmp_path) -> Callable[..., Dataset]:
    """Ingest bytes as an uploaded file and open the dataset; the manifest goes through JSON as it does in the store."""
    count = 0

    def run(content: bytes | str, filename: str, *, format: str | None = None, **options: object) -> Dataset:
        nonlocal count
        count += 1
        source, output = tmp_path / f"upload-{count}", tmp_path / f"dataset-{count}"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        output.mkdir()
        manifest = ingest(source, output, format=format, options=options, filename=filename)
        return Dataset.open(output, json.loads(json.dumps(manifest, allow_nan=False)))

    return run


def picture(shape: tuple[int, ...] = (4, 4, 3), kind: str = "PNG", value: int = 100, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full(shape, value, np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def saved(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


@pytest.fixture
def shared_cifar() -> Path:
    """CIFAR-10 as JPEGs, which is not part of the repository."""
    root = os.environ.get("STOKER_SHARED")
    folder = Path(root) if root else Path(__file__).resolve().parents[4] / "shared"
    path = folder / "data" / "cifar10-jpeg.zip"
    if not path.is_file():
        pytest.skip("cifar10-jpeg.zip is not there: set STOKER_SHARED to the folder that has data/cifar10-jpeg.zip")
    return path
