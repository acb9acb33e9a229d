"""What all processes of a comparison share: a workload, its initial weights, and batches in their order, as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import BATCHES, WORKLOADS, Workload

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Named = dict[str, Any]
"""A layer's variables by their paths within it: `kernel`, or `query/kernel` where a layer holds others."""


@dataclass(frozen=True)
class Problem:
    """`x` is (BATCHES, batch, *shape), `y` (BATCHES, batch); `weights` go by layer and variable.

    `shapes` are the layers' output shapes without the batch, `inputs` the names of what each layer reads.
    """

    workload: Workload
    shapes: dict[str, Shape]
    inputs: dict[str, list[str]]
    weights: dict[str, Named]
    x: Array
    y: Array

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        graph = {"workload": self.workload.name, "shapes": self.shapes, "inputs": self.inputs}
        (folder / "problem.json").write_text(json.dumps(graph))
        flat = {f"{layer}/{name}": data for layer, named in self.weights.items() for name, data in named.items()}
        np.savez(folder / "weights.npz", **flat)
        np.savez(folder / "batches.npz", x=self.x, y=self.y)

    @staticmethod
    def load(folder: Path, *, dropout: bool) -> Problem:
        """Read it; without `dropout` every rate is 0."""
        graph = json.loads((folder / "problem.json").read_text())
        workload = WORKLOADS[graph["workload"]]
        weights: dict[str, Named] = {layer: {} for layer in graph["shapes"]}
        with np.load(folder / "weights.npz") as stored:
            for path in stored.files:
                layer, _, name = path.partition("/")
                weights[layer][name] = stored[path]
        with np.load(folder / "batches.npz") as stored:
            x, y = stored["x"], stored["y"]
        shapes = {layer: tuple(shape) for layer, shape in graph["shapes"].items()}
        return Problem(workload if dropout else workload.without_dropout(), shapes, graph["inputs"], weights, x, y)


def variable(weights: Named, name: str, *words: str) -> Any:
    """The only one of this name whose path has every word in it. Raises KeyError if there is none, or another."""
    found = [path for path in weights if path.rpartition("/")[2] == name
             and all(word in path for word in words)]
    if len(found) != 1:
        raise KeyError(f"expected one {name} of {words}, received {found}")
    return weights[found[0]]


def batches(workload: Workload, seed: int = 0) -> tuple[Array, Array]:
    """Examples that have something to learn: noise around a direction of their class."""
    random = np.random.default_rng(seed)
    count = BATCHES * workload.batch
    labels = random.integers(0, workload.classes, count).astype(np.int32)
    if workload.vocabulary:
        x = random.integers(0, workload.vocabulary, (count, *workload.shape)).astype(np.int32)
        x[:, :: workload.classes] = labels[:, None]
    else:
        directions = random.standard_normal((workload.classes, *workload.shape))
        x = (0.1 * directions[labels] + random.standard_normal((count, *workload.shape))).astype(np.float32)
    return x.reshape(BATCHES, workload.batch, *workload.shape), labels.reshape(BATCHES, workload.batch)
