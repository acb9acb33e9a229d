"""A data block against a manifest: what it comes to, and a pointer to every fault."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.data import columns
from engine.errors import DefinitionError

from .conftest import picture, saved, zipped

TABLE = ("age,city,income,member,grade,label,weight,empty,name\n"
         + "".join(f"{'' if n % 7 == 0 else 20 + n % 30},{['Rome', 'Oslo', 'Bern'][n % 3]},{n * 1.5},"
                   f"{'true' if n % 2 else 'false'},{n % 4 + 1},{'yes' if n % 4 else 'no'},{n % 5},,{n}-{'x' * 300}\n"
                   for n in range(60)))


@pytest.fixture
def table(take):
    return take(TABLE, "people.csv").manifest


@pytest.fixture
def pictures(take):
    entries = {f"{split}/{label}/{number}.png": picture((6, 8, 3))
               for split in ("train", "test") for label in "ab" for number in range(5)}
    return take(zipped(entries), "pictures.zip").manifest


def faults(block, manifest, **options):
    with pytest.raises(DefinitionError) as caught:
        columns.resolve(block, manifest, **options)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


FILL = {"type": "Impute", "columns": ["age"]}
ALL = ["age", "city", "income", "member", "grade"]


def test_a_table_becomes_one_matrix(table):
    plan = columns.resolve({"features": ALL, "target": "label", "preprocessing": [FILL]}, table)
    assert plan.inputs["features"].shape == plan.inputs["features"].stored_shape == (1 + 3 + 1 + 1 + 1,)
    assert plan.inputs["features"].dtype == "float32"
    assert plan.target.kind == "classes"
    assert plan.target.classes == ("no", "yes")
    assert (plan.target.shape, plan.target.dtype) == ((), "int32")


def test_the_block_comes_back_with_defaults_and_means_the_same(table):
    plan = columns.resolve({"features": ALL[:4], "target": "grade", "preprocessing": [FILL], "sample_weight": "weight",
                            "split": {"validation": 0.2}}, table, wants="classes")
    written = plan.to_json()
    assert written == json.loads(json.dumps(written))
    assert written["target"] == {"column": "grade", "kind": "classes"}
    assert written["preprocessing"][1] == {"type": "OneHot", "columns": ["city"], "unknown": "zeros",
                                           "missing": "zeros"}
    assert written["split"] == {"validation": 0.2, "test": 0.0, "stratify": False, "seed": None}
    again = columns.resolve(written, table)
    assert again.to_json() == written
    assert (again.inputs, again.parts, again.target) == (plan.inputs, plan.parts, plan.target)


def test_features_default_to_all_but_target_and_weight(take):
    manifest = take("a,b,c,w\n1,x,2,1\n2,y,3,0\n", "x.csv", target="b").manifest
    plan = columns.resolve(None, manifest)
    assert plan.to_json()["features"] == ["a", "c", "w"]
    assert plan.to_json()["target"] == "b"
    assert columns.resolve({"sample_weight": "w"}, manifest).to_json()["features"] == ["a", "c"]
    assert "/data/features" in faults({"features": []}, manifest)


def test_several_inputs(table):
    plan = columns.resolve({"features": {"left": ["income", "member"], "right": ["city", "income"]}, "target": "label"},
                           table)
    assert {name: spec.shape for name, spec in plan.inputs.items()} == {"left": (2,), "right": (4,)}
    assert plan.to_json()["features"] == {"left": ["income", "member"], "right": ["city", "income"]}


@pytest.mark.parametrize(("block", "expected"), [
    ({"features": ["agee", "city"], "target": "labl"},
     {"/data/features/0": "expected a column of the dataset, received 'agee'; did you mean 'age'?",
      "/data/target": "expected a column of the dataset, received 'labl'; did you mean 'label'?"}),
    ({"features": ["income"]},
     {"/data/target": "expected a column to predict, received nothing: the dataset names none itself"}),
    ({"features": ["income", "label"], "target": "label"},
     {"/data/features/1": "expected a feature, received 'label', which is the target or the weight"}),
    ({"features": ["income", "income"], "target": "label"},
     {"/data/features/1": "expected different columns, received 'income' twice"}),
    ({"features": {"a": ["income"], "b": ["incom"]}, "target": "label"},
     {"/data/features/b/0": "expected a column of the dataset, received 'incom'; did you mean 'income'?"}),
    ({"features": ["age", "income"], "target": "label"},
     {"/data/preprocessing": "expected a step for the missing values of column 'age' (Impute), received none, and 9 of "
                             "60 values are missing"}),
    ({"features": ["name", "income"], "target": "label"},
     {"/data/features": "expected columns of numbers, categories or pictures, received 'name', which is free text "
                        "(long, or too many different ones); give it a step such as TextVectorization, or list the "
                        "features without it"}),
    ({"features": ["income"], "target": "age"},
     {"/data/target": "expected a target in every row, received 9 rows without a value of 'age'"}),
    ({"features": ["income"], "target": "name"},
     {"/data/target": "expected classes or numbers, received 'name' of type text"}),
    ({"features": ["income"], "target": ["grade", "label"]},
     {"/data/target/1": "expected columns of numbers, received 'label' of type category"}),
    ({"features": ["income"], "target": {"column": "label", "kind": "numeric"}},
     {"/data/target": "expected a column of numbers, received 'label' of type category"}),
    ({"features": ["income"], "target": {"column": "label", "kind": "class"}},
     {"/data/target/kind": "expected one of classes, numeric, received 'class'; did you mean 'classes'?"}),
    ({"features": ["member"], "target": {"column": "income", "kind": "classes"}},
     {"/data/target": "expected a column of texts or of at most 1000 distinct integers as classes, received 'income' "
                      "of type number"}),
    ({"features": ["income"], "target": "label", "sample_weight": "city"},
     {"/data/sample_weight": "expected a column of numbers, received category of shape []"}),
    ({"features": ["income"], "target": "label", "sample_weight": "age"},
     {"/data/sample_weight": "expected a weight in every row, received 9 rows without"}),
    ({"features": ["income"], "target": "income", "split": {"stratify": True, "validation": 0.1}},
     {"/data/features/0": "expected a feature, received 'income', which is the target or the weight"}),
    ({"features": ["grade"], "target": "income", "split": {"stratify": True, "validation": 0.1}},
     {"/data/split/stratify": "expected a target of classes, received one of numbers"}),
    ({"features": ["city"], "target": "label", "preprocessing": [
        {"type": "OneHot", "columns": ["cty"]}, {"type": "Impute", "columns": ["city"]},
        {"type": "Normalization", "columns": ["income"]}]},
     {"/data/preprocessing/0/columns/0": "expected a column among the features, received 'cty'; did you mean 'city'?",
      "/data/preprocessing/1/columns/0": "expected numbers, received 'city', a column of categories",
      "/data/preprocessing/2/columns/0": "expected a column among the features, received 'income', which is no "
                                         "feature"}),
    ({"features": ["income"], "target": "label", "preprocessing": [{"type": "OneHot"}]},
     {"/data/preprocessing/0": "expected a column that OneHot can be applied to, received none among the features"}),
    ({"features": ["empty"], "target": "label", "preprocessing": [{"type": "Normalise"}]},
     {"/data/preprocessing/0/type": "expected one of Discretization, Hashing, Impute, Index, IntegerLookup, "
                                    "Normalization, OneHot, Rescaling, StringLookup, TextVectorization, received "
                                    "'Normalise'; did you mean 'Normalization'?"}),
    ({"features": ["income"], "target": "label", "preprocessing": [
        {"type": "Rescaling", "scale": float("nan")}, {"type": "Normalization", "mean": 1}]},
     {"/data/preprocessing/0/scale": "expected a finite number, received nan",
      "/data/preprocessing/1/variance": "expected mean and variance together, received None"}),
    ({"features": ["income"], "target": "label", "preprocessing": [{"type": "Impute", "strategy": "constant"}]},
     {"/data/preprocessing/0/value": "expected a number or a text for the strategy constant, received None"}),
    ({"features": ["income"], "target": "label", "augmentation": [{"type": "RandomFlip"}]},
     {"/data/augmentation/0": "expected an input of pictures (height, width, channels), received none"}),
    ({"features": ["income"], "target": "label", "feature": []},
     {"/data/feature": "expected one of augmentation, features, preprocessing, sample_weight, split, target, received "
                       "the unknown field 'feature'; did you mean 'features'?"}),
    ({"features": ["income"], "target": "label", "split": {"test": 0.5, "validation": 0.499}},
     {"/data/split": "expected a row to train on, received 60 rows, all of them taken"}),
    ([], {"/data": "expected an object, received []"}),
])
def test_every_fault_has_its_pointer(table, block, expected):
    assert faults(block, table) == expected


def test_the_pointer_given_comes_first(table):
    found = faults({"features": ["agee"], "target": "label"}, table, pointer="/job/data")
    assert set(found) == {"/job/data/features/0"}


def test_missing_categories_need_a_step_and_any_step_serves(take):
    manifest = take("city,y\nRome,1\n,0\n", "x.csv", target="y").manifest
    assert "(Impute, or OneHot)" in faults({}, manifest)["/data/preprocessing"]
    plan = columns.resolve({"preprocessing": [{"type": "OneHot", "missing": "category"}]}, manifest)
    assert plan.inputs["city"].shape == (2,)
    plan = columns.resolve({"preprocessing": [{"type": "Impute", "strategy": "constant", "value": "none"}]}, manifest)
    assert plan.inputs["city"].shape == (2,)
    assert "/data/preprocessing/0" in faults({"preprocessing": [{"type": "Index"}]}, manifest)


def test_integers_are_classes_or_numbers_as_the_loss_wants(table):
    def kind(target, wants=None):
        return columns.resolve({"features": ["income"], "target": target}, table, wants=wants).target

    assert kind("grade").classes == ("1", "2", "3", "4")
    assert kind("grade", "numeric").shape == (1,)
    assert kind({"column": "grade", "kind": "classes"}, "numeric").kind == "classes"
    assert kind("member").classes == ("false", "true")
    assert kind(["grade", "weight"]).shape == (2,)
    assert kind(["grade", "weight"]).dtype == "float32"


@pytest.mark.parametrize(("values", "kind"), [
    (range(150), "classes"), (range(1, 151), "numeric"), ([3, 5, 9] * 50, "classes"), (range(-1, 149), "numeric"),
    (range(2000), "numeric"),
])
def test_integers_without_a_loss_are_classes_if_they_look_so(take, values, kind):
    values = np.array(list(values))
    manifest = take(saved(x=np.zeros((len(values), 2)), y=values), "x.npz").manifest
    assert columns.resolve({}, manifest).target.kind == kind


def test_pictures_stay_bytes(pictures):
    steps = [{"type": "Rescaling", "scale": 1 / 255}, {"type": "Normalization"}]
    plan = columns.resolve({"preprocessing": steps}, pictures)
    spec = plan.inputs["image"]
    assert (spec.shape, spec.dtype) == ((6, 8, 3), "uint8")
    assert plan.to_json()["features"] == ["image"]
    assert plan.target.classes == ("a", "b")


def test_augmentations_follow_each_other(pictures):
    steps = [{"type": "RandomFlip"}, {"type": "RandomCrop", "height": 4, "width": 5}]
    plan = columns.resolve({"augmentation": steps}, pictures)
    assert plan.inputs["image"].shape == (4, 5, 3)
    assert plan.inputs["image"].stored_shape == (6, 8, 3)
    assert faults({"augmentation": [{"type": "RandomCrop", "height": 4, "width": 5},
                                    {"type": "RandomCrop", "height": 5, "width": 5}]}, pictures) == {
        "/data/augmentation/1": "expected pictures (height, width, channels) of at least 5 x 5, received 'image' of "
                                "shape (4, 5, 3)"}


@pytest.mark.parametrize(("block", "pointer"), [
    ({"preprocessing": [{"type": "OneHot", "columns": ["image"]}]}, "/data/preprocessing/0/columns/0"),
    ({"preprocessing": [{"type": "Impute", "columns": ["image"]}]}, "/data/preprocessing/0/columns/0"),
    ({"preprocessing": [{"type": "Normalization", "columns": ["image"], "mean": [0, 0], "variance": [1, 1]}]},
     "/data/preprocessing/0/columns/0"),
    ({"split": {"test": 0.2}}, "/data/split/test"),
    ({"features": ["label"], "target": "image"}, "/data/target"),
])
def test_faults_of_pictures(pictures, block, pointer):
    assert set(faults(block, pictures)) == {pointer}


def test_pictures_do_not_mix_with_table_columns(take):
    manifest = take(saved(x=np.zeros((4, 5, 5), np.uint8), z=np.zeros(4), y=np.arange(4) % 2), "x.npz").manifest
    expected = ("expected table columns to concatenate, or one column alone (for a model of several inputs, "
                '{"input": ["column", ...], ...}), received \'x\' of shape (5, 5) among others')
    assert faults({}, manifest) == {"/data/features": expected}
    plan = columns.resolve({"features": {"picture": ["x"], "table": ["z"]}}, manifest)
    assert {name: spec.shape for name, spec in plan.inputs.items()} == {"picture": (5, 5), "table": (1,)}


def test_too_wide_an_input_is_refused(take):
    manifest = take(saved(x=np.zeros((2, 66_000), np.float16), y=np.arange(2)), "x.npz").manifest
    assert faults({}, manifest) == {"/data/features": "expected at most 65536 numbers an example, received 66000, "
                                                      "66000 of them from 'x'"}


def test_steps_without_a_use_warn_or_are_refused(table):
    plan = columns.resolve({"features": ["income"], "target": "label", "preprocessing": [{"type": "Impute"}],
                            "split": {"validation": 0.001}}, table)
    assert plan.warnings == ("/data/split/validation: 0.001 of 60 rows is none",
                             "/data/preprocessing/0: no feature has missing values")
