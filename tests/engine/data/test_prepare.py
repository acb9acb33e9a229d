"""From an uploaded file to the arrays of a training run, and to new raw examples treated the same."""

from __future__ import annotations

import csv
import io
import json
import math
import resource
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from engine.data import Dataset, affine_of, apply_preprocessing, columns, ingest, prepare
from engine.errors import DataError

from .conftest import saved, zipped


def run(dataset, block=None, seed=0, **options):
    return prepare(dataset, columns.resolve(block, dataset.manifest, **options), seed=seed)


def through_json(prepared):
    return json.loads(json.dumps(prepared.preprocessing, allow_nan=False))


@pytest.fixture
def digits(take):
    data = load_digits()
    entries = {}
    for number, (pixels, label) in enumerate(zip(data.images, data.target, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray((pixels * 15).astype(np.uint8)).save(buffer, "PNG")
        entries[f"{label}/{number:04}.png"] = buffer.getvalue()
    return take(zipped(entries), "digits.zip")


def test_digits_as_pictures(digits):
    data = load_digits()
    prepared = run(digits, {"split": {"validation": 0.2, "test": 0.1, "stratify": True},
                            "preprocessing": [{"type": "Rescaling", "scale": 1 / 255}, {"type": "Normalization"}],
                            "augmentation": [{"type": "RandomTranslation", "height_factor": 0.1, "width_factor": 0.1}]})
    images = prepared.inputs["image"]
    assert isinstance(images, np.memmap)
    assert images.dtype == np.uint8
    order = np.argsort(data.target, kind="stable")
    np.testing.assert_array_equal(images[:, :, :, 0], (data.images[order] * 15).astype(np.uint8))
    np.testing.assert_array_equal(prepared.target, data.target[order])
    assert prepared.target.dtype == np.int32
    assert prepared.classes == tuple("0123456789")
    counts = {name: len(rows) for name, rows in prepared.splits.items()}
    assert counts == {"train": 1258, "validation": 359, "test": 180}
    scale, offset = prepared.affine["image"]
    assert scale.dtype == offset.dtype == np.float32
    train = images[prepared.splits["train"]].astype(np.float32) * scale + offset
    assert abs(train.mean()) < 1e-4
    assert abs(train.std() - 1) < 1e-4
    preprocessing = through_json(prepared)
    for raw in (images, {"image": images}, images[..., 0][..., None].astype(float), images[:5].tolist()):
        result = apply_preprocessing(preprocessing, raw)["image"]
        np.testing.assert_array_equal(result, images[:len(result)])
    np.testing.assert_array_equal(affine_of(preprocessing)["image"], prepared.affine["image"])
    assert [type(entry).type_name for entry in prepared.augmentations] == ["RandomTranslation"]


def test_digits_as_arrays_are_the_same_numbers(take):
    data = load_digits()
    dataset = take(saved(x=data.data, y=data.target), "digits.npz")
    prepared = run(dataset, {"preprocessing": [{"type": "Rescaling", "scale": 1 / 16}]}, wants="classes")
    np.testing.assert_allclose(prepared.inputs["x"], data.data / 16, rtol=1e-7)
    np.testing.assert_array_equal(prepared.target, data.target)
    np.testing.assert_array_equal(apply_preprocessing(through_json(prepared), data.data)["x"], prepared.inputs["x"])


def messy(rows=500):
    rng = np.random.default_rng(0)
    cities = ["Rome", "São Paulo", "Oslo; north", 'the "Hague"', "Bern, CH"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow(["age", " income ", "city", "member", "month", "note", "weight", "bought"])
    for number in range(rows):
        writer.writerow(["NA" if rng.random() < 0.1 else rng.integers(18, 90),
                         "" if rng.random() < 0.2 else repr(float(rng.normal(3e4, 1e4))),
                         "?" if rng.random() < 0.05 else cities[rng.integers(5)],
                         str(rng.random() < 0.5), rng.integers(1, 13), f"note {number}\nof two lines",
                         round(float(rng.random()), 3), "yes" if rng.random() < 0.3 else "no"])
    return "\ufeff" + buffer.getvalue()


MESSY = {"features": ["age", "income", "city", "member", "month"], "target": "bought", "sample_weight": "weight",
         "split": {"validation": 0.2, "test": 0.15, "stratify": True},
         "preprocessing": [{"type": "Impute", "columns": ["age"], "strategy": "median", "indicator": True},
                           {"type": "Impute", "columns": ["income"]},
                           {"type": "Impute", "columns": ["city"], "strategy": "most_frequent"},
                           {"type": "OneHot", "columns": ["month"]},
                           {"type": "Normalization"}]}


def test_a_messy_table(take):
    content = messy()
    dataset = take(content, "people.csv")
    assert dataset.manifest["profile"]["income"]["missing"] > 50
    prepared = run(dataset, MESSY, seed=3)
    matrix = prepared.inputs["features"]
    assert matrix.shape == (500, 1 + 1 + 1 + 5 + 1 + 12)
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()
    rows = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff")), delimiter=";"))
    rows = [{name.strip(): value for name, value in row.items()} for row in rows]
    train = prepared.splits["train"]
    ages = np.array([np.nan if row["age"] == "NA" else float(row["age"]) for row in rows])
    filled = np.where(np.isnan(ages), np.nanmedian(ages[train]), ages)
    np.testing.assert_allclose(matrix[:, 0], (filled - filled[train].mean()) / filled[train].std(), rtol=1e-5)
    np.testing.assert_array_equal(matrix[:, 1], np.isnan(ages))
    incomes = np.array([np.nan if row["income"] == "" else float(row["income"]) for row in rows])
    filled = np.where(np.isnan(incomes), np.nanmean(incomes[train]), incomes)
    expected = (filled - filled[train].mean()) / filled[train].std()
    np.testing.assert_allclose(matrix[:, 2], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(matrix[:, 3:8].sum(axis=1), 1)
    np.testing.assert_array_equal(matrix[:, 9:].argmax(axis=1) + 1, [int(row["month"]) for row in rows])
    np.testing.assert_array_equal(prepared.target, [row["bought"] == "yes" for row in rows])
    np.testing.assert_allclose(prepared.sample_weight, [float(row["weight"]) for row in rows], rtol=1e-6)
    assert sum(map(len, prepared.splits.values())) == 500
    preprocessing = through_json(prepared)
    by_column = {name: [row[name] for row in rows] for name in rows[0]}
    for raw in (rows, by_column):
        np.testing.assert_array_equal(apply_preprocessing(preprocessing, raw)["features"], matrix)
    typed = [{"age": None if np.isnan(age) else int(age), "income": income, "city": row["city"],
              "member": row["member"] == "True", "month": int(row["month"])}
             for row, age, income in zip(rows, ages, incomes, strict=True)]
    np.testing.assert_array_equal(apply_preprocessing(preprocessing, typed)["features"], matrix)
    in_order = [[row[name] for name in MESSY["features"]] for row in rows]
    np.testing.assert_array_equal(apply_preprocessing(preprocessing, in_order)["features"], matrix)


def test_what_is_learnt_is_learnt_from_training_rows_only(take):
    split = "part,x,y\n" + "train,1,a\ntrain,3,b\ntrain,,a\n" + "test,1000,a\nvalidation,-1000,b\n"
    dataset = take(split, "x.csv", split="part", target="y")
    prepared = run(dataset, {"preprocessing": [{"type": "Impute"}, {"type": "Normalization"}]})
    assert prepared.preprocessing["inputs"]["x"]["parts"][0]["steps"][0] == {"type": "Impute", "fill": 2.0}
    np.testing.assert_allclose(prepared.inputs["x"][:3, 0], [-1.2247449, 1.2247449, 0], rtol=1e-6)
    assert prepared.inputs["x"][4, 0] > 1000


def test_preparing_again_gives_the_same_bits(take):
    dataset = take(messy(200), "people.csv")
    first, second, other = (run(dataset, MESSY, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.inputs["features"], second.inputs["features"])
    assert first.preprocessing == second.preprocessing
    assert (first.splits["train"] != other.splits["train"]).any()


def test_several_numeric_targets(take):
    dataset = take("a,b,c\n1,2.5,7\n3,4.5,9\n", "x.csv")
    prepared = run(dataset, {"features": ["a"], "target": ["b", "c"]})
    np.testing.assert_array_equal(prepared.target, np.array([[2.5, 7], [4.5, 9]], np.float32))
    assert prepared.classes is None
    single = run(dataset, {"features": ["a"], "target": {"column": "c", "kind": "numeric"}})
    assert single.target.shape == (2, 1)


def test_class_codes_follow_the_sorted_values(take):
    dataset = take(saved(x=np.zeros((4, 2)), y=np.array([[9], [3], [3], [5]], np.uint8)), "x.npz")
    prepared = run(dataset)
    assert prepared.classes == ("3", "5", "9")
    np.testing.assert_array_equal(prepared.target, [2, 0, 0, 1])


def test_float_tensors_stay_on_disk_unless_a_step_changes_them(take):
    x = np.random.default_rng(0).normal(3, 2, (50, 4, 4, 2)).astype(np.float32)
    dataset = take(saved(x=x, y=np.arange(50) % 2), "x.npz")
    assert isinstance(run(dataset).inputs["x"], np.memmap)
    normalised = run(dataset, {"preprocessing": [{"type": "Normalization"}]}).inputs["x"]
    np.testing.assert_allclose(normalised.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(normalised.std(axis=(0, 1, 2)), 1, atol=1e-6)


def test_missing_classes_are_warned_about(take):
    dataset = take("x,y\n" + "1,a\n" * 20 + "1,b\n", "x.csv", target="y")
    prepared = run(dataset, {"split": {"validation": 0.3, "stratify": True}})
    assert prepared.warnings == ("class 'b' has no examples in the validation split",)


def test_a_column_without_values_in_training_is_refused(take):
    dataset = take("part,x,y\ntrain,,a\ntrain,,b\ntest,1,a\n", "x.csv", split="part", target="y")
    for step in ({"type": "Impute"}, {"type": "Impute", "strategy": "most_frequent"}, {"type": "Normalization"}):
        with pytest.raises(DataError) as caught:
            run(dataset, {"preprocessing": [step, {"type": "Impute"}]})
        assert caught.value.code == "column_empty"
        assert caught.value.where == "column 'x'"


def test_numbers_that_leave_float32_are_refused(take):
    with pytest.raises(DataError) as caught:
        run(take("x,y\n1,a\n2,b\n", "x.csv", target="y"), {"preprocessing": [{"type": "Rescaling", "scale": 1e300}]})
    assert (caught.value.code, caught.value.where) == ("missing_value", "column 'x', row 0")


@pytest.mark.parametrize(("raw", "code"), [
    ({"size": [1.0]}, "unknown_column"),
    ([{"size": 1.0}], "unknown_column"),
    ({"size": [1.0, 2.0], "city": ["Rome"]}, "length_mismatch"),
    ({"size": ["big"], "city": ["Rome"]}, "input_value"),
    ({"size": [None], "city": ["Rome"]}, "missing_value"),
    ({"size": [float("inf")], "city": ["Rome"]}, "missing_value"),
    ({"size": [[1.0, 2.0]], "city": ["Rome"]}, "input_shape"),
    ({"size": [1.0], "city": ["Paris"]}, "unknown_category"),
    ([[1.0]], "input_shape"),
    (7, "input_shape"),
])
def test_bad_raw_examples_are_refused(take, raw, code):
    dataset = take("size,city,y\n1,Rome,a\n2,Oslo,b\n", "x.csv", target="y")
    prepared = run(dataset, {"preprocessing": [{"type": "OneHot", "unknown": "error"}]})
    with pytest.raises(DataError) as caught:
        apply_preprocessing(prepared.preprocessing, raw)
    assert caught.value.code == code


def test_new_pictures_are_cropped_to_the_middle(digits):
    prepared = run(digits, {"augmentation": [{"type": "RandomCrop", "height": 6, "width": 5}]})
    images = prepared.inputs["image"]
    assert images.shape == (1797, 8, 8, 1)
    assert prepared.preprocessing["inputs"]["image"]["shape"] == [6, 5, 1]
    result = apply_preprocessing(through_json(prepared), images)["image"]
    np.testing.assert_array_equal(result, images[:, 1:7, 1:6])


def test_raw_pictures_must_be_bytes(digits):
    preprocessing = run(digits).preprocessing
    for raw, code in ((np.full((2, 8, 8, 1), 0.5), "input_value"), (np.full((2, 8, 8, 1), 256), "input_value"),
                      (np.zeros((2, 9, 8, 1), np.uint8), "input_shape"),
                      (np.full((2, 8, 8, 1), np.nan), "input_value")):
        with pytest.raises(DataError) as caught:
            apply_preprocessing(preprocessing, raw)
        assert caught.value.code == code


@pytest.mark.parametrize(("value", "received"), [
    (0.5, "values with fractions such as 0.5"), (300, "300"), (-1.0, "-1"), (math.nan, "NaN or infinity")])
def test_pictures_scaled_by_hand_are_told_of_the_files_own_steps(digits, value, received):
    raw = np.full((2, 8, 8, 1), value)
    expected = f"expected whole numbers from 0 to 255, received {received}"
    for data, ending in (({"preprocessing": [{"type": "Rescaling", "scale": 1 / 255}]},
                          "; the file applies its own Rescaling"), ({"preprocessing": []}, "")):
        with pytest.raises(DataError) as caught:
            apply_preprocessing(run(digits, data).preprocessing, raw)
        assert caught.value.detail == expected + ending


def test_a_misspelt_column_is_answered_with_the_right_name(take, digits):
    with pytest.raises(DataError, match=r"expected the column 'image', received 'img'; did you mean 'image'\?"):
        apply_preprocessing(run(digits).preprocessing, {"img": np.zeros((1, 8, 8, 1), np.uint8)})
    table = run(take("size,city,y\n1,Rome,a\n2,Oslo,b\n", "x.csv", target="y")).preprocessing
    with pytest.raises(DataError, match=r"expected the column 'city', received 'size', 'x', 'City'; "
                                        r"did you mean 'city'\?$"):
        apply_preprocessing(table, {"size": [1], "x": [2], "City": ["Rome"]})
    with pytest.raises(DataError, match=r"received 'size'$"):
        apply_preprocessing(table, {"size": [1]})


def test_a_dataset_whose_files_are_not_the_manifests_is_refused(take, tmp_path):
    dataset = take("x,y\n1,a\n2,b\n", "x.csv")
    folder = tmp_path / "dataset-1"
    (folder / "int64.npy").write_bytes((folder / "int64.npy").read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        Dataset.open(folder, dataset.manifest)
    assert caught.value.code == "dataset_incomplete"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_cifar_is_ingested_within_its_time_and_memory(shared_cifar, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    manifest = ingest(shared_cifar, tmp_path)
    assert time.process_time() - start < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # of 184 MB mapped, in kilobytes
    assert manifest["splits"] == {"train": [0, 50_000], "test": [50_000, 60_000]}
    assert manifest["profile"]["label"]["splits"]["train"]["cat"] == 5000
    prepared = run(Dataset.open(tmp_path, manifest), {"features": ["image"], "target": "label",
                                                      "split": {"validation": 0.2, "stratify": True},
                                                      "preprocessing": [{"type": "Rescaling", "scale": 1 / 255}]})
    assert prepared.inputs["image"].shape == (60_000, 32, 32, 3)
    assert {name: len(rows) for name, rows in prepared.splits.items()} == {"train": 40_000, "validation": 10_000,
                                                                            "test": 10_000}
    assert np.bincount(prepared.target[prepared.splits["validation"]]).tolist() == [1000] * 10
