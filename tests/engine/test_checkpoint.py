"""Checkpoints: every bit comes back, files of two moments never meet, and another training is refused."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import checkpoint, formats
from engine.checkpoint import Origin, TrainingState
from engine.errors import WeightsError
from engine.formats import Metadata
from engine.formats.safetensors import read_tensors, write_tensors
from engine.options import entry, parse
from engine.progress import CheckpointFiles

ORIGIN = Origin(spec_sha256="a" * 64, dataset_sha256="b" * 64, engine_version="1", threads=2, cpu="x86_64 Made up")
METADATA = Metadata(definition={"layers": []}, preprocessing={}, classes=("x", "y"), metrics={"loss": 0.5},
                    engine_version="1")


def variables(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"conv2d/kernel": random.standard_normal((3, 3, 2, 4), np.float32),
            "dense/bias": random.standard_normal(5, np.float32)}


def state(**changes) -> TrainingState:
    callback = parse(entry("callback"), {"type": "EarlyStopping", "restore_best_weights": True}, "").start()
    callback.on_epoch_end(1, {"val_loss": 0.3})
    filled = TrainingState(
        step=1234, epoch=2, batch=17, seed=2**62 + 1, learning_rate=0.1, elapsed_seconds=12.5, stopped=True,
        slots={"momentum/dense/bias": np.full(5, 1e-40, np.float32), "iterations": np.array(1234, np.int64)},
        sums={"loss": np.array([0.1, 3.0]), "accuracy": np.array([1 / 3, 32.0])},
        remembered={"0": variables(1), "best": variables(2)}, callbacks=(callback.snapshot(), {}),
        history=({"epoch": 1, "loss": 0.1 + 0.2, "val_loss": float("inf")}, {"epoch": 2, "loss": 1e-300}),
        best={"epoch": 1, "step": 600, "value": 0.3})
    return dataclasses.replace(filled, **changes)


def assert_same(left, right) -> None:
    """Bit by bit, types and order of keys included."""
    if dataclasses.is_dataclass(left):
        assert type(left) is type(right)
        left, right = dict(vars(left)), dict(vars(right))
    if isinstance(left, np.ndarray):
        assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    elif isinstance(left, dict):
        assert set(left) == set(right)
        for key in left:
            assert_same(left[key], right[key])
    else:
        assert type(left) is type(right) and repr(left) == repr(right)


def write(folder: Path, **changes) -> CheckpointFiles:
    folder.mkdir(exist_ok=True)
    return checkpoint.write(folder, variables(0), METADATA, state(**changes), ORIGIN)


def test_every_bit_comes_back(tmp_path):
    restored = checkpoint.read(write(tmp_path), ORIGIN)
    assert_same(restored.state, state())
    assert_same(dict(restored.weights), variables(0))
    assert restored.metadata == METADATA and restored.warnings == ()


def test_the_weights_file_is_complete_in_itself(tmp_path):
    content = formats.read(write(tmp_path).weights)
    assert content.metadata == METADATA
    assert_same(dict(content.tensors), variables(0))


def test_an_almost_empty_state_comes_back(tmp_path):
    empty = TrainingState(step=0, epoch=0, batch=0, seed=0, learning_rate=None, elapsed_seconds=0.0)
    files = checkpoint.write(tmp_path, {}, METADATA, empty, ORIGIN)
    assert_same(checkpoint.read(files, ORIGIN).state, empty)


def test_equal_moments_have_equal_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert first.state.read_bytes() == second.state.read_bytes()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(step=st.integers(0, 2**40), seed=st.integers(0, 2**128), rate=st.none() | st.floats(allow_nan=True),
       history=st.lists(st.dictionaries(st.text(max_size=4), st.floats(), max_size=3), max_size=4).map(tuple))
def test_any_numbers_come_back(tmp_path, step, seed, rate, history):
    changes = {"step": step, "seed": seed, "learning_rate": rate, "history": history}
    assert_same(checkpoint.read(write(tmp_path, **changes), ORIGIN).state, state(**changes))


@pytest.mark.parametrize(("change", "what"), [
    ({"spec_sha256": "c" * 64}, f"the job's definition: expected {'c' * 64}, received '{'a' * 64}'"),
    ({"dataset_sha256": "c" * 64}, "the dataset"),
    ({"engine_version": "2"}, "the engine version: expected 2, received '1'"),
    ({"state_version": 2}, "the checkpoint format: expected 2, received 1"),
])
def test_another_training_is_refused(tmp_path, change, what):
    with pytest.raises(WeightsError, match=what):
        checkpoint.read(write(tmp_path), dataclasses.replace(ORIGIN, **change))


def test_threads_may_differ_and_another_processor_is_a_warning(tmp_path):
    files = write(tmp_path)
    assert checkpoint.read(files, dataclasses.replace(ORIGIN, threads=4)).warnings == ()
    assert "another kind of processor" in checkpoint.read(files, dataclasses.replace(ORIGIN, cpu="arm")).warnings[0]


def test_files_of_two_moments_are_never_combined(tmp_path):
    first = write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    second = checkpoint.write(tmp_path / "b", variables(9), METADATA, state(), ORIGIN)
    with pytest.raises(WeightsError, match="do not belong together"):
        checkpoint.read(CheckpointFiles(second.weights, first.state), ORIGIN)


@pytest.mark.parametrize("which", ["weights", "state"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files_are_refused(tmp_path, which, share):
    files = write(tmp_path)
    path = getattr(files, which)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(WeightsError):
        checkpoint.read(files, ORIGIN)


def test_a_flipped_bit_in_the_weights_is_seen(tmp_path):
    files = write(tmp_path)
    content = bytearray(files.weights.read_bytes())
    content[-1] ^= 1
    files.weights.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256"):
        checkpoint.read(files, ORIGIN)


def test_a_weights_file_is_no_state(tmp_path):
    files = write(tmp_path)
    with pytest.raises(WeightsError, match="without its document"):
        checkpoint.read(CheckpointFiles(files.weights, files.weights), ORIGIN)


@pytest.mark.parametrize(("spoil", "what"), [
    (lambda document: b"[]", "origin"), (lambda document: b"{", "not JSON"),
    (lambda document: b"[" * 100_000, "not JSON"),
    (lambda document: json.dumps({**document, "more": 1}).encode(), "expected origin"),
    (lambda document: json.dumps({**document, "state": {"step": 1}}).encode(), "expected batch"),
])
def test_a_spoilt_document_is_refused(tmp_path, spoil, what):
    files = write(tmp_path)
    tensors, _ = read_tensors(files.state)
    content = {name: tensor.copy() for name, tensor in tensors.items()}
    spoilt = spoil(json.loads(content["document"].tobytes()))
    write_tensors(files.state, {**content, "document": np.frombuffer(spoilt, np.uint8)}, {})
    with pytest.raises(WeightsError, match=what):
        checkpoint.read(files, ORIGIN)


def test_the_fingerprint_of_a_spec_knows_content_and_not_order():
    left = checkpoint.spec_sha256({"model": {"a": 1, "b": [1, 2]}, "data": None})
    assert left == checkpoint.spec_sha256({"data": None, "model": {"b": [1, 2], "a": 1}})
    assert left != checkpoint.spec_sha256({"data": None, "model": {"b": [2, 1], "a": 1}})


def test_the_processor_has_a_name():
    assert checkpoint.cpu().strip()
