"""Weights in and out. A weights file carries its definition, so that it is enough to predict with."""

from __future__ import annotations

from pathlib import Path

from engine import registry
from engine.errors import WeightsError, nearest, show
from engine.formats.base import Tensors, WeightsFile, WeightsFormat
from engine.formats.match import match
from engine.formats.metadata import FORMAT_VERSION, Metadata

__all__ = ["FORMAT_VERSION", "Metadata", "Tensors", "WeightsFile", "WeightsFormat", "export_weights", "format_of",
           "match", "read", "weights_format"]

# What the beginning of a file says about it, for the sentence that refuses it.
_FOREIGN = {b"\x80": "a pickle, which is never read", b"\x1f\x8b": "a gzip file",
            b"BZh": "a bzip2 file", b"\x93NUMPY": "a single .npy array", b"<": "markup", b"%PDF": "a PDF"}
_START_BYTES = 64


def weights_format(name: str) -> WeightsFormat:
    """The registered format of this name; WeightsError lists those there are."""
    cls = registry.lookup("weights_format", name)
    if cls is None:
        known = list(registry.entries("weights_format"))
        raise WeightsError(f"expected a format among {', '.join(known)}, received {show(name)}{nearest(name, known)}")
    found: WeightsFormat = cls()
    return found


def read(path: Path) -> WeightsFile:
    """A weights file of any registered format, told by its content. Raises WeightsError."""
    return weights_format(format_of(path)).read(path)


def format_of(path: Path) -> str:
    """The name of the registered format that a file's beginning tells. Raises WeightsError."""
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    for name, cls in registry.entries("weights_format").items():
        known: WeightsFormat = cls()
        if known.recognises(start):
            return name
    foreign = next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), "something else")
    raise WeightsError(f"expected a weights file ({', '.join(registry.entries('weights_format'))}), "
                       f"received {foreign if start else 'an empty file'}")


def export_weights(weights_file: Path, format: str, output: Path, *, layout: str = "keras",
                   preprocessing: bool = False) -> None:
    """Write a weights file's tensors and metadata to `output` in another format; the same bytes every time.

    `layout` is of names and tensors: keras or torch, the latter in formats that hold any tensors. `preprocessing` goes
    into formats that hold computations.
    """
    target = weights_format(format)
    if preprocessing:
        target = target.with_preprocessing()
    content = read(weights_file)
    if content.metadata is None:
        raise WeightsError("expected a weights file with Stoker's metadata, received one without")
    if layout not in ("keras", "torch"):
        raise WeightsError(f"expected the layout keras or torch, received {show(layout)}")
    if layout == "torch" and target.whole_model:
        raise WeightsError(f"layout torch: expected the format safetensors or npz, received {format}")
    tensors = content.tensors
    if content.numbered or layout == "torch":
        # Imported here: definitions are more than reading a file needs.
        from engine.definition.model import parse_model
        from engine.formats.torch_layout import torch_tensors
        from engine.graph.build import forward_graph

        model = parse_model(content.metadata.definition, "")
        tensors = content.named(variable.name for variable in forward_graph(model)[1].variables)
        if layout == "torch":
            tensors = torch_tensors(model, tensors)
    target.write(output, tensors, content.metadata)
