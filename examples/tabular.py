"""A table as people have them: numbers with holes, a text column, and a yes-or-no question, end to end.

    python examples/tabular.py                  # on a server of its own, stopped at the end
    python examples/tabular.py --write FILE     # only write the table

The table is scikit-learn's breast cancer one (569 patients), made messy: every 23rd number is missing, and one measure
is told as text.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from local_server import LocalServer
from sklearn.datasets import load_breast_cancer

import stoker
from stoker.commands.watch import follow

NUMBERS = ("mean radius", "mean texture", "mean smoothness", "mean concavity", "worst area", "worst symmetry")
TEXT = "worst texture"
WANTED = 0.93

JOB: dict[str, Any] = {
    "name": "table-dense",
    "model": {
        "inputs": {"table": {}},  # its shape follows from the columns
        "layers": [
            {"type": "Dense", "units": 32, "activation": "relu"},
            {"type": "Dropout", "rate": 0.3},
            {"type": "Dense", "units": 16, "activation": "relu"},
            {"type": "Dropout", "rate": 0.3},
            {"type": "Dense", "units": 1, "activation": "sigmoid"},
        ],
    },
    "data": {
        "features": [*(name.replace(" ", "_") for name in NUMBERS), "texture"],
        "target": "diagnosis",
        "split": {"validation": 0.15, "test": 0.2, "stratify": True, "seed": 1},
        "preprocessing": [
            {"type": "Impute", "columns": [name.replace(" ", "_") for name in NUMBERS], "strategy": "median"},
            {"type": "Normalization", "columns": [name.replace(" ", "_") for name in NUMBERS]},
            {"type": "OneHot", "columns": ["texture"]},
        ],
    },
    "training": {
        "epochs": 40,
        "batch_size": 32,
        "optimizer": {"type": "Adam", "learning_rate": 0.003},
        "loss": {"type": "BinaryCrossentropy"},
        "metrics": ["accuracy", "AUC"],
        "callbacks": [{"type": "EarlyStopping", "monitor": "val_loss", "patience": 10, "restore_best_weights": True}],
        "seed": 0,
    },
    "checkpoints": {"monitor": "val_loss"},
}


def write_table(file: Path) -> int:
    """Writes the messy table and returns its number of rows."""
    bunch = load_breast_cancer()
    columns = {name: bunch.data[:, list(bunch.feature_names).index(name)] for name in (*NUMBERS, TEXT)}
    edges = np.quantile(columns[TEXT], [0.33, 0.67])
    words = np.array(["fine", "medium", "coarse"])[np.digitize(columns[TEXT], edges)]
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow([*(name.replace(" ", "_") for name in NUMBERS), "texture", "diagnosis"])
        for row, target in enumerate(bunch.target):
            cells = row * len(NUMBERS)
            numbers = [
                "" if (cells + place) % 23 == 0 else f"{columns[name][row]:.6g}" for place, name in enumerate(NUMBERS)
            ]
            writer.writerow([*numbers, words[row], "benign" if target else "malignant"])
    return len(bunch.target)


def main() -> int:
    """0 when the job succeeds and its test accuracy is what it should be."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", type=Path, metavar="FILE", help="only write the table")
    chosen = options.parse_args()
    if chosen.write:
        print(f"{write_table(chosen.write)} rows in {chosen.write}")
        return 0
    with tempfile.TemporaryDirectory(prefix="stoker-table-") as scratch, LocalServer() as server:
        file = Path(scratch, "patients.csv")
        write_table(file)
        with stoker.Client(server.url, data_dir=server.data_dir) as client:
            return run(client, file)


def run(client: stoker.Client, file: Path) -> int:
    """Uploads the table, shows what the server found in it, trains, and judges by the test split."""
    dataset = client.datasets.upload(file, options={"target": "diagnosis"})
    dataset = client.datasets.wait(dataset.id)
    for feature in dataset.features:
        print(f"{feature['name']:18}{feature['type']}")
    job = client.jobs.create(JOB | {"dataset": dataset.id})
    if follow(client, job.id) != 0:
        return 1
    accuracy = client.jobs.get(job.id).test["best"]["accuracy"]
    print(f"test accuracy {accuracy:.3f}")
    return 0 if accuracy >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
