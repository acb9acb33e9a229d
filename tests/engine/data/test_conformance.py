"""What every registered format, transform and augmentation must do, with the samples that it declares itself."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest

from engine import random, registry
from engine.data import Dataset, ingest
from engine.data.apply import run_steps
from engine.data.ingest import guess_format, read_format
from engine.data.transform import flags
from engine.errors import DataError
from engine.options import describe, entry, parse, write


def samples(kind):
    known: dict[str, Any] = dict(registry.entries(kind))
    return [pytest.param(cls, sample, id=f"{name}-{getattr(sample, 'name', number)}")
            for name, cls in known.items() for number, sample in enumerate(cls.samples())]


def entries(kind):
    return [pytest.param(cls, id=name) for name, cls in registry.entries(kind).items()]


@pytest.mark.parametrize("cls", [*entries("format"), *entries("transform"), *entries("augmentation")])
def test_an_entry_says_what_it_is(cls):
    assert cls.__doc__
    assert cls.samples()
    json.dumps(describe(cls), allow_nan=False)


# Formats --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "sample"), samples("format"))
def test_a_format_recognises_and_reads_its_samples(cls, sample, tmp_path):
    source, output = tmp_path / "source", tmp_path / "output"
    source.write_bytes(sample.content())
    output.mkdir()
    assert guess_format(source, sample.filename) == cls.type_name
    told = []
    manifest = ingest(source, output, options=sample.options, filename=sample.filename,
                      progress=lambda done, total: told.append((done, total)))
    assert manifest == json.loads(json.dumps(manifest, allow_nan=False))
    assert {feature["name"]: feature["type"] for feature in manifest["features"]} == dict(sample.columns)
    assert {name: stop - start for name, (start, stop) in manifest["splits"].items()} == dict(sample.splits)
    assert manifest["examples"] == sum(sample.splits.values())
    assert told
    assert all(0 <= done <= total for done, total in told)
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    dataset = Dataset.open(output, manifest)
    assert sorted(path.name for path in output.iterdir()) == sorted(file["name"] for file in manifest["files"])
    for feature in manifest["features"]:
        column = dataset.columns[feature["name"]]
        assert column.shape == (manifest["examples"], *feature["shape"])
        assert column.dtype == np.dtype(feature["dtype"])
        assert column.dtype.isnative
        profile = manifest["profile"][feature["name"]]
        assert profile["count"] + profile["missing"] == column.size or feature["type"] == "image"
    assert len(manifest["preview"]) == min(100, manifest["examples"])


@pytest.mark.parametrize(("cls", "sample"), samples("format"))
def test_a_format_reads_the_same_bytes_from_the_same_file(cls, sample, take):
    first, second = (take(sample.content(), sample.filename, **sample.options) for _ in range(2))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(("cls", "sample"), samples("format"))
@pytest.mark.parametrize("keep", [0, 1, 7, 0.5, 0.9])
def test_a_truncated_file_is_refused_or_is_a_smaller_table(cls, sample, keep, take):
    content = sample.content()
    cut = content[:keep if isinstance(keep, int) else int(len(content) * keep)]
    try:
        take(cut, sample.filename, format=cls.type_name, **sample.options)
    except DataError as error:
        assert error.code
        assert "expected" in error.detail or "received" in error.detail
    else:
        assert cls.type_name == "csv"


@pytest.mark.parametrize(("cls", "sample"), samples("format"))
def test_flipped_bytes_never_raise_anything_but_data_errors(cls, sample, take):
    content = sample.content()
    rng = np.random.default_rng(len(content))
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            broken[place] = rng.integers(0, 256)
        with contextlib.suppress(DataError):
            take(bytes(broken), sample.filename, format=cls.type_name, **sample.options)


@pytest.mark.parametrize("cls", entries("format"))
def test_a_format_reads_its_own_options_back(cls):
    for sample in cls.samples():
        reader = read_format(cls.type_name, sample.options)
        again = read_format(cls.type_name, {key: value for key, value in write(reader).items() if key != "type"})
        assert again == reader


# Transforms -----------------------------------------------------------------------------------------------------------


def as_values(part, values):
    if part.kind == "category":
        return np.asarray(values, np.int32)
    if part.kind == "text":
        return np.array(values, object)
    return np.asarray(values, np.float64).reshape(-1, *part.shape)


@pytest.mark.parametrize(("cls", "sample"), samples("transform"))
def test_a_transform_gives_its_expected_results(cls, sample):
    transform = parse(entry("transform"), {"type": cls.type_name, **sample.options}, "")
    assert parse(entry("transform"), write(transform), "") == transform
    assert transform.accepts(sample.part) is None
    resolved = transform.resolve(sample.part)
    training = as_values(sample.part, sample.training)
    pieces = [training[:1], training[1:]] if len(training) > 1 else [training] if len(training) else []
    state = transform.fit(sample.part, lambda: iter(pieces))
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    values = as_values(sample.part, sample.values)
    before = values.copy()
    result = run_steps(values, [{"type": cls.type_name, **state}])
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(result, sample.expected, rtol=1e-12)
    assert result.shape == (len(values), *resolved[0].shape)
    assert result.dtype == (np.int32 if resolved[0].kind == "category" else np.float64)
    if sample.flags is not None:
        np.testing.assert_array_equal(flags(values), sample.flags)
        assert resolved[1].shape == ()
        assert resolved[1].kind == "numeric"


@pytest.mark.parametrize(("cls", "sample"), samples("transform"))
def test_a_transform_of_pictures_is_affine(cls, sample):
    transform = parse(entry("transform"), {"type": cls.type_name, **sample.options}, "")
    if sample.part.kind != "image":
        return
    training = as_values(sample.part, sample.training)
    state = transform.fit(sample.part, lambda: iter([training]))
    scale, offset = transform.affine(state)
    values = as_values(sample.part, sample.values)
    np.testing.assert_allclose(values * scale + offset, transform.apply(values, state), rtol=1e-12)


# Augmentations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "sample"), samples("augmentation"))
def test_an_augmentation_changes_an_example_by_its_key_alone(cls, sample):
    augmentation = parse(entry("augmentation"), {"type": cls.type_name, **sample.options}, "")
    assert parse(entry("augmentation"), write(augmentation), "") == augmentation
    assert augmentation.fault(sample.shape) is None
    assert augmentation.output_shape(sample.shape) == sample.output_shape
    assert augmentation.fault((7,)) is not None
    images = random.uniform((0, 0, 0, 0), 40 * int(np.prod(sample.shape))).reshape(40, *sample.shape)
    kept = images.copy()
    examples = np.arange(100, 140, dtype=np.int64)
    together = augmentation.reference(images, seed=1, epoch=2, examples=examples, place=3)
    np.testing.assert_array_equal(images, kept)
    assert together.shape == (40, *sample.output_shape)
    assert together.dtype == np.float32
    order = np.array([7, 3, 39, 0])
    apart = augmentation.reference(images[order], seed=1, epoch=2, examples=examples[order], place=3)
    np.testing.assert_array_equal(apart, together[order])
    words = random.bits((1, random.AUGMENTATION, 2, examples), 4)
    parameters = augmentation.parameters(words, sample.shape)
    assert parameters.shape[0] == 40
    assert parameters.dtype in (np.dtype(np.int32), np.dtype(np.float32))
    assert augmentation.inference(images).shape == together.shape
    if sample.output_shape != sample.shape or np.ptp(parameters, axis=0).any():
        others = [augmentation.reference(images, seed=seed, epoch=epoch, examples=examples, place=place)
                  for seed, epoch, place in ((0, 2, 3), (1, 3, 3), (1, 2, 0))]
        assert all((other != together).any() for other in others)
