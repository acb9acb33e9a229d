"""Keras's answers, as generate.py wrote them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "figures"


@cache
def figures(part: str) -> dict[str, Any]:
    """The answers of figures/<part>.json by the case's name."""
    answers: dict[str, Any] = json.loads((FOLDER / f"{part}.json").read_text(encoding="utf-8"))["cases"]
    return answers


def array(figure: dict[str, Any]) -> np.ndarray:
    """A figure as an array."""
    return np.array(figure["values"]).reshape(figure["shape"])
