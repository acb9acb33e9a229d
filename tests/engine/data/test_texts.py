"""Texts from a CSV file to a model's input: fitted on the training split, and applied to raw texts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.data import types as column_types
from engine.data.apply import apply_preprocessing
from engine.data.columns import resolve
from engine.data.prepare import prepare
from engine.errors import DataError, DefinitionError

GOOD, BAD = ("lovely warm bright", "kind calm bright"), ("rotten cold grim", "cruel loud grim")


def reviews(rows):
    """A table of sentences that say good or bad, each row its own."""
    lines = ["said,y"]
    for row in range(rows):
        words = (GOOD if row % 2 else BAD)[row // 2 % 2]
        lines.append(f"\"{words}, number {row}\",{'good' if row % 2 else 'bad'}")
    return "\n".join(lines) + "\n"


STEP = {"type": "TextVectorization", "output_sequence_length": 6, "max_tokens": 12}


@pytest.mark.parametrize("kind", ["text", "category"])
def test_sentences_become_places_and_raw_ones_the_same(take, kind):
    dataset = take(reviews(40), "x.csv", types={"said": kind})
    plan = resolve({"target": "y", "preprocessing": [STEP], "split": {"validation": 0.25}}, dataset.manifest)
    assert plan.inputs["said"].shape == (6,)
    prepared = prepare(dataset, plan, seed=3)
    stored = json.loads(json.dumps(prepared.preprocessing, allow_nan=False))
    (part,) = stored["inputs"]["said"]["parts"]
    assert part["kind"] == "text"
    assert "categories" not in part
    words = part["steps"][0]["tokens"]
    assert len(words) == 10
    assert words[0] == "number"
    texts = [f"{(GOOD if row % 2 else BAD)[row // 2 % 2]}, number {row}" for row in range(40)]
    np.testing.assert_array_equal(apply_preprocessing(stored, texts)["said"], prepared.inputs["said"])
    np.testing.assert_array_equal(apply_preprocessing(stored, [{"said": "NUMBER, unheard-of"}, {"said": None}])["said"],
                                  [[2, 1, 0, 0, 0, 0], [0] * 6])


def test_only_training_rows_are_learnt_from(take):
    content = "said,part,y\n" + "".join(f"seen {row},train,{row}\n" for row in range(6)) + "hidden 9,test,9\n"
    dataset = take(content, "x.csv", types={"said": "text"}, split="part")
    plan = resolve({"features": ["said"], "target": "y", "preprocessing": [STEP]}, dataset.manifest)
    tokens = prepare(dataset, plan, seed=0).preprocessing["inputs"]["said"]["parts"][0]["steps"][0]["tokens"]
    assert "seen" in tokens
    assert "hidden" not in tokens


def test_words_and_numbers_side_by_side(take):
    content = "city,n,y\n" + "".join(f"{('Rome', 'Oslo', '')[row % 3]},{row % 4},{row}\n" for row in range(12))
    dataset = take(content, "x.csv")
    steps = [{"type": "StringLookup", "columns": ["city"], "vocabulary": ["Oslo", "Rome"], "output_mode": "one_hot"},
             {"type": "IntegerLookup", "columns": ["n"], "vocabulary": [3, 1]}]
    plan = resolve({"features": ["city", "n"], "target": "y", "preprocessing": steps}, dataset.manifest)
    prepared = prepare(dataset, plan, seed=0)
    np.testing.assert_array_equal(prepared.inputs["features"][:4],
                                  [[0, 0, 1, 0], [0, 1, 0, 2], [1, 0, 0, 0], [0, 0, 1, 1]])
    np.testing.assert_array_equal(apply_preprocessing(prepared.preprocessing, {"city": ["Bern", ""], "n": [3, 9]})
                                  ["features"], [[1, 0, 0, 1], [1, 0, 0, 0]])


REFUSED = [
    ({**STEP, "output_sequence_length": None}, "/output_sequence_length", "for the mode int"),
    ({"type": "TextVectorization", "output_mode": "count", "output_sequence_length": 3, "vocabulary": ["a"]},
     "/output_sequence_length", "none for the mode count"),
    ({"type": "TextVectorization", "output_mode": "multi_hot"}, "/pad_to_max_tokens", "not known before training"),
    ({**STEP, "pad_to_max_tokens": True, "max_tokens": None}, "/max_tokens", "beside pad_to_max_tokens"),
    ({**STEP, "vocabulary": ["a", "b", "a"]}, "/vocabulary", "different tokens, received 'a'"),
    ({**STEP, "vocabulary": ["a", ""]}, "/vocabulary", "the mask token at its beginning"),
    ({**STEP, "vocabulary": ["a"], "max_tokens": 2}, "/max_tokens", "at least 3"),
    ({**STEP, "idf_weights": [1.0]}, "/idf_weights", "only for tf_idf"),
    ({**STEP, "standardize": "upper"}, "/standardize", "one of lower_and_strip_punctuation"),
    ({**STEP, "columns": ["n"]}, "/columns/0", "a column of texts, before any other step"),
    ({**STEP, "ragged": True}, "/ragged", "no ragged arrays"),
    ({"type": "IntegerLookup"}, "", "a column that IntegerLookup can be applied to"),
    ({"type": "IntegerLookup", "columns": ["n"], "salt": 3}, "/oov_method", "farmhash beside a salt"),
    ({"type": "IntegerLookup", "columns": ["city"]}, "/columns/0", "a column of integers"),
    ({"type": "StringLookup", "invert": True}, "/invert", "no input of a model"),
    ({"type": "Hashing", "num_bins": 100_000, "output_mode": "one_hot", "columns": ["city"]}, "/columns/0",
     "65536 bins"),
    ({"type": "Discretization", "columns": ["n"]}, "/num_bins", "or bin_boundaries"),
    ({"type": "Discretization", "columns": ["n"], "num_bins": 4, "output_mode": "count"}, "/bin_boundaries",
     "not known before training"),
    ({"type": "Discretization", "columns": ["n"], "bin_boundaries": [2, 1]}, "/bin_boundaries", "ascending"),
]


@pytest.mark.parametrize(("step", "option", "said"), REFUSED)
def test_what_is_refused_is_pointed_at(take, step, option, said):
    dataset = take("city,n,y\n" + "".join(f"{'ab'[row % 2]},{row},{row}\n" for row in range(8)), "x.csv")
    with pytest.raises(DefinitionError) as refused:
        resolve({"features": ["city", "n"], "target": "y", "preprocessing": [step]}, dataset.manifest)
    assert [fault.pointer for fault in refused.value.faults] == [f"/data/preprocessing/0{option}"]
    assert said in refused.value.faults[0].detail


def test_a_text_without_a_place_is_named(take):
    dataset = take("city,y\nRome,1\nOslo,2\nRome,3\n", "x.csv")
    steps = [{"type": "StringLookup", "vocabulary": ["Rome"], "num_oov_indices": 0}]
    plan = resolve({"features": ["city"], "target": "y", "preprocessing": steps}, dataset.manifest)
    with pytest.raises(DataError, match="num_oov_indices is 0"):
        prepare(dataset, plan, seed=0)


def test_text_is_a_type_that_a_column_may_be_said_to_have():
    assert "text" in column_types.TYPES
