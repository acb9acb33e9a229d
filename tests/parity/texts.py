"""Steps of columns against Keras's layers of the same names: `make parity` runs it in Keras's environment.

    python tests/parity/texts.py

writes what Keras gives for every case into figures/texts.json, which `test_texts.py` checks. Only the standard library
and numpy are imported here before Keras is asked for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

FIGURES = Path(__file__).parent / "figures" / "texts.json"
SAID = ["The cat sat; the DOG didn't!", "", "Über-cool  café\tcafé", "one two three two one two", "the end.", " , "]
ASKED = [*SAID, "a dog, a cat and the café", "ÜBER cool", "two\nthree two", "[UNK] the", "日本 語 two"]
TOWNS, TRIPS = ["Rome", "Oslo", "Rome", "Bonn", "", "Oslo", "Rome"], ["Oslo", "Rome", "Bern", "", "Paris", "[UNK]"]
NUMBERS, WANTED = [3, 5, 3, 9, 9, 9, 0, -4], [9, 3, 0, 7, -1, 100, 5]
MEASURES = [float(value) for value in np.round(np.random.default_rng(5).normal(size=500), 3)]

CASES: list[tuple[str, dict[str, Any], list[Any] | None, list[Any]]] = [
    ("TextVectorization", {"output_sequence_length": 5}, SAID, ASKED),
    ("TextVectorization", {"output_sequence_length": 3, "max_tokens": 6, "standardize": "lower"}, SAID, ASKED),
    ("TextVectorization", {"output_sequence_length": 9, "standardize": None, "ngrams": 2}, SAID, ASKED),
    ("TextVectorization", {"output_sequence_length": 9, "split": "character"}, SAID, ASKED),
    ("TextVectorization", {"output_sequence_length": 4, "standardize": "strip_punctuation", "ngrams": [2, 3]}, SAID,
     ASKED),
    ("TextVectorization", {"output_mode": "multi_hot", "max_tokens": 20, "pad_to_max_tokens": True}, SAID, ASKED),
    ("TextVectorization", {"output_mode": "count", "vocabulary": ["two", "the", "café"]}, None, ASKED),
    ("TextVectorization", {"output_mode": "count", "vocabulary": ["[UNK]", "two", "the"], "ngrams": 2}, None, ASKED),
    ("TextVectorization", {"output_mode": "tf_idf", "max_tokens": 30, "pad_to_max_tokens": True}, SAID, ASKED),
    ("TextVectorization", {"output_mode": "tf_idf", "vocabulary": ["two", "the"], "idf_weights": [0.5, 2.0]}, None,
     ASKED),
    ("StringLookup", {}, TOWNS, TRIPS),
    ("StringLookup", {"mask_token": "", "max_tokens": 4}, TOWNS, TRIPS),
    ("StringLookup", {"mask_token": "", "output_mode": "one_hot", "vocabulary": ["Oslo", "Rome"]}, None, TRIPS),
    ("StringLookup", {"vocabulary": ["Oslo"], "num_oov_indices": 4}, None, TRIPS),
    ("StringLookup", {"vocabulary": ["Oslo"], "num_oov_indices": 4, "salt": [5, 9]}, None, TRIPS),
    ("StringLookup", {"vocabulary": ["Oslo"], "num_oov_indices": 3, "output_mode": "multi_hot"}, None, TRIPS),
    ("IntegerLookup", {}, NUMBERS, WANTED),
    ("IntegerLookup", {"mask_token": 0, "num_oov_indices": 3}, NUMBERS, WANTED),
    ("IntegerLookup", {"vocabulary": [5, 9], "output_mode": "count"}, None, WANTED),
    ("IntegerLookup", {"vocabulary": [5, 9], "num_oov_indices": 3, "oov_method": "farmhash", "salt": 7}, None, WANTED),
    ("Hashing", {"num_bins": 5}, None, ASKED),
    ("Hashing", {"num_bins": 5, "mask_value": ""}, None, ASKED),
    ("Hashing", {"num_bins": 1000, "salt": 133}, None, ASKED),
    ("Hashing", {"num_bins": 7, "salt": [133, 137]}, None, WANTED),
    ("Hashing", {"num_bins": 7, "mask_value": 9, "output_mode": "one_hot"}, None, WANTED),
    ("Discretization", {"num_bins": 5}, MEASURES, MEASURES[:40]),
    ("Discretization", {"num_bins": 30, "epsilon": 0.05}, MEASURES[:90], MEASURES[:40]),
    ("Discretization", {"bin_boundaries": [-1, 0, 1], "output_mode": "one_hot"}, None, [-1.0, 0.5, 2.0]),
]


def main() -> None:
    """Ask Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    answers = []
    for name, options, training, values in CASES:
        given = {key: tuple(value) if key in ("ngrams", "salt") and isinstance(value, list) else value
                 for key, value in options.items()}
        layer = getattr(keras.layers, name)(**given)
        if training is not None:
            layer.adapt(np.array(training))
        column = np.array(values) if name == "TextVectorization" else np.array(values)[:, None]
        found = np.asarray(layer(column))
        answers.append(found.reshape(len(values), -1).astype(float).round(6).tolist())
    lines = ",\n".join(json.dumps(answer, separators=(",", ":")) for answer in answers)
    FIGURES.write_text(f'{{"peer": {{"keras": "{keras.__version__}"}},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
