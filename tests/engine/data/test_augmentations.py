"""What each augmentation does to pictures, beyond the conformance tests."""

from __future__ import annotations

import numpy as np
import pytest

from engine import random
from engine.data.augmentation import below
from engine.options import entry, parse

IMAGES = np.arange(2 * 4 * 5 * 1, dtype=np.float32).reshape(2, 4, 5, 1)


def make(**options):
    return parse(entry("augmentation"), options, "")


def test_flips_mirror_the_axis_they_name():
    flip = make(type="RandomFlip")
    result = flip.apply(IMAGES, np.array([[1, 0], [0, 1]], np.int32))
    np.testing.assert_array_equal(result[0], IMAGES[0, :, ::-1])
    np.testing.assert_array_equal(result[1], IMAGES[1, ::-1])


@pytest.mark.parametrize(("mode", "means"), [("horizontal", (0.5, 0)), ("vertical", (0, 0.5)),
                                             ("horizontal_and_vertical", (0.5, 0.5))])
def test_half_of_the_pictures_are_flipped(mode, means):
    words = random.bits((0, 1, 2, np.arange(4000)), 4)
    flips = make(type="RandomFlip", mode=mode).parameters(words, (4, 4, 1))
    np.testing.assert_allclose(flips.mean(axis=0), means, atol=0.03)


def test_crops_are_windows_of_the_picture_and_reach_every_place():
    crop = make(type="RandomCrop", height=3, width=2)
    words = random.bits((0, 1, 2, np.arange(300)), 4)
    places = crop.parameters(words, (4, 5, 1))
    assert {tuple(place) for place in places.tolist()} == {(top, left) for top in range(2) for left in range(4)}
    result = crop.apply(IMAGES, np.array([[1, 3], [0, 0]], np.int32))
    np.testing.assert_array_equal(result[0], IMAGES[0, 1:4, 3:5])
    np.testing.assert_array_equal(result[1], IMAGES[1, :3, :2])
    np.testing.assert_array_equal(crop.inference(IMAGES), IMAGES[:, 0:3, 1:3])


@pytest.mark.parametrize(("mode", "expected"), [
    ("reflect", [1, 0, 0, 1, 2]), ("wrap", [3, 4, 0, 1, 2]), ("nearest", [0, 0, 0, 1, 2]),
    ("constant", [9, 9, 0, 1, 2]),
])
def test_a_translation_fills_what_it_uncovers(mode, expected):
    translate = make(type="RandomTranslation", height_factor=0, width_factor=0.5, fill_mode=mode, fill_value=9)
    row = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)
    result = translate.apply(row, np.array([[0, 2]], np.float32))
    np.testing.assert_array_equal(result.ravel(), expected)


def test_a_translation_between_pixels_is_bilinear():
    translate = make(type="RandomTranslation", height_factor=0.5, width_factor=0.5, fill_mode="nearest")
    result = translate.apply(IMAGES[:1], np.array([[0.25, -0.5]], np.float32))
    np.testing.assert_allclose(result[0, 2, 2, 0], IMAGES[0, 2, 2, 0] - 0.25 * 5 + 0.5, rtol=1e-6)


def test_shifts_stay_within_the_factors():
    words = random.bits((0, 1, 2, np.arange(2000)), 4)
    shifts = make(type="RandomTranslation", height_factor=[0.1, 0.2], width_factor=0.5).parameters(words, (10, 20, 3))
    assert shifts[:, 0].min() >= 1
    assert shifts[:, 0].max() < 2.0001
    assert shifts[:, 1].min() >= -10
    assert shifts[:, 1].max() < 10
    assert abs(shifts[:, 1].mean()) < 0.5


def test_numbers_below_a_limit_are_fair():
    counts = np.bincount(below(random.bits((0, 1, 2, 3), 30_000), 3), minlength=3)
    assert abs(counts - 10_000).max() < 400
