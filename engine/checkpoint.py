"""Checkpoints: everything that training needs to go on as if it had never stopped.

Two files. `weights.safetensors` is a complete weights file, the one that is downloaded; `state.safetensors` holds:

    slots/<slot>                        the optimizer's slots
    sums/<metric>                       partial sums of the epoch under way, float64
    remembered/<whose>/<variable>       copies of weights: of the callback at that place, or of the best epoch ("best")
    document                            JSON as bytes: step, epoch, cursor, callbacks, history, and where it comes from

and names the weights file it belongs to by SHA-256, so that files of two moments are never combined.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine import formats
from engine.errors import WeightsError, show
from engine.formats import Metadata, Tensors
from engine.formats.documents import canonical
from engine.formats.safetensors import read_tensors, write_tensors
from engine.progress import CheckpointFiles

STATE_VERSION = 1
WEIGHTS_NAME, STATE_NAME = "weights.safetensors", "state.safetensors"
_DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a checkpoint comes from. Resuming asks for the same; only threads and CPU may differ."""

    spec_sha256: str
    dataset_sha256: str
    engine_version: str
    threads: int
    cpu: str
    state_version: int = STATE_VERSION


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What a resume needs beside the weights. Random numbers need no state: they are functions of seed and place."""

    step: int
    """Optimizer updates done."""
    epoch: int
    """Epochs finished."""
    batch: int
    """Batches done of the epoch under way."""
    seed: int
    """The seed of shuffling, dropout and augmentation."""
    learning_rate: float | None
    """The learning rate that a callback has set, or None: as the optimizer's options say."""
    elapsed_seconds: float
    """Time in training, over all attempts."""
    stopped: bool = False
    """A callback has ended training; only the last evaluation is left to do."""
    slots: Tensors = field(default_factory=dict)
    sums: Tensors = field(default_factory=dict)
    remembered: Mapping[str, Tensors] = field(default_factory=dict)
    callbacks: tuple[Mapping[str, Any], ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    best: Mapping[str, Any] | None = None
    """Epoch, step and value of the best epoch by `checkpoints.monitor`."""


_TENSOR_FIELDS = ("slots", "sums", "remembered")
_PLAIN_FIELDS = tuple(item.name for item in dataclasses.fields(TrainingState) if item.name not in _TENSOR_FIELDS)


@dataclass(frozen=True)
class Restored:
    """A checkpoint as read. Tensors are read-only and memory-mapped; `warnings` say what may change the bits."""

    weights: Tensors
    metadata: Metadata
    state: TrainingState
    warnings: tuple[str, ...]


def write(folder: Path, weights: Tensors, metadata: Metadata, state: TrainingState, origin: Origin) -> CheckpointFiles:
    """Write both files into an existing folder, each whole or not at all; the state last: with it, all is there."""
    files = CheckpointFiles(folder / WEIGHTS_NAME, folder / STATE_NAME)
    formats.weights_format("safetensors").write(files.weights, weights, metadata)
    groups = {"slots": state.slots, "sums": state.sums,
              **{f"remembered/{whose}": tensors for whose, tensors in state.remembered.items()}}
    tensors = {f"{group}/{name}": tensor for group, members in groups.items() for name, tensor in members.items()}
    plain = {name: getattr(state, name) for name in _PLAIN_FIELDS}
    document = {"origin": dataclasses.asdict(origin), "weights_sha256": sha256(files.weights), "state": plain,
                "remembered": sorted(state.remembered)}
    # NaN and infinity are values that a loss may have had: unlike in the metadata, they must come back as they were.
    encoded = json.dumps(document, separators=(",", ":")).encode()
    write_tensors(files.state, {**tensors, _DOCUMENT: np.frombuffer(encoded, np.uint8)}, {})
    return files


def read(files: CheckpointFiles, origin: Origin) -> Restored:
    """Both files, checked against each other and against where training is about to go on.

    Raises WeightsError for a damaged file, and for another spec, dataset, engine or format: expected and received.
    """
    tensors, _ = read_tensors(files.state)
    document = _document(tensors)
    received = document["origin"]
    for name, what in (("state_version", "the checkpoint format"), ("engine_version", "the engine version"),
                       ("spec_sha256", "the job's definition"), ("dataset_sha256", "the dataset")):
        if received.get(name) != getattr(origin, name):
            raise WeightsError(f"the checkpoint does not belong to this training: {what}: expected "
                               f"{getattr(origin, name)}, received {show(received.get(name), 80)}")
    if (digest := sha256(files.weights)) != document["weights_sha256"]:
        raise WeightsError(f"the checkpoint's two files do not belong together: expected weights of SHA-256 "
                           f"{show(document['weights_sha256'], 80)}, received {digest}")
    weights = formats.read(files.weights)
    if weights.metadata is None:
        raise WeightsError("expected a weights file with Stoker's metadata, received one without")
    return Restored(weights.tensors, weights.metadata, _state(tensors, document), _warnings(received, origin))


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """The fingerprint of a job's definition: equal for equal JSON, whatever the order of keys."""
    return hashlib.sha256(canonical(dict(spec)).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def cpu() -> str:
    """The kind of processor: bits are promised for one instruction set only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.machine()} {model or platform.processor()}".strip()


def _document(tensors: Tensors) -> dict[str, Any]:
    if _DOCUMENT not in tensors or tensors[_DOCUMENT].dtype != np.uint8:
        raise WeightsError("expected a checkpoint's state, received a file without its document")
    try:
        document = json.loads(tensors[_DOCUMENT].tobytes())
    except (ValueError, RecursionError):
        raise WeightsError("the checkpoint's document is not JSON") from None
    shape = {"origin": dict, "weights_sha256": str, "state": dict, "remembered": list}
    good = (isinstance(document, dict) and set(document) == set(shape)
            and all(isinstance(document[name], kind) for name, kind in shape.items()))
    if not good:
        raise WeightsError(f"the checkpoint's document: expected {', '.join(shape)}, received {show(document)}")
    checked: dict[str, Any] = document
    return checked


def _state(tensors: Tensors, document: Mapping[str, Any]) -> TrainingState:
    plain = dict(document["state"])
    if set(plain) != set(_PLAIN_FIELDS):
        raise WeightsError(f"the checkpoint's state: expected {', '.join(sorted(_PLAIN_FIELDS))}, "
                           f"received {show(', '.join(sorted(plain)), 200)}")
    for name in ("callbacks", "history"):
        plain[name] = tuple(plain[name])
    return TrainingState(**plain, slots=_group(tensors, "slots"), sums=_group(tensors, "sums"),
                         remembered={whose: _group(tensors, f"remembered/{whose}") for whose in document["remembered"]})


def _group(tensors: Tensors, group: str) -> Tensors:
    prefix = f"{group}/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _warnings(received: Mapping[str, Any], origin: Origin) -> tuple[str, ...]:
    if received.get("cpu") == origin.cpu:
        return ()
    return (f"the checkpoint was written on another kind of processor ({show(received.get('cpu'))}, here "
            f"{show(origin.cpu)}): results may differ in their last bits",)
