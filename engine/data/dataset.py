"""A dataset on disk: its manifest and its columns, memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.npy import Array, open_array
from engine.data.texts import Texts
from engine.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """`columns` are (examples, *shape), read-only; rows are ordered by split. `sha256` names the content."""

    manifest: Mapping[str, Any]
    columns: Mapping[str, Array]
    sha256: str

    @classmethod
    def open(cls, directory: Path, manifest: Mapping[str, Any]) -> Dataset:
        """The dataset whose files are in `directory`. Raises DataError if they are not those of the manifest."""
        files: dict[str, Array] = {}
        texts = {feature.get("texts") for feature in manifest["features"]}
        for file in manifest["files"]:
            path = directory / Path(file["name"]).name
            if not path.is_file() or path.stat().st_size != file["bytes"]:
                raise DataError("dataset_incomplete", f"expected a file of {file['bytes']} bytes", where=file["name"])
            files[file["name"]] = open_array(path, file["name"])
            if file["name"] not in texts and len(files[file["name"]]) != manifest["examples"]:
                raise DataError("dataset_incomplete", f"expected {manifest['examples']} rows, "
                                f"received {len(files[file['name']])}", where=file["name"])
        return cls(manifest, open_columns(manifest["features"], files), content_hash(manifest))


def open_columns(features: list[dict[str, Any]], files: Mapping[str, Array]) -> dict[str, Any]:
    """Every stored column by name, in the features' order."""
    columns: dict[str, Any] = {}
    for feature in features:
        if feature["file"] is not None:
            array = files[feature["file"]]
            column = array if feature["index"] is None else array[:, feature["index"]]
            columns[feature["name"]] = Texts(column, files[feature["texts"]]) if "texts" in feature else column
    return columns


def content_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what training can see of a dataset: columns, splits and the files' own hashes."""
    seen = {key: manifest[key] for key in ("examples", "features", "target", "classes", "splits", "files")}
    return hashlib.sha256(json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
