"""Layers that change pictures at random: only in training, within bounds, and the same wherever they are computed."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.graph.build import forward_graph
from engine.graph.interpret import interpret
from tests.engine.training import dataset, job, train

MOVING: list[dict[str, Any]] = [
    {"type": "RandomFlip"}, {"type": "RandomCrop", "height": 7, "width": 8},
    {"type": "RandomTranslation", "height_factor": 0.2, "width_factor": [0, 0.2], "seed": 5},
    {"type": "RandomRotation", "factor": 0.1}, {"type": "RandomZoom", "height_factor": [-0.3, 0.2]},
    {"type": "RandomShear", "x_factor": 0.2, "y_factor": [0, 0.1], "fill_mode": "nearest"},
    {"type": "RandomPerspective", "scale": 0.4, "interpolation": "nearest"},
]
COLOURS: list[dict[str, Any]] = [
    {"type": "RandomBrightness", "factor": 0.1}, {"type": "RandomContrast", "factor": 0.3},
    {"type": "RandomColorJitter", "brightness_factor": 0.1, "saturation_factor": [0.3, 0.7], "hue_factor": 0.2},
    {"type": "RandomGrayscale"}, {"type": "RandomSharpness", "factor": 0.6}, {"type": "RandomInvert"},
    {"type": "RandomColorDegeneration", "factor": [0, 0.5]}, {"type": "RandomErasing"},
    {"type": "Solarization", "addition_factor": 0.3, "threshold_factor": 0.7},
    {"type": "RandomPosterization", "factor": 5}, {"type": "RandomGaussianBlur", "kernel_size": 5},
    {"type": "Equalization", "bins": 64},
]
MIXED: list[dict[str, Any]] = [{"type": "MixUp"}, {"type": "CutMix"}, {"type": "RandAugment"},
                               {"type": "AugMix", "num_chains": 2, "chain_depth": 1}]
HEAD: list[dict[str, Any]] = [{"type": "Rescaling", "scale": 1 / 255}, {"type": "Flatten"},
                              {"type": "Dense", "units": 3}]


def changed(layer: dict[str, Any], x: np.ndarray, *, training: bool = True) -> np.ndarray:
    model = parse_model({"inputs": {"x": {"shape": list(x.shape[1:])}}, "layers": [{**layer, "name": "y"}]}, "")
    return interpret(forward_graph(model, training=training)[0], {"x": x.astype("f4")})["y"]


PICTURES = np.random.default_rng(3).random((400, 4, 5, 3)).astype("f4")


@pytest.mark.parametrize("layer", [*MOVING[:1], *MOVING[2:], *COLOURS], ids=lambda layer: layer["type"])
def test_only_training_changes_pictures(layer):
    layer = {**layer, **({} if layer in MOVING or layer["type"] == "RandomGrayscale" else {"value_range": [0, 1]})}
    np.testing.assert_array_equal(changed(layer, PICTURES, training=False), PICTURES)
    y = changed(layer, PICTURES)
    assert (y != PICTURES).any()
    assert y.min() >= 0
    assert y.max() <= 1 + 1e-6


def test_brightness_is_one_even_draw_a_picture():
    x = np.full((4000, 2, 3, 3), 0.5)
    added = changed({"type": "RandomBrightness", "factor": [-0.1, 0.3], "value_range": [0, 1]}, x) - 0.5
    assert (np.ptp(added, axis=(1, 2, 3)) == 0).all()
    assert -0.1 <= added.min() < -0.099
    assert 0.299 < added.max() <= 0.3 + 1e-6
    np.testing.assert_allclose(added.mean(), 0.1, atol=0.4 / np.sqrt(12 * 4000) * 4)


def test_contrast_keeps_each_channels_mean():
    x = PICTURES * 0.2 + 0.4
    y = changed({"type": "RandomContrast", "factor": [0.2, 0.5], "value_range": [0, 1]}, x)
    means = [a.mean(axis=(1, 2), keepdims=True) for a in (x, y)]
    np.testing.assert_allclose(means[1], means[0], atol=1e-6)
    shares = (y - means[1])[:, 0, 0, 0] / (x - means[0])[:, 0, 0, 0]
    assert 0.8 - 1e-3 < shares.min() < 0.83
    assert 1.47 < shares.max() < 1.5 + 1e-3


def test_hue_turns_either_way_by_half_the_factor():
    x = PICTURES[:40]
    y = changed({"type": "RandomHue", "factor": [0.4, 0.4], "value_range": [0, 1]}, x)
    signs = set()
    for before, after in zip(x[:, 0, 0], y[:, 0, 0], strict=True):
        h, s, v = colorsys.rgb_to_hsv(*map(float, before))
        expected = {turn: colorsys.hsv_to_rgb((h + turn) % 1, s, v) for turn in (-0.2, 0.2)}
        fits = [turn for turn, colour in expected.items() if np.allclose(colour, after, atol=1e-5)]
        assert len(fits) == 1
        signs.update(fits)
    assert signs == {-0.2, 0.2}


def test_a_share_of_the_pictures_becomes_grey_or_negative():
    grey = np.ptp(changed({"type": "RandomGrayscale", "factor": 0.3}, PICTURES), axis=3).max(axis=(1, 2)) < 1e-6
    assert 0.2 < grey.mean() < 0.4
    y = changed({"type": "RandomInvert", "factor": [0.7, 0.7], "value_range": [0, 1]}, PICTURES)
    assert 0.6 < (np.abs(y + PICTURES - 1) < 1e-6).all(axis=(1, 2, 3)).mean() < 0.8


def test_what_is_erased_is_a_rectangle_of_the_size_asked_for():
    x = np.ones((300, 12, 16, 3))
    erased = changed({"type": "RandomErasing", "factor": [0.5, 0.5], "scale": [0.25, 0.25], "fill_value": 0}, x) == 0
    assert 0.4 < erased.any(axis=(1, 2, 3)).mean() < 0.6
    for one in erased[erased.any(axis=(1, 2, 3))]:
        rows, columns = np.flatnonzero(one.any(axis=(1, 2))), np.flatnonzero(one.any(axis=(0, 2)))
        assert one.sum() == 3 * len(rows) * len(columns)
        assert len(rows) in (6, 7)
        assert len(columns) in (8, 9)


def ramps(count: int, height: int, width: int) -> np.ndarray:
    """Pictures whose channels are their columns and rows, so that a pixel says where it was read."""
    rows, columns = np.mgrid[:height, :width].astype("f4")
    return np.broadcast_to(np.stack([columns, rows], -1), (count, height, width, 2))


def test_rotations_are_even_over_the_circle_and_keep_the_middle():
    y = changed({"type": "RandomRotation", "factor": [0, 0.5], "fill_mode": "constant", "fill_value": -99},
                ramps(3000, 5, 5)) - 2
    np.testing.assert_allclose(y[:, 2, 2], 0, atol=1e-5)
    right = y[:, 2, 3]  # one pixel right of the middle is read on a circle around it, in its lower half
    np.testing.assert_allclose(np.hypot(*right.T), 1, atol=1e-5)
    angles = np.arctan2(right[:, 1], right[:, 0])
    assert -1e-5 <= angles.min() < 0.02
    assert np.pi - 0.02 < angles.max() <= np.pi + 1e-5
    np.testing.assert_allclose(angles.mean(), np.pi / 2, atol=4 * np.pi / np.sqrt(12 * 3000))


def test_zooms_are_even_within_their_bounds_and_may_differ_by_direction():
    zoom = {"type": "RandomZoom", "height_factor": [-0.5, -0.1], "fill_mode": "nearest"}
    for more, alike in (({}, True), ({"width_factor": [-0.5, -0.1]}, False)):
        y = changed({**zoom, **more}, ramps(3000, 5, 5)) - 2
        across, down = y[:, 2, 3, 0], y[:, 3, 2, 1]
        assert 0.5 - 1e-5 <= down.min() < 0.51
        assert 0.89 < down.max() <= 0.9 + 1e-5
        np.testing.assert_allclose(down.mean(), 0.7, atol=4 * 0.4 / np.sqrt(12 * 3000))
        assert np.allclose(across, down, atol=1e-5) == alike


def test_shears_go_either_way():
    y = changed({"type": "RandomShear", "x_factor": [0.2, 0.4], "fill_mode": "nearest"}, ramps(3000, 5, 5))
    np.testing.assert_allclose(y[..., 1], ramps(1, 5, 5)[..., 1].repeat(3000, 0), atol=1e-5)
    moved = y[:, 1, 2, 0] - 2
    assert ((np.abs(moved) >= 0.2 - 1e-5) & (np.abs(moved) <= 0.4 + 1e-5)).all()
    assert 0.45 < (moved > 0).mean() < 0.55


def test_a_share_of_the_pictures_is_seen_askew_with_the_first_corner_in_its_place():
    x = ramps(2000, 5, 7) + 1
    y = changed({"type": "RandomPerspective", "factor": [0.3, 0.3], "scale": 0.5}, x)
    same = (np.abs(y - x) < 1e-4).all(axis=(1, 2, 3))
    assert 0.65 < same.mean() < 0.75
    np.testing.assert_allclose(y[:, 0, 0], 1, atol=1e-4)


def test_another_seed_draws_other_numbers():
    layer = {"type": "RandomBrightness", "factor": 0.3, "value_range": [0, 1]}
    first, again, other = (changed({**layer, "seed": seed}, PICTURES) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("body", [MOVING, COLOURS, MIXED], ids=["moving", "colours", "mixed"])
def test_bits_do_not_depend_on_threads_or_on_a_pause(body, tmp_path: Path):
    generator = np.random.default_rng(2)
    label = generator.integers(0, 3, 61)
    image = generator.integers(0, 256, (61, 9, 10, 3)).astype("uint8")
    pictures = dataset(tmp_path, x=image, label=label)
    jobs = [job(pictures, [*body, *HEAD], threads=threads, data_block={}) for threads in (1, 2, 4)]
    for name in ("one", "two", "four", "before", "after"):
        (tmp_path / name).mkdir()
    undisturbed = train(jobs[0], pictures, tmp_path / "one")
    assert train(jobs[1], pictures, tmp_path / "two").bytes == undisturbed.bytes
    assert train(jobs[2], pictures, tmp_path / "four").bytes == undisturbed.bytes
    first = train(jobs[2], pictures, tmp_path / "before", stop_after=3)
    assert train(jobs[0], pictures, tmp_path / "after", resume=first.files).bytes == undisturbed.bytes


REFUSED = [
    ({"type": "RandomBrightness", "factor": 1.5}, "/factor", "at most 1"),
    ({"type": "RandomContrast", "factor": [-0.1, 0.2]}, "/factor/0", "at least 0"),
    ({"type": "RandomHue", "factor": [1, 2, 3]}, "/factor", "a list of two"),
    ({"type": "RandomSaturation", "factor": 0.1, "value_range": 3}, "/value_range", "a list of two numbers"),
    ({"type": "RandomGrayscale", "factor": 2}, "/factor", "at most 1"),
    ({"type": "RandomErasing", "fill_value": [1, 2]}, "/fill_value", "a list of three"),
    ({"type": "RandomFlip", "mode": "diagonal"}, "/mode", "horizontal"),
    ({"type": "RandomTranslation", "height_factor": 2, "width_factor": 0}, "/height_factor", "at most 1"),
    ({"type": "RandomTranslation", "height_factor": 1, "width_factor": 0, "fill_mode": "edge"}, "/fill_mode", "wrap"),
    ({"type": "RandomRotation", "factor": 1.5}, "/factor", "at most 1"),
    ({"type": "RandomZoom", "height_factor": [-1, 0]}, "/height_factor/0", "above -1"),
    ({"type": "RandomShear", "x_factor": [-0.1, 0.2]}, "/x_factor/0", "at least 0"),
    ({"type": "RandomShear", "fill_mode": "mirror"}, "/fill_mode", "wrap"),
    ({"type": "RandomPerspective", "scale": 2}, "/scale", "at most 1"),
    ({"type": "MixUp", "alpha": 0}, "/alpha", "above 0"), ({"type": "CutMix", "factor": 1.5}, "/factor", "at most 1"),
    ({"type": "RandAugment", "num_ops": 0}, "/num_ops", "at least 1"),
    ({"type": "AugMix", "interpolation": "bicubic"}, "/interpolation", "nearest"),
    ({"type": "Solarization", "addition_factor": -0.1}, "/addition_factor", "at least 0"),
    ({"type": "Solarization", "value_range": [1, 1]}, "/value_range", "two different numbers"),
    ({"type": "RandomPosterization", "factor": 9}, "/factor", "at most 8"),
    ({"type": "RandomPosterization", "factor": [0, 3]}, "/factor/0", "at least 1"),
    ({"type": "RandomGaussianBlur", "kernel_size": 4}, "/kernel_size", "odd"),
    ({"type": "Equalization", "bins": 1}, "/bins", "at least 2"),
    ({"type": "ContrastLimitedAdaptiveHistogramEqualization", "tile_grid_size": [9, 1]}, "/tile_grid_size", "beyond 4"),
    ({"type": "RandomElasticTransform"}, "/type", "RandomPerspective"),
    ({"type": "MaxNumBoundingBoxes"}, "/type", "no data that a model takes"),
]


@pytest.mark.parametrize(("layer", "option", "said"), REFUSED)
def test_what_is_refused_is_pointed_at(layer, option, said):
    with pytest.raises(DefinitionError) as refused:
        parse_model({"inputs": {"x": {"shape": [4, 4, 3]}}, "layers": [layer]}, "")
    (fault,) = refused.value.faults
    assert fault.pointer == f"/layers/0{option}"
    assert said in fault.detail


def test_colours_need_three_channels_and_pictures():
    for layer in ({"type": "RandomHue", "factor": 0.1}, {"type": "RandomGrayscale"}):
        with pytest.raises(DefinitionError, match="width, 3"):
            parse_model({"inputs": {"x": {"shape": [4, 4, 1]}}, "layers": [layer]}, "")
    with pytest.raises(DefinitionError, match="height, width"):
        parse_model({"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "RandomFlip"}]}, "")


def test_moving_after_weights_is_refused_where_it_stands():
    """No gradient passes there; colours may be changed anywhere."""
    conv = {"type": "Conv2D", "filters": 3, "kernel_size": 1}
    document = {"inputs": {"x": {"shape": [4, 4, 3]}}, "layers": [conv, {"type": "RandomFlip"}]}
    with pytest.raises(DefinitionError, match="no gradient passes") as refused:
        parse_model(document, "")
    assert refused.value.faults[0].pointer == "/layers/1"
    parse_model({**document, "layers": [{**conv, "trainable": False}, {"type": "RandomFlip"}]}, "")
    parse_model({**document, "layers": [conv, {"type": "RandomBrightness", "factor": 0.1}]}, "")
