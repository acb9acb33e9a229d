"""Sentences from a CSV file to a convolutional network over words, and raw sentences to its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.data.ingest import ingest
from engine.definition import parse_job
from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.predict import TrainedModel
from tests.engine.training import train

GOOD = ["lovely", "warm", "bright", "kind", "calm", "superb", "funny", "charming"]
BAD = ["rotten", "cold", "grim", "cruel", "loud", "dull", "stale", "bitter"]
PLAIN = ["the", "a", "film", "plot", "scene", "was", "and", "it", "with", "of", "an", "old", "new", "long"]


def sentence(random: np.random.Generator, words: list[str]) -> str:
    """Plain words with two telling ones among them."""
    found = [*random.choice(PLAIN, 8), *random.choice(words, 2)]
    random.shuffle(found)
    return " ".join(found).capitalize() + "."


def test_sentiment_is_learnt_and_predicted_for_raw_texts(tmp_path: Path):
    random = np.random.default_rng(4)
    rows = [(sentence(random, words), name) for _ in range(150) for words, name in ((GOOD, "good"), (BAD, "bad"))]
    source, output = tmp_path / "reviews.csv", tmp_path / "dataset"
    output.mkdir()
    source.write_text("said,mood\n" + "".join(f'"{said}",{mood}\n' for said, mood in rows))
    manifest = ingest(source, output, options={"types": {"said": "text"}, "target": "mood"}, filename="reviews.csv")
    data = Dataset.open(output, manifest)
    spec = parse_job({
        "model": {"template": "text_cnn", "vocabulary": 40, "classes": 2, "embedding": 8, "filters": 8,
                  "kernel_sizes": [1, 2]},
        "data": {"preprocessing": [{"type": "TextVectorization", "max_tokens": 40, "output_sequence_length": 12}],
                 "split": {"validation": 0.2}},
        "training": {"epochs": 8, "batch_size": 16, "optimizer": {"type": "Adam", "learning_rate": 0.01},
                     "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True}, "metrics": ["accuracy"],
                     "seed": 1},
        "resources": {"threads": 1},
    }, manifest)
    work = tmp_path / "work"
    work.mkdir()
    trained = train(spec, data, work)
    assert trained.recorder.epochs("val_accuracy")[-1] > 0.95
    model = TrainedModel(trained.files.weights, threads=1)
    assert model.classes == ("bad", "good")
    scores = model.predict(["It was SUPERB, and funny!", "a dull, stale, unheard-of plot", ""])
    assert list(scores.argmax(axis=1)[:2]) == [1, 0]


@pytest.mark.parametrize("name", ["TextVectorization", "StringLookup", "Hashing"])
def test_a_keras_model_that_begins_with_texts_is_told_where_they_go(name):
    config = {"name": "text", "layers": [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 1], "dtype": "string", "name": "x"}},
        {"class_name": name, "config": {"name": "t", "trainable": True, "dtype": "string"}},
        {"class_name": "Dense", "config": {"name": "d", "units": 2}}]}
    with pytest.raises(DefinitionError) as refused:
        parse_model({"class_name": "Sequential", "config": config}, "/model")
    assert any("data.preprocessing" in fault.detail for fault in refused.value.faults), refused.value.faults
