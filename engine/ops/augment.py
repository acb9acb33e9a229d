"""Random changes of training pictures inside the plan, one op for each registered augmentation.

Images are (batch, height, width, channels), uint8 or float32. Their random numbers follow from `place` (the
augmentation's place in the job's list) and the run's state: seed, epoch, and the rows of the dataset that the batch
takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from engine import registry
from engine.graph.ir import Node
from engine.lowering.request import KernelRequest
from engine.ops.base import Op, Sample, ShapeMismatch, expect_dtype, expect_rank, op
from engine.types import Type

REFERENCE_STATE = (11, 5)
"""Seed and epoch of the reference, whose examples are rows 0, 1, … of the dataset."""


class Augment(Op):
    """The reference is that of the augmentation of the same name."""

    stateful = True
    entry: ClassVar[str]

    def _check(self, images: Type) -> None:
        expect_rank(images, 4, "(batch, height, width, channels)")
        expect_dtype(images, "uint8", "float32")

    def reference(self, *arrays: np.ndarray, place: int, **options: Any) -> tuple[np.ndarray, ...]:
        (images,) = arrays
        entry = registry.lookup("augmentation", self.entry)
        assert entry is not None
        seed, epoch = REFERENCE_STATE
        return (
            entry(**options).reference(images, seed=seed, epoch=epoch, examples=np.arange(len(images)), place=place),
        )

    def lower(self, node: Node) -> list[KernelRequest]:
        return [KernelRequest("augment", self.name, node.inputs, node.outputs, node.attrs)]


def _samples(*cases: tuple[tuple[int, ...], dict[str, Any]]) -> Sequence[Sample]:
    """Each case on uint8 and on float32 pictures."""
    return [Sample((shape,), {"place": place, **options}, dtypes=(dtype,), integers={0: 256}, differentiable=())
            for place, (shape, options) in enumerate(cases) for dtype in ("uint8", "float32")]


@op("random_flip")
class RandomFlip(Augment):
    """Mirrors pictures, each allowed direction with probability one half."""

    entry = "RandomFlip"
    samples = _samples(
        *(((9, 4, 5, 3), {"mode": mode}) for mode in ("horizontal", "vertical", "horizontal_and_vertical"))
    )

    def infer(self, *types: Type, place: int, mode: str) -> tuple[Type, ...]:
        self._check(types[0])
        return (types[0],)


@op("random_crop")
class RandomCrop(Augment):
    """A window of each picture, anywhere in it."""

    entry = "RandomCrop"
    samples = _samples(((9, 6, 5, 3), {"height": 3, "width": 4}), ((5, 6, 5, 1), {"height": 6, "width": 5}))

    def infer(self, *types: Type, place: int, height: int, width: int) -> tuple[Type, ...]:
        self._check(types[0])
        n, h, w, c = types[0].shape
        if h < height or w < width:  # type: ignore[operator]
            raise ShapeMismatch(f"pictures of at least {height} x {width}", f"{h} x {w}")
        return (Type((n, height, width, c), types[0].dtype),)


@op("random_translation")
class RandomTranslation(Augment):
    """Each picture moved by a part of its height and width; the result is float32."""

    entry = "RandomTranslation"
    samples = _samples(
        ((7, 6, 5, 3), {"height_factor": (-0.3, 0.3), "width_factor": (0.0, 0.5), "fill_mode": "reflect",
                        "interpolation": "bilinear", "fill_value": 0.0}),
        ((7, 5, 5, 1), {"height_factor": (-0.5, 0.5), "width_factor": (-0.5, 0.5), "fill_mode": "constant",
                        "interpolation": "nearest", "fill_value": 7.0}),
        ((7, 4, 7, 3), {"height_factor": (-1.0, 1.0), "width_factor": (-0.1, 0.1), "fill_mode": "wrap",
                        "interpolation": "bilinear", "fill_value": 0.0}),
        ((7, 5, 6, 1), {"height_factor": (-0.9, 0.9), "width_factor": (-0.9, 0.9), "fill_mode": "nearest",
                        "interpolation": "bilinear", "fill_value": 0.0}),
        ((7, 5, 6, 2), {"height_factor": (-0.9, 0.9), "width_factor": (-0.9, 0.9), "fill_mode": "constant",
                        "interpolation": "bilinear", "fill_value": -2.5}))

    def infer(
        self,
        *types: Type,
        place: int,
        height_factor: Sequence[float],
        width_factor: Sequence[float],
        fill_mode: str,
        interpolation: str,
        fill_value: float,
    ) -> tuple[Type, ...]:
        self._check(types[0])
        return (Type(types[0].shape, "float32"),)
