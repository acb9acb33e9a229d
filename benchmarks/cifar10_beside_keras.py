"""The CIFAR-10 job through the service and Keras's fit() on the same pictures and rows, in turn, in one run.

.venv/bin/python benchmarks/cifar10_beside_keras.py cifar10-jpeg.zip --peer .venv-peers/bin/python --seeds 0 1 2

Ours is the job's whole time in the worker, from its start to its end: loading, compiling, training, validation,
checkpoints, test. Keras's is `fit` alone, with validation, on pictures that lie decoded in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from demo import CIFAR10
from local_server import LocalServer

import stoker
from engine.data import Dataset, columns, prepare
from engine.data.ingest import ingest
from stoker.commands.datasets import upload
from stoker.commands.watch import follow


def main() -> int:
    """Print a line for each run and the ratio of the sums."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, help="CIFAR-10 as an image-folder archive")
    options.add_argument("--peer", default=".venv-peers/bin/python", help="the interpreter that has Keras")
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--epochs", type=int, default=10)
    chosen = options.parse_args()
    threads = os.cpu_count() or 1
    results: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as scratch, LocalServer() as server:
        folder = Path(scratch)
        write_rows(chosen.data, folder)
        with stoker.Client(server.url, data_dir=server.data_dir) as client:
            dataset = upload(client, chosen.data)
            for seed in chosen.seeds:
                ours, accuracy = train(client, dataset.id, seed, chosen.epochs)
                peer = keras(chosen.peer, folder, seed, chosen.epochs, threads)
                results.append((ours, peer["seconds"]))
                print(f"cifar10 seed {seed}  ours {ours:.1f} s, test accuracy {accuracy:.4f}  "
                      f"keras {peer['keras']} {peer['seconds']:.1f} s, {peer['accuracy']:.4f}  "
                      f"ratio {peer['seconds'] / ours:.2f}", flush=True)
    print(f"cifar10 ratio of sums {sum(peer for _, peer in results) / sum(ours for ours, _ in results):.2f}")
    return 0


def write_rows(archive: Path, folder: Path) -> None:
    """The decoded pictures and the rows of each split, as the job divides them."""
    manifest = ingest(
        archive, folder, format=None, options={}, filename=archive.name, progress=lambda done, total: None
    )
    dataset = Dataset.open(folder, manifest)
    prepared = prepare(dataset, columns.resolve(CIFAR10["data"], manifest, "/data", "classes"), seed=0)
    for name, rows in prepared.splits.items():
        np.save(folder / f"{name}.npy", rows)
    for name in ("image", "label"):
        if not (folder / f"{name}.npy").exists():
            np.save(folder / f"{name}.npy", dataset.columns[name])


def train(client: stoker.Client, dataset: str, seed: int, epochs: int) -> tuple[float, float]:
    """Seconds and test accuracy of one job."""
    document = CIFAR10 | {"dataset": dataset, "training": CIFAR10["training"] | {"seed": seed, "epochs": epochs}}
    job = client.jobs.create(document)
    if follow(client, job.id) != 0:
        raise SystemExit(f"job {job.id} did not succeed")
    job = client.jobs.get(job.id)
    assert job.started_at is not None
    assert job.finished_at is not None
    return (job.finished_at - job.started_at).total_seconds(), float(job.test["last"]["accuracy"])


def keras(interpreter: str, folder: Path, seed: int, epochs: int, threads: int) -> dict[str, Any]:
    """What the peer prints."""
    script = Path(__file__).parent / "peers" / "keras_cifar10.py"
    command = [interpreter, str(script), str(folder), *map(str, (seed, epochs, threads))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
