"""Right requests with something changed at random: whatever comes of it, it is never a fault of the server."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.work import job_body, ready_dataset

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 1.5, 1e308, 1e-300, 2**62, "", "a", "x" * 300, "\u202e", "../x", [], {}, [1], [[]],
    [0], [2, 2], [-1, 3], "same", "relu", "Dense", "Adam", "label", ["height"], "image", {"a": 1}, {"type": None},
    {"type": "Dense"}, {"type": "Flatten"}, {"type": "Reshape", "target_shape": [1, 2]}, {"type": "BatchNormalization"},
    {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 10}, {"class_name": "Dense", "config": {}},
]  # fmt: skip
KEYS = [
    "name", "inputs", "outputs", "units", "activation", "kernel_initializer", "trainable", "shape",
    "class_weight", "steps_per_epoch", "seed", "callbacks", "loss_weights", "preprocessing", "augmentation", "split",
    "features", "target", "threads", "max_seconds", "memory_bytes", "keep_last", "monitor", "compile_config", "config",
    "learning_rate", "clipnorm", "type",
]  # fmt: skip

KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "s",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "i"}},
            {"class_name": "Dense", "config": {"units": 4, "activation": "relu", "name": "d"}},
            {"class_name": "Dropout", "config": {"rate": 0.5, "name": "dropout"}},
            {"class_name": "Dense", "config": {"units": 2, "name": "o"}},
        ],
    },
    "compile_config": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
}
GRAPH = {
    "inputs": {"image": {"shape": [8, 8, 3]}},
    "layers": [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "name": "a"},
        {"type": "BatchNormalization", "name": "b"},
        {"type": "Conv2D", "filters": 4, "kernel_size": 1, "name": "c", "inputs": ["image"]},
        {"type": "Add", "inputs": ["b", "c"]},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "units": 10, "kernel_regularizer": {"type": "L2", "l2": 0.01}},
        {"type": "Softmax"},
    ],
}


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything below `document`."""
    entries = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in entries:
        yield (*at, key)
        yield from places(value, (*at, key))


def mutate(document: Any, dice: random.Random) -> Any:
    """A copy with one or two things replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(dice.choice([1, 1, 2])):
        found = list(places(document))
        if not found:
            break
        *above, key = dice.choice(found)
        holder = document
        for step in above:
            holder = holder[step]
        change = dice.random()
        if change < 0.6:
            holder[key] = copy.deepcopy(dice.choice(VALUES))
        elif change < 0.75:
            del holder[key]
        elif isinstance(holder, dict):
            holder[dice.choice(KEYS)] = copy.deepcopy(dice.choice(VALUES))
        else:
            holder.append(copy.deepcopy(dice.choice(VALUES)))
    return document


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_is_a_fault_of_the_server(sqlite_server, seed):
    dice, http = random.Random(seed), sqlite_server.http
    body = job_body(
        ready_dataset(http, sqlite_server.database), checkpoints={"monitor": "val_loss"}, metadata={"a": "b"}
    )
    body["training"]["callbacks"] = [{"type": "EarlyStopping", "monitor": "val_loss"}]
    body["data"]["preprocessing"] = [{"type": "Normalization", "columns": ["height"]}]
    job = http.post("/v1/jobs", json=body)
    assert job.status_code == 201, job.text
    patch = {name: body[name] for name in ("training", "data", "checkpoints", "metadata")}
    requests = [
        ("/v1/jobs", body),
        ("/v1/jobs", {**body, "model": KERAS}),
        (f"/v1/jobs/{job.json()['id']}/clone", patch),
        ("/v1/models/validate", {"model": GRAPH}),
        ("/v1/models", {"model": KERAS}),
    ]
    for path, document in requests * 8:
        sent = mutate(document, dice)
        response = http.post(path, json=sent)
        assert response.status_code < 500, (path, sent)
        if response.status_code == 422:
            assert response.json()["errors"], (path, sent)
