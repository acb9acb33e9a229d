"""The CIFAR-10 job of docs/api.md as a Keras user writes it; runs in the peers' environment.

python benchmarks/peers/keras_cifar10.py FOLDER SEED EPOCHS THREADS

FOLDER holds image.npy, label.npy and the rows of each split. Prints one line of JSON: seconds of `fit`, test accuracy.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf


def main(folder: Path, seed: int, epochs: int, threads: int) -> None:
    """Train and print."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    images, labels = np.load(folder / "image.npy"), np.load(folder / "label.npy")
    rows = {name: np.load(folder / f"{name}.npy") for name in ("train", "validation", "test")}
    pixels = {name: images[chosen].astype("float32") / 255 for name, chosen in rows.items()}
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10),
    ])
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    started = time.perf_counter()
    model.fit(
        pixels["train"], labels[rows["train"]], batch_size=32, epochs=epochs, verbose=0,
        validation_data=(pixels["validation"], labels[rows["validation"]]),
    )
    seconds = time.perf_counter() - started
    _, accuracy = model.evaluate(pixels["test"], labels[rows["test"]], verbose=0)
    print(json.dumps({"seconds": seconds, "accuracy": accuracy, "keras": keras.__version__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
