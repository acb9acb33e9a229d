"""The JSON document that makes a weights file enough to predict with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import WeightsError, show
from engine.formats import documents

KEY = "stoker"
"""Under this key a format keeps the document."""

FORMAT_VERSION = 1
"""Grows when the document or the names of tensors change their meaning."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Definition of the model, fitted preprocessing, names of the classes, and the values these weights reached."""

    definition: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    classes: tuple[Any, ...] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    engine_version: str
    format_version: int = FORMAT_VERSION

    def to_text(self) -> str:
        """JSON; metadata with the same entries in the same order give the same text."""
        return documents.compact({item.name: getattr(self, item.name) for item in dataclasses.fields(self)})

    @classmethod
    def from_text(cls, text: str | bytes) -> Metadata:
        """Raises WeightsError for anything that `to_text` does not write."""
        document = documents.parse(text, "metadata")
        names = [item.name for item in dataclasses.fields(cls)]
        if not isinstance(document, dict):
            raise WeightsError(f"metadata: expected an object, received {show(document)}")
        version = document.get("format_version")
        if isinstance(version, bool) or version != FORMAT_VERSION:
            raise WeightsError(f"metadata: expected format_version {FORMAT_VERSION}, received {show(version)}")
        if set(document) != set(names):
            raise WeightsError(f"metadata: expected {', '.join(sorted(names))}, "
                               f"received {show(', '.join(sorted(document)), 200)}")
        for name, kinds in (("definition", dict), ("preprocessing", dict), ("metrics", dict), ("engine_version", str),
                            ("classes", (list, type(None)))):
            if not isinstance(document[name], kinds):
                raise WeightsError(f"metadata: {name}: received {show(document[name])}")
        classes = document["classes"]
        return cls(**{**document, "classes": None if classes is None else tuple(classes)})
