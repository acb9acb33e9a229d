"""Augmentations in the plan have the bits of their numpy references, whatever the order, the epoch and the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import registry
from engine.data.augmentation import Augmentation
from engine.options import entry, parse, write
from engine.registry import snake_case
from tests.engine.lowered import WHOLE, Division, lowered, same_bits, same_for_any_threads, state_array

SAMPLES = [(name, sample) for name, cls in registry.entries("augmentation").items() for sample in cls.samples()]  # type: ignore[attr-defined]


def run(augmentation: Augmentation, images: np.ndarray, state: np.ndarray, place: int) -> np.ndarray:
    """By the op's kernels, as the training graph asks for it."""
    options = write(augmentation)
    attrs = {"place": place, **{key: value for key, value in options.items() if key != "type"}}
    node = lowered(snake_case(options["type"]), [images], attrs, batched=[0], spare=3, state=state)
    (result,) = same_for_any_threads(node, [images], (WHOLE, Division(2), Division(single=True, backwards=True)))
    return result


def pictures(count: int, shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_sample(name, sample, dtype):
    augmentation = parse(entry("augmentation"), {"type": name, **sample.options}, "")
    order = np.random.default_rng(1).permutation(1000)
    state = state_array(seed=2**40 + 12345, epoch=3, cursor=17, order=order)
    images = pictures(23, sample.shape, dtype)
    wanted = augmentation.reference(images, seed=2**40 + 12345, epoch=3, examples=order[17:40], place=2)
    assert same_bits(run(augmentation, images, state, 2), wanted)


COMMON = settings(max_examples=25, deadline=None, derandomize=True, database=None)


@COMMON
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 20), st.sampled_from([1, 2, 3, 17])),
    st.floats(-1, 1, width=16),
    st.floats(0, 1, width=16),
    st.sampled_from(["reflect", "constant", "nearest", "wrap"]),
    st.sampled_from(["bilinear", "nearest"]),
    st.integers(0, 2**62),
    st.integers(1, 1000),
)
def test_translations_of_every_shape(shape, lower, width, mode, interpolation, seed, epoch):
    options = {
        "type": "RandomTranslation",
        "height_factor": [min(lower, 0.5), max(lower, 0.5)],
        "width_factor": width,
        "fill_mode": mode,
        "interpolation": interpolation,
        "fill_value": 3.5,
    }
    augmentation = parse(entry("augmentation"), options, "")
    images, order = pictures(5, shape, "float32"), np.array([2**33, 4, 0, 9, 9, 7])
    wanted = augmentation.reference(images, seed=seed, epoch=epoch, examples=order[1:], place=0)
    assert same_bits(run(augmentation, images, state_array(seed=seed, epoch=epoch, cursor=1, order=order), 0), wanted)


def test_an_example_is_changed_the_same_way_in_any_batch():
    augmentation = parse(entry("augmentation"), {"type": "RandomCrop", "height": 3, "width": 2}, "")
    images, order = pictures(8, (9, 9, 2), "uint8"), np.array([5, 3, 1, 0, 7, 2, 6, 4])
    whole = run(augmentation, images[order], state_array(order=order), 0)
    later = run(augmentation, images[order[5:]], state_array(order=order, cursor=5), 0)
    assert same_bits(whole[5:], later)
    assert not same_bits(whole, run(augmentation, images[order], state_array(order=order, epoch=6), 0))
    assert not same_bits(whole, run(augmentation, images[order], state_array(order=order), 1))
