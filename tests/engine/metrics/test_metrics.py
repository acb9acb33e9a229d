"""Metrics against scikit-learn's and their definitions; sums of batches give what one batch gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import registry
from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.losses.target import Target
from engine.options import read_entry
from engine.types import Batch, Type

RNG = np.random.default_rng(11)
N, CLASSES = 101, 6
CODES = RNG.integers(0, CLASSES, N).astype(np.int32)
SCORES = RNG.random((N, CLASSES)).astype(np.float32)
SCORES[np.arange(N), CODES] += 0.3
YES = RNG.integers(0, 2, N).astype(np.int32)
CHANCE = np.clip(RNG.random((N, 1)) * 0.7 + 0.3 * YES[:, None], 0, 1).astype(np.float32)
NUMBERS = RNG.standard_normal((N, 3)).astype(np.float32)
GUESSES = NUMBERS + RNG.standard_normal((N, 3)).astype(np.float32)
WEIGHTS = RNG.random(N).astype(np.float32)


def totals(options, target, output, weight=None):
    metric = read_entry("metric", options, "")
    b = GraphBuilder("metric")
    t = b.input("t", Type((Batch(), *target.shape[1:]), str(target.dtype)))
    x = b.input("x", Type((Batch(), *output.shape[1:])))
    w = b.input("w", Type((Batch(),))) if weight is not None else None
    vector = metric.build(b, t, x, w)
    assert len(vector.shape) == 1 and isinstance(vector.shape[0], int)
    feeds = {"t": target, "x": output, **({"w": weight} if weight is not None else {})}
    return metric, interpret(b.finish(v=vector), feeds)["v"].astype(np.float64)


def value(options, target, output, weight=None):
    metric, total = totals(options, target, output, weight)
    return metric.result(total)


ONE_HOT = np.eye(CLASSES, dtype=np.float32)[CODES]
RIGHT = SCORES.argmax(-1) == CODES


@pytest.mark.parametrize("target", [CODES, ONE_HOT])
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_accuracy_of_classes(target, weight):
    name = "SparseCategoricalAccuracy" if target is CODES else "CategoricalAccuracy"
    assert value({"type": name}, target, SCORES, weight) == pytest.approx(np.average(RIGHT, weights=weight), rel=1e-5)


@pytest.mark.parametrize("k", [1, 2, 6])
@pytest.mark.parametrize("target", [CODES, ONE_HOT])
def test_top_k(k, target):
    name = "SparseTopKCategoricalAccuracy" if target is CODES else "TopKCategoricalAccuracy"
    better = SCORES[np.arange(N), CODES][:, None] < SCORES
    inside = better.sum(-1) < k
    assert value({"type": name, "k": k}, target, SCORES) == pytest.approx(inside.mean(), rel=1e-6)


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_binary_accuracy(threshold):
    expected = ((CHANCE[:, 0] > threshold) == YES).mean()
    assert value({"type": "BinaryAccuracy", "threshold": threshold}, YES, CHANCE) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_errors(weight):
    difference = NUMBERS - GUESSES
    squared = np.average((difference**2).mean(-1), weights=weight)
    assert value({"type": "MeanSquaredError"}, NUMBERS, GUESSES, weight) == pytest.approx(squared, rel=1e-5)
    root = value({"type": "RootMeanSquaredError"}, NUMBERS, GUESSES, weight)
    assert root == pytest.approx(math.sqrt(squared), rel=1e-5)
    absolute = np.average(np.abs(difference).mean(-1), weights=weight)
    assert value({"type": "MeanAbsoluteError"}, NUMBERS, GUESSES, weight) == pytest.approx(absolute, rel=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHTS])
@pytest.mark.parametrize("threshold", [None, 0.0, 0.7, 1.0])
def test_precision_and_recall(threshold, weight):
    said = CHANCE[:, 0] > (0.5 if threshold is None else threshold)
    w = np.ones(N) if weight is None else weight
    both = (w * (said & (YES == 1))).sum()
    for name, whole in (("Precision", (w * said).sum()), ("Recall", (w * YES).sum())):
        expected = both / whole if whole else 0.0
        assert value({"type": name, "thresholds": threshold}, YES, CHANCE, weight) == pytest.approx(expected, rel=1e-5)


def test_precision_of_one_class():
    said, truth = SCORES[:, 2] > 0.5, CODES == 2
    expected = (said & truth).sum() / said.sum()
    assert value({"type": "Precision", "class_id": 2}, CODES, SCORES) == pytest.approx(expected, rel=1e-6)


def test_area_under_the_curve_comes_near_the_exact_one():
    below = (CHANCE[YES == 1] > CHANCE[YES == 0].T).mean()
    assert value({"type": "AUC", "num_thresholds": 2000}, YES, CHANCE) == pytest.approx(below, abs=2e-3)


def test_area_of_perfect_useless_and_reversed_scores():
    perfect = YES[:, None].astype(np.float32)
    assert value({"type": "AUC"}, YES, perfect) == pytest.approx(1)
    assert value({"type": "AUC"}, YES, 1 - perfect) == pytest.approx(0)
    assert value({"type": "AUC"}, YES, np.full((N, 1), 0.5, np.float32)) == pytest.approx(0.5)
    assert value({"type": "AUC", "curve": "PR"}, YES, perfect) == pytest.approx(1)


def test_summation_methods_bound_the_interpolated_area():
    areas = {method: value({"type": "AUC", "summation_method": method, "num_thresholds": 20}, YES, CHANCE)
             for method in ("minoring", "interpolation", "majoring")}
    assert areas["minoring"] < areas["interpolation"] < areas["majoring"]


def test_area_from_logits():
    logits = np.log(CHANCE.clip(1e-6, 1 - 1e-6) / (1 - CHANCE.clip(1e-6, 1 - 1e-6)))
    expected = value({"type": "AUC"}, YES, CHANCE)
    assert value({"type": "AUC", "from_logits": True}, YES, logits) == pytest.approx(expected, abs=5e-3)


FITTING = {"MeanSquaredError": (NUMBERS, GUESSES), "MeanAbsoluteError": (NUMBERS, GUESSES),
           "RootMeanSquaredError": (NUMBERS, GUESSES), "BinaryAccuracy": (YES, CHANCE), "AUC": (YES, CHANCE),
           "Precision": (YES, CHANCE), "Recall": (YES, CHANCE), "BinaryIoU": (YES, CHANCE),
           **dict.fromkeys(("PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity",
                            "SpecificityAtSensitivity"), (YES, CHANCE)),
           **dict.fromkeys(("R2Score", "PearsonCorrelation", "ConcordanceCorrelation"), (NUMBERS, GUESSES)),
           **dict.fromkeys(("IoU", "MeanIoU"), (CODES, CODES.astype(np.float32)))}
NEEDED: dict[str, dict[str, object]] = {
    "PrecisionAtRecall": {"recall": 0.5}, "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5}, "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "MeanIoU": {"num_classes": 3}, "OneHotMeanIoU": {"num_classes": 3},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]}, "OneHotIoU": {"num_classes": 3, "target_class_ids": [0, 2]}}


@pytest.mark.parametrize("name", registry.entries("metric"))
def test_sums_of_batches_are_the_sums_of_all(name):
    target, output = FITTING.get(name, (CODES, SCORES))
    options = {"type": name, **NEEDED.get(name, {})}
    metric, whole = totals(options, target, output)
    batches = (slice(0, 40), slice(40, 41), slice(41, N))
    parts = sum(totals(options, target[rows], output[rows])[1] for rows in batches)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
    assert metric.result(np.zeros_like(whole)) == 0.0
    assert metric.better in ("min", "max")


@pytest.mark.parametrize(("options", "target", "output", "words"), [
    ({"type": "SparseCategoricalAccuracy"}, Target("numeric", None, (3,)), (3,), "class codes"),
    ({"type": "SparseCategoricalAccuracy"}, Target("classes", 10, ()), (9,), "(batch, 10)"),
    ({"type": "CategoricalAccuracy"}, Target("classes", 2, ()), (1,), "(batch, 2)"),
    ({"type": "SparseTopKCategoricalAccuracy"}, Target("classes", 3, ()), (3,), "at most the output's 3"),
    ({"type": "BinaryAccuracy"}, Target("classes", 3, ()), (2,), "(batch, 1)"),
    ({"type": "AUC"}, Target("classes", 3, ()), (1,), "two classes"),
    ({"type": "AUC"}, Target("classes", 2, ()), (5,), "(batch, 1)"),
    ({"type": "Precision", "class_id": 3}, Target("classes", 3, ()), (3,), "below 3"),
    ({"type": "MeanSquaredError"}, Target("numeric", None, (3,)), (2,), "(batch, 3)"),
    ({"type": "Precision", "top_k": 4}, Target("classes", 3, ()), (3,), "top_k of at most"),
    ({"type": "AUC", "multi_label": True, "num_labels": 2}, Target("numeric", None, (3,)), (3,), "num_labels"),
    ({"type": "PrecisionAtRecall", "recall": 0.5, "class_id": 3}, Target("classes", 3, ()), (3,), "below 3"),
    ({"type": "F1Score"}, Target("numeric", None, (3, 2)), (3, 2), "(batch, classes)"),
    ({"type": "PearsonCorrelation", "axis": 0}, Target("numeric", None, (3,)), (3,), "without the batch"),
    ({"type": "MeanIoU", "num_classes": 3}, Target("numeric", None, (3,)), (2,), "each of the targets"),
    ({"type": "IoU", "num_classes": 3, "target_class_ids": [3]}, Target("numeric", None, (3,)), (3,), "below 3"),
    ({"type": "BinaryIoU"}, Target("numeric", None, (3,)), (2,), "target's shape"),
    ({"type": "KLDivergence"}, Target("numeric", None, (3,)), (2,), "(batch, 3)"),
])
def test_what_does_not_fit_is_refused(options, target, output, words):
    fault = read_entry("metric", options, "").fault(target, output)
    assert fault.startswith("expected ") and ", received " in fault and words in fault
