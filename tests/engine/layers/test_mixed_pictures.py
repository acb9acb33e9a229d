"""Pictures mixed with others of the batch, and changed by what is chosen at random: by their distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph.interpret import interpret
from engine.graph.ir import GraphBuilder
from engine.layers.base import Net
from engine.layers.gamma import STREAMS, beta, log_gamma
from engine.layers.menu import Menu, begun, chosen, needed
from engine.layers.pictures import Draws
from engine.layers.tones import Tones
from engine.options import read_entry
from engine.types import Batch, Type
from tests.engine.layers.test_random_pictures import changed

COUNT = 4000


def graph(shape: tuple[int, ...]) -> tuple[Net, Any]:
    net = Net(GraphBuilder("mixed"), training=True)
    return net, net.b.input("x", Type((Batch(), *shape)))


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 3.0, 40.0])
def test_gamma_and_beta_numbers_have_their_moments(alpha):
    net, x = graph((1, 1, 1))
    draws = Draws(net, None, 2 * STREAMS)
    parameter = net.b.constant(alpha)
    logarithms = log_gamma(net.b, x, draws, parameter, (Batch(), 1, 1, 4))
    shares = beta(net.b, x, draws, parameter, Batch())
    found = interpret(net.b.finish(gamma=logarithms, beta=shares), {"x": np.zeros((COUNT, 1, 1, 1), np.float32)})
    gammas = np.exp(found["gamma"].astype("f8")).ravel()
    np.testing.assert_allclose(gammas.mean(), alpha, rtol=5 / np.sqrt(4 * COUNT * alpha))
    np.testing.assert_allclose(gammas.var(), alpha, rtol=5 * np.sqrt((2 + 6 / alpha) / (4 * COUNT)))
    variance = 1 / (4 * (2 * alpha + 1))
    np.testing.assert_allclose(found["beta"].mean(), 0.5, atol=5 * np.sqrt(variance / COUNT))
    np.testing.assert_allclose(found["beta"].var(), variance, rtol=0.1)


def numbered(count: int, height: int, width: int) -> np.ndarray:
    """Pictures of their own number."""
    return np.broadcast_to(np.arange(count, dtype="f4")[:, None, None, None], (count, height, width, 1))


def test_mixup_takes_every_picture_once_with_even_shares():
    # Of x = number and its square, both the share and the partner follow.
    numbers = np.arange(1, 401, dtype="f4")
    x = np.stack([numbers, numbers**2 / 400], -1)[:, None, None]
    y = changed({"type": "MixUp", "alpha": 1}, x)[:, 0, 0].astype("f8")
    first, second = y[:, 0] - numbers, (y[:, 1] * 400 - numbers.astype("f8") ** 2)
    moved = np.abs(first) > 0.5
    partner = second[moved] / first[moved] - numbers[moved]
    assert moved.mean() > 0.9
    assert len(set(np.round(partner))) > 0.95 * moved.sum()
    np.testing.assert_allclose(partner, np.round(partner), atol=0.2)
    share = 1 - first[moved] / (partner - numbers[moved])
    np.testing.assert_allclose(share.mean(), 0.5, atol=0.08)
    np.testing.assert_allclose(share.var(), 1 / 12, rtol=0.2)


def test_cutmix_fills_a_rectangle_of_each_picture_with_another_one():
    y = changed({"type": "CutMix", "factor": [1, 1]}, numbered(300, 9, 12))[..., 0]
    parts, partners = [], set()
    for number, picture in enumerate(y):
        other = picture != number
        assert len({*picture[other]}) <= 1
        rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
        assert other.sum() == len(rows) * len(columns)
        parts.append(other.mean())
        partners.update(picture[other])
    np.testing.assert_allclose(np.mean(parts), 0.5, atol=0.08)
    assert len(partners) > 250


COURSES: list[dict[str, Any]] = [{"type": "RandAugment"}, {"type": "AugMix"},
                                 {"type": "AugMix", "all_ops": False, "interpolation": "nearest"}]


@pytest.mark.parametrize("layer", COURSES, ids=lambda layer: "-".join(map(str, layer.values())))
def test_what_is_chosen_is_what_the_layer_of_its_own_does(layer):
    menu = read_entry("layer", {**layer, "value_range": [0, 1]}, "")
    assert isinstance(menu, Menu)
    courses = menu.courses  # type: ignore[attr-defined]
    pictures = np.random.default_rng(1).random((3, 5, 6, 3)).astype("f4")
    for number, course in enumerate([*courses, None]):
        net, x = graph((5, 6, 3))
        draws = begun(courses, Draws(net, None, needed(courses)))
        y = chosen(net.b, x, courses, draws, net.b.constant(np.full((1, 1, 1, 1), number)), menu.interpolation)
        wanted = x
        if isinstance(course, Tones):
            wanted = course.change(net.b, x)
        elif hasattr(course, "source"):
            wanted = read_entry("layer", {"type": course.type_name, "interpolation": menu.interpolation, **{
                name: list(getattr(course, name)) for name in course.__dataclass_fields__ if name.endswith("factor")}},
                "").move(net.b, x, draws[number]())
        elif course is not None:
            wanted = course.change(net.b, x, draws[number]())
        found = interpret(net.b.finish(y=y, wanted=wanted), {"x": pictures})
        np.testing.assert_array_equal(found["y"], found["wanted"], err_msg=str(course))


def test_all_of_a_batch_are_changed_alike_and_by_turns():
    x = np.random.default_rng(2).random((8, 4, 5, 3)).astype("f4")
    layer = {"type": "RandAugment", "num_ops": 1, "factor": [0.5, 0.5], "value_range": [0, 1]}
    found = [changed({**layer, "seed": seed}, x) for seed in range(40)]
    kinds = {tuple(np.round(y[0].ravel(), 4)) for y in found}
    assert 6 <= len(kinds) <= 40
    np.testing.assert_array_equal(changed(layer, x, training=False), x)
    assert all(y.min() >= 0 and y.max() <= 1 + 1e-5 for y in found)


def test_augmix_mixes_its_chains_to_the_picture_where_nothing_changes_it():
    """Without a change, all chains are the picture, and their shares are 1 in all."""
    x = np.full((3, 4, 5, 3), 0.4, np.float32)
    layer = {"type": "AugMix", "factor": 0, "all_ops": False, "value_range": [0, 1]}
    found = [changed({**layer, "seed": seed, "chain_depth": 1}, x) for seed in range(30)]
    assert sum(bool(np.allclose(y, x, atol=1e-5)) for y in found) >= 2
