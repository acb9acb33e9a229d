"""Picture archives: scikit-learn's scanned digits as an image folder, and reading a test split back."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(file: Path) -> int:
    """1,797 scanned digits (8 x 8 grey, from 43 people) as train/LABEL/NUMBER.png, every fifth as test/….

    Returns how many there are.
    """
    digits = load_digits()
    with zipfile.ZipFile(file, "w") as archive:
        for number, (scan, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            picture = io.BytesIO()
            Image.fromarray((scan * 255 / 16).round().astype(np.uint8)).save(picture, "PNG")
            split = "test" if number % 5 == 0 else "train"
            archive.writestr(f"{split}/{label}/{number:04}.png", picture.getvalue())
        return len(digits.images)


def read_test_split(file: Path, classes: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures under test/ as (examples, height, width, channels), and their classes' numbers."""
    pictures, labels = [], []
    with zipfile.ZipFile(file) as archive:
        for name in sorted(name for name in archive.namelist() if name.startswith("test/") and not name.endswith("/")):
            with Image.open(io.BytesIO(archive.read(name))) as picture:
                pictures.append(np.asarray(picture))
            labels.append(classes.index(name.split("/")[1]))
    stacked = np.stack(pictures)
    return (stacked if stacked.ndim == 4 else stacked[..., np.newaxis]), np.array(labels)
