"""Jobs: parts read, then held against each other and against the dataset."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.definition import parse_job
from engine.errors import DefinitionError
from tests.engine.definition.documents import IMAGES, JOB, MODEL, TABLE, changed
from tests.engine.definition.test_bad_models import JSON, places


def faults(document, schema=IMAGES):
    with pytest.raises(DefinitionError) as caught:
        parse_job(document, schema)
    for fault in caught.value.faults:
        assert fault.detail.startswith("expected ") and ", received " in fault.detail
    return {fault.pointer: fault.detail for fault in caught.value.faults}


TABULAR = {
    "model": {"inputs": {"table": {}}, "layers": [{"type": "Dense", "units": 8, "activation": "relu"},
                                                  {"type": "Dense", "units": 1, "activation": "sigmoid"}]},
    "data": {"features": ["age", "height"], "target": "sold"},
    "training": {"loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]},
}
HEADS = changed({**JOB, "model": {**MODEL, "layers": [
    {"type": "Flatten"}, {"type": "Dense", "units": 10, "name": "main"},
    {"type": "Dense", "units": 10, "activation": "softmax", "name": "side", "inputs": ["flatten"]}],
    "outputs": ["main", "side"]}}, "/training", {
        "loss": {"main": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
                 "side": "sparse_categorical_crossentropy"},
        "loss_weights": {"side": 0.3}, "metrics": {"main": ["accuracy"], "side": ["accuracy"]}})
HEADS = changed(HEADS, "/checkpoints/monitor", "val_main_accuracy")


def test_the_job_of_the_contract_comes_back_with_defaults_filled_in():
    spec = parse_job(JOB, IMAGES)
    written = spec.to_json()
    assert set(written) == {"model", "data", "training", "checkpoints", "resources"}
    assert written["training"]["optimizer"]["epsilon"] == 1e-7 and written["training"]["shuffle"] is True
    assert written["training"]["metrics"] == [{"type": "SparseCategoricalAccuracy", "name": "accuracy"}]
    assert written["checkpoints"] == {"every_epochs": 1, "every_steps": None, "keep_last": 2, "monitor": "val_accuracy",
                                      "mode": "auto"}
    assert spec.logs == ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    assert spec.feeds == {"image": "image"} and spec.warnings == ()


@pytest.mark.parametrize(("document", "schema"), [(JOB, IMAGES), (TABULAR, TABLE), (HEADS, IMAGES)])
def test_reading_what_was_written_changes_nothing(document, schema):
    spec = parse_job(document, schema)
    written = spec.to_json()
    again = parse_job(json.loads(json.dumps(written)), schema)
    assert again == spec and again.to_json() == written


def test_keras_defaults():
    training = parse_job({**TABULAR, "training": {"loss": "binary_crossentropy"}}, TABLE).training
    assert (training.epochs, training.batch_size, training.shuffle) == (1, 32, True)
    assert type(training.optimizer).__name__ == "RMSprop" and training.optimizer.learning_rate == 0.001


def test_shapes_come_from_the_data_and_inputs_may_be_left_out():
    assert parse_job(TABULAR, TABLE).model.inputs == {"table": (2,)}
    assert parse_job(changed(TABULAR, "/model/inputs", ...), TABLE).model.inputs == {"features": (2,)}
    assert parse_job(changed(JOB, "/model/inputs", ...), IMAGES).model.inputs == {"image": (32, 32, 3)}


def test_several_inputs_are_fed_by_name():
    job = changed(TABULAR, "/data/features", {"body": ["age"], "size": ["height", "weight"]})
    job = changed(job, "/model", {"inputs": {"size": {}, "body": {"shape": [1]}}, "layers": [
        {"type": "Concatenate", "inputs": ["size", "body"]}, {"type": "Dense", "units": 1, "activation": "sigmoid"}]})
    spec = parse_job(job, TABLE)
    assert spec.feeds == {"size": "size", "body": "body"}
    assert spec.model.inputs == {"size": (2,), "body": (1,)}
    found = faults(changed(job, "/data/features", {"body": ["age"], "other": ["height"]}), TABLE)
    assert "'other'" in found["/data/features"]


@pytest.mark.parametrize(("metric", "target", "units", "loss", "expected"), [
    ("accuracy", "sold", 1, "binary_crossentropy", "BinaryAccuracy"),
    ("acc", "sold", 2, "sparse_categorical_crossentropy", "SparseCategoricalAccuracy"),
    ("Accuracy", ["age", "height"], 2, "mse", "CategoricalAccuracy"),
])
def test_accuracy_is_what_target_and_output_make_it(metric, target, units, loss, expected):
    job = changed(changed(TABULAR, "/data/target", target), "/data/features", ["weight"])
    job = changed(job, "/model/layers/1", {"type": "Dense", "units": units})
    spec = parse_job(changed(job, "/training", {"loss": loss, "metrics": [metric]}), TABLE)
    (read,) = spec.training.metrics["dense_1"]
    assert type(read).__name__ == expected and read.log_name == metric


def test_metrics_are_logged_under_the_names_keras_gives():
    metrics = ["acc", "AUC", {"type": "AUC", "name": "area"}, {"type": "Precision"}, "Recall"]
    spec = parse_job(changed(TABULAR, "/training/metrics", metrics), TABLE)
    assert spec.logs[:6] == ("loss", "acc", "AUC", "area", "precision", "Recall")
    assert spec.training.directions() == {"loss": "min", "acc": "max", "AUC": "max", "area": "max", "precision": "max",
                                          "Recall": "max"}


def test_several_outputs_carry_their_names_in_the_logs():
    spec = parse_job(HEADS, IMAGES)
    names = ("loss", "main_loss", "side_loss", "main_accuracy", "side_accuracy")
    assert spec.logs == (*names, *(f"val_{name}" for name in names), "learning_rate")
    assert spec.training.loss_weights == {"main": 1.0, "side": 0.3}
    assert spec.training.directions()["side_accuracy"] == "max"


def test_one_loss_serves_all_outputs_and_an_output_may_have_none():
    one = parse_job(changed(HEADS, "/training/loss", "sparse_categorical_crossentropy"), IMAGES)
    assert set(one.training.losses) == {"main", "side"}
    job = changed(changed(HEADS, "/training/loss/side", ...), "/training/loss_weights", ...)
    spec = parse_job(changed(job, "/training/metrics", ["accuracy"]), IMAGES)
    assert set(spec.training.losses) == set(spec.training.metrics) == {"main"}
    assert parse_job(spec.to_json(), IMAGES) == spec


def test_class_weights_by_name_or_code():
    spec = parse_job(changed(JOB, "/training/class_weight", {"b": 2, "3": 0.5}), IMAGES)
    assert spec.class_weights == (1, 2, 1, 0.5, 1, 1, 1, 1, 1, 1)
    assert spec.to_json()["training"]["class_weight"] == {"b": 2.0, "d": 0.5}
    assert parse_job(JOB, IMAGES).class_weights is None


@pytest.mark.parametrize(("layer", "from_logits", "warns"), [
    ({"type": "Dense", "units": 10}, False, "without an activation"),
    ({"type": "Dense", "units": 10, "activation": "softmax"}, True, "a second time"),
    ({"type": "Dense", "units": 10, "activation": "softmax"}, False, None),
    ({"type": "Dense", "units": 10}, True, None),
    ({"type": "Activation", "activation": "relu"}, False, None),
])
def test_logits_taken_for_probabilities_are_warned_about(layer, from_logits, warns):
    layers = [{"type": "Flatten"}, {"type": "Dense", "units": 10}, layer]
    job = changed(changed(JOB, "/model/layers", layers), "/training/loss/from_logits", from_logits)
    warnings = parse_job(job, IMAGES).warnings
    assert (len(warnings) == 1 and warns in warnings[0]) if warns else not warnings


def test_metrics_of_probabilities_are_warned_about_with_logits():
    job = changed(changed(TABULAR, "/model/layers/1/activation", None), "/training", {
        "loss": {"type": "BinaryCrossentropy", "from_logits": True},
        "metrics": ["AUC", {"type": "AUC", "from_logits": True, "name": "area"}]})
    (warning,) = parse_job(job, TABLE).warnings
    assert "'AUC'" in warning


BAD = [
    ("/model/layers/7/units", 12, "/model/layers/7/units", "expected 10"),
    ("/model/layers/8", {"type": "Softmax"}, None, ""),
    ("/model/layers/7", {"type": "Flatten"}, "/model/layers/5/units", "expected 10"),
    ("/model/layers/7", {"type": "Reshape", "target_shape": [8, 8]}, "/training/loss", "(batch, 10)"),
    ("/model/inputs/image/shape", [28, 28, 3], "/model/inputs/image/shape", "[32, 32, 3]"),
    ("/model/layers/0/filters", 0, "/model/layers/0/filters", "at least 1"),
    ("/model/layers/7/inputs", ["dropuot"], "/model/layers/7/inputs/0", "did you mean 'dropout'"),
    ("/model", ..., "/model", "a model's definition"),
    ("/data/target", "nothing", "/data/target", "'nothing'"),
    ("/data/split/validation", 1.5, "/data/split/validation", "below 1"),
    ("/training", ..., "/training/loss", "required"),
    ("/training", [], "/training", "an object"),
    ("/training/epochs", 10**9, "/training/epochs", "1000000"),
    ("/training/epochs", 0, "/training/epochs", "at least 1"),
    ("/training/batch_size", 0, "/training/batch_size", "at least 1"),
    ("/training/batch_size", -1, "/training/batch_size", "at least 1"),
    ("/training/batch_size", True, "/training/batch_size", "True"),
    ("/training/steps_per_epoch", 0, "/training/steps_per_epoch", "at least 1"),
    ("/training/optimizer/learning_rate", float("nan"), "/training/optimizer/learning_rate", "nan"),
    ("/training/optimizer/learning_rate", float("inf"), "/training/optimizer/learning_rate", "inf"),
    ("/training/optimizer/learning_rate", 1e39, "/training/optimizer/learning_rate", "1e+39"),
    ("/training/optimizer/learning_rate", -0.1, "/training/optimizer/learning_rate", "at least 0"),
    ("/training/optimizer/learning_rate", 10**5000, "/training/optimizer/learning_rate", "too large"),
    ("/training/optimizer/learning_rate", {"type": "Cosine"}, "/training/optimizer/learning_rate/type", "CosineDecay"),
    ("/training/optimizer/beta1", 0.9, "/training/optimizer/beta1", "did you mean 'beta_1'"),
    ("/training/optimizer/use_ema", 1, "/training/optimizer/use_ema", "true or false"),
    ("/training/optimizer/lr", 0.1, "/training/optimizer/lr", "did you mean 'learning_rate'"),
    ("/training/optimizer/ema_overwrite_frequency", 3, "/training/optimizer/use_ema", "true"),
    ("/training/optimizer", {"type": "Muon", "use_ema": True}, "/training/optimizer/use_ema", "no average"),
    ("/training/optimizer", {"type": "SGD", "clipnorm": 1, "gradient_accumulation_steps": 2},
     "/training/optimizer/clipnorm", "gradient_accumulation_steps"),
    ("/training/freeze", ["conv*", "nothing*"], "/training/freeze/1", "a pattern"),
    ("/training/freeze", "conv*", "/training/freeze", "a list"),
    ("/training/optimizer", {"type": "SGD", "clipnorm": 1, "clipvalue": 1}, "/training/optimizer/clipvalue", "null"),
    ("/training/optimizer", {"type": "SGD", "nesterov": True}, "/training/optimizer/momentum", "nesterov"),
    ("/training/optimizer", "adams", "/training/optimizer", "did you mean 'Adam'"),
    ("/training/loss", "mse", "/training/loss", "10 classes"),
    ("/training/loss", "CTC", "/training/loss", "alignments"),
    ("/training/optimizer", "LossScaleOptimizer", "/training/optimizer", "the optimizer inside"),
    ("/training/loss", None, "/training/loss", "a loss"),
    ("/training/loss", {"main": "mse"}, "/training/loss/main", "the name of an output"),
    ("/training/loss/reduction", "none", "/training/loss/reduction", "sum_over_batch_size, mean, sum"),
    ("/training/loss/ignore_class", 0.5, "/training/loss/ignore_class", "an integer"),
    ("/training/loss_weights", {"x": 1}, "/training/loss_weights/x", "the name of an output"),
    ("/training/metrics", ["accuarcy"], "/training/metrics/0", "'accuarcy'"),
    ("/training/metrics", ["accuracy", "accuracy"], "/training/metrics/1", "a name of its own"),
    ("/training/metrics", [{"type": "AUC", "name": "loss"}], "/training/metrics/0", "a name of its own"),
    ("/training/metrics", [{"type": "AUC", "name": "val_loss"}], "/training/metrics", "differ"),
    ("/training/metrics", [{"type": "SparseTopKCategoricalAccuracy", "k": 11}], "/training/metrics/0", "at most"),
    ("/training/metrics", ["mae", "MeanSquaredError"], None, ""),
    ("/training/class_weight", {"z": 1}, "/training/class_weight/z", "one of a, b"),
    ("/training/class_weight", {"10": 1}, "/training/class_weight/10", "one of a, b"),
    ("/training/class_weight", {"a": -1}, "/training/class_weight/a", "at least 0"),
    ("/training/class_weight", {"a": 1, "0": 2}, "/training/class_weight/0", "once"),
    ("/training/callbacks/0/monitor", "val_acc", "/training/callbacks/0/monitor", "did you mean 'val_accuracy'"),
    ("/training/callbacks/0", {"type": "LambdaCallback"}, "/training/callbacks/0/type", "EarlyStopping"),
    ("/training/seed", -1, "/training/seed", "at least 0"),
    ("/training/epoch", 3, "/training/epoch", "did you mean 'epochs'"),
    ("/checkpoints/monitor", "val_los", "/checkpoints/monitor", "did you mean 'val_loss'"),
    ("/checkpoints/keep_last", 0, "/checkpoints/keep_last", "at least 1"),
    ("/checkpoints/mode", "best", "/checkpoints/mode", "auto, min, max"),
    ("/resources/threads", 0, "/resources/threads", "at least 1"),
    ("/resources/max_seconds", 0, "/resources/max_seconds", "above 0"),
    ("/resources/gpus", 1, "/resources/gpus", "threads"),
    ("/optimizer", "adam", "/optimizer", "model, data, training"),
]


@pytest.mark.parametrize("number", range(len(BAD)))  # pytest cannot name an integer of 5,000 digits
def test_each_fault_is_found_at_its_place(number):
    path, value, pointer, words = BAD[number]
    job = changed(JOB, path, value)
    if pointer is None:
        try:
            parse_job(changed(job, "/checkpoints/monitor", None), IMAGES)
        except DefinitionError as error:
            pytest.fail(str(error))
        return
    found = faults(job)
    assert words in found[pointer]


def test_faults_of_all_parts_come_together():
    job = changed(changed(changed(JOB, "/model/layers/0/filters", 0), "/data/target", "x"), "/training/epochs", 0)
    assert set(faults(changed(job, "/resources/threads", 0))) == {
        "/model/layers/0/filters", "/data/target", "/training/epochs", "/resources/threads"}


@pytest.mark.parametrize("split", [{}, {"validation": 0.001}])
def test_without_validation_rows_nothing_called_val_can_be_watched(split):
    found = faults(changed(JOB, "/data/split", split))
    assert set(found) == {"/training/callbacks/0/monitor", "/checkpoints/monitor"}


def test_a_schedule_leaves_no_room_for_a_callback_that_sets_the_rate():
    job = changed(JOB, "/training/optimizer/learning_rate", {"type": "ExponentialDecay", "initial_learning_rate": 0.1,
                                                             "decay_steps": 10, "decay_rate": 0.9})
    job = changed(job, "/training/callbacks/0", {"type": "ReduceLROnPlateau"})
    assert "a schedule" in faults(job)["/training/callbacks/0"]


def test_class_weights_need_classes():
    job = changed(changed(TABULAR, "/data/target", "price"), "/training", {"loss": "mse", "class_weight": {"a": 1}})
    assert "numbers" in faults(changed(job, "/model/layers/1/activation", None), TABLE)["/training/class_weight"]


@pytest.mark.parametrize("document", [None, [], "x", 3, {}])
def test_what_is_no_job_at_all(document):
    faults(document)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(st.data())
def test_whatever_stands_wherever_only_definition_errors_come_out(data):
    document, schema = data.draw(st.sampled_from([(JOB, IMAGES), (TABULAR, TABLE), (HEADS, IMAGES)]), label="document")
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        path = data.draw(st.sampled_from(places(document)[1:] or ["/x"]), label="path")
        document = changed(document, path, data.draw(JSON | st.just(...), label="value"))
    try:
        spec = parse_job(document, schema)
    except DefinitionError as error:
        assert error.faults
        return
    assert parse_job(spec.to_json(), schema) == spec
