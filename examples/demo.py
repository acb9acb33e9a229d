"""Real pictures through the whole service: upload, train, follow, download, and check the weights. `make demo` runs it.

python examples/demo.py                              # scikit-learn's 1,797 scanned digits
python examples/demo.py --data cifar10-jpeg.zip      # CIFAR-10 as train/CLASS/*.jpg and test/CLASS/*.jpg
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from local_server import LocalServer
from numpy.typing import NDArray
from pictures import read_test_split, write_digits

import engine
import stoker
from stoker.commands.datasets import upload
from stoker.commands.watch import follow

DIGITS: dict[str, Any] = {
    "name": "digits-cnn",
    "model": {
        "inputs": {"image": {"shape": [8, 8, 1]}},
        "layers": [
            {"type": "Conv2D", "filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"},
            {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
            {"type": "Dropout", "rate": 0.25},
            {"type": "Dense", "units": 64, "activation": "relu"},
            {"type": "Dense", "units": 10},
        ],
    },
    "data": {
        "features": ["image"],
        "target": "label",
        "split": {"validation": 0.1, "stratify": True},
        "preprocessing": [{"type": "Rescaling", "scale": 1 / 255}],
    },
    "training": {
        "epochs": 15,
        "batch_size": 32,
        "optimizer": {"type": "Adam", "learning_rate": 0.001},
        "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
        "metrics": ["accuracy"],
        "seed": 0,
    },
}

CIFAR10: dict[str, Any] = {
    "name": "cifar-cnn",
    "model": {
        "inputs": {"image": {"shape": [32, 32, 3]}},
        "layers": [
            {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
            {"type": "Dense", "units": 64, "activation": "relu"},
            {"type": "Dropout", "rate": 0.5},
            {"type": "Dense", "units": 10},
        ],
    },
    "data": DIGITS["data"] | {"split": {"validation": 0.2, "stratify": True}},
    "training": DIGITS["training"] | {"epochs": 10},
}


def main() -> int:
    """0 when the test accuracy is what it should be and the weights reproduce it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="an image-folder archive to run the CIFAR-10 job on")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    job, wanted = (DIGITS, 0.97) if chosen.data is None else (CIFAR10, 0.625)
    job["training"]["seed"] = chosen.seed
    with tempfile.TemporaryDirectory(prefix="stoker-demo-") as scratch, LocalServer() as server:
        print(f"server    {server.url}")
        data = chosen.data or Path(scratch, "digits.zip")
        if chosen.data is None:
            print(f"data      {write_digits(data):,} scanned digits as PNG files")
        with stoker.Client(server.url, data_dir=server.data_dir) as client:
            return run(client, job, data, Path(scratch, "weights.safetensors"), wanted)


def run(client: stoker.Client, document: dict[str, Any], data: Path, weights: Path, wanted: float) -> int:
    """Trains over HTTP, then judges the downloaded file by itself."""
    started = time.perf_counter()
    dataset = upload(client, data)
    print(f"dataset   {dataset.id}: {dataset.examples:,} examples, read in {time.perf_counter() - started:.1f} s")
    job = client.jobs.create(document | {"dataset": dataset.id})
    print(f"job       {job.id}", flush=True)
    if follow(client, job.id) != 0:
        return 1
    job = client.jobs.get(job.id)
    if job.started_at and job.finished_at:
        print(f"training  {(job.finished_at - job.started_at).total_seconds():.1f} s")

    client.jobs.weights(job.id, weights)
    images, labels = read_test_split(data, dataset.classes or [])
    logits = engine.load(weights).predict(images)
    here = {"accuracy": accuracy(logits, labels), "loss": loss(logits, labels)}
    there = job.test["last"]
    print(f"weights   {weights.stat().st_size:,} bytes")
    print(f"test      accuracy {there['accuracy']:.4f} on the server, {here['accuracy']:.4f} from the downloaded file")
    print(f"          loss     {there['loss']:.6f} on the server, {here['loss']:.6f} from the downloaded file")
    if abs(here["accuracy"] - there["accuracy"]) > 1e-6 or not np.isclose(here["loss"], there["loss"], rtol=1e-4):
        print("the downloaded weights do not reproduce the server's predictions", file=sys.stderr)
        return 1
    if there["accuracy"] < wanted:
        print(f"expected a test accuracy of at least {wanted}", file=sys.stderr)
        return 1
    return 0


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The share of examples whose greatest logit is their class's."""
    return float((logits.argmax(axis=1) == labels).mean())


def loss(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean cross-entropy, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())


if __name__ == "__main__":
    sys.exit(main())
