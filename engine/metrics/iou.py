"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.graph.ir import GraphBuilder, Value
from engine.losses.crossentropy import last_axis
from engine.losses.target import EPSILON, Target, complement, elements
from engine.metrics.base import Metric, Totals, shown, widened
from engine.options import Mismatch, boolean, integer, number, option, optional, sequence
from engine.registry import register

_class = integer(minimum=0, maximum=4096)
_classes = sequence(_class, 1, 4096)
_count = integer(minimum=2, maximum=1024)


def codes_of(b: GraphBuilder, scores: Value) -> Value:
    """Where the last dimension is largest, as numbers."""
    return b.op("scale", b.op("argmax", scores))


@dataclass(frozen=True, kw_only=True)
class Union(Metric):
    """true positives / (true positives + false positives + false negatives), the mean over some classes."""

    def classes(self) -> int:
        """Rows of the confusion matrix."""
        raise NotImplementedError

    def judged(self) -> tuple[int, ...]:
        """The classes whose mean it is."""
        return tuple(range(self.classes()))

    def codes(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        """True and predicted codes as numbers, of one element count."""
        raise NotImplementedError

    def counted(self) -> int | None:
        """A class whose examples do not count."""
        return None

    def build(self, b: GraphBuilder, target: Value, output: Value, weight: Value | None,
              mask: Value | None = None) -> Value:
        truth, said = self.codes(b, target, output)
        ignored = self.counted()
        valid = None
        if ignored is not None:
            valid = complement(b, b.op("equal", truth, b.constant(float(ignored))))
        if weight is not None:
            wide = widened(b, weight, truth)
            valid = b.op("multiply", valid if valid is not None else b.op("equal", truth, truth), wide)
        rows = [self._one_hot(b, value) for value in (truth, said)]
        if valid is not None:
            column = b.op("reshape", valid, shape=(elements(truth), 1))
            rows[0] = b.op("multiply", rows[0], column)
        matrix = b.op("matmul", *rows, transpose_a=True)
        return b.op("reshape", matrix, shape=(self.classes() ** 2,))

    def _one_hot(self, b: GraphBuilder, codes: Value) -> Value:
        """Rows of 0 and 1; a code out of range is a row of zeros, a fraction is cut off."""
        column = b.op("reshape", codes, shape=(elements(codes), 1))
        low = np.arange(self.classes(), dtype=np.float32)
        low[0] = np.nextafter(np.float32(-1), np.float32(0))  # cut off, what lies above -1 is 0
        reached = b.op("greater_equal", column, b.constant(low))
        passed = b.op("greater_equal", column, b.constant(np.arange(1, self.classes() + 1)))
        return b.op("multiply", reached, complement(b, passed))

    def result(self, total: Totals) -> float:
        matrix = total.reshape(self.classes(), self.classes())
        right = np.diagonal(matrix)
        union = (matrix.sum(0) + matrix.sum(1) - right)[list(self.judged())]
        found = union > 1e-9
        shares = np.where(found, right[list(self.judged())] / (union + EPSILON), 0.0)
        return float(shares.sum() / (found.sum() + EPSILON))

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if max(self.judged()) >= self.classes():
            return f"expected target_class_ids below {self.classes()}, received {max(self.judged())}"
        return None


@dataclass(frozen=True, kw_only=True)
class Coded(Union):
    """Codes or scores: with `sparse_y_pred` outputs are codes, otherwise the largest of the last dimension."""

    num_classes: int = option(_count)
    ignore_class: int | None = option(optional(integer(minimum=-(2**24), maximum=2**24)), default=None)
    sparse_y_pred: bool = option(boolean, default=True)
    axis: int = option(last_axis, default=-1)

    def classes(self) -> int:
        return self.num_classes

    def counted(self) -> int | None:
        return self.ignore_class

    def sparse_truth(self) -> bool:
        """Are targets codes?"""
        raise NotImplementedError

    def codes(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        if target.dtype == "int32":
            truth = b.op("scale", target)
        else:
            truth = target if self.sparse_truth() else codes_of(b, target)
        return truth, output if self.sparse_y_pred else codes_of(b, output)

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        said = output if self.sparse_y_pred else output[:-1]
        truth = target.shape if self.sparse_truth() or target.kind == "classes" else target.shape[:-1]
        if np.prod(said) != np.prod(truth):
            return f"expected an output for each of the targets {shown(truth)}, received {shown(said)}"
        return super().fault(target, output)


@dataclass(frozen=True, kw_only=True)
class Chosen(Coded):
    """The mean over `target_class_ids`."""

    target_class_ids: tuple[int, ...] = option(_classes)

    def judged(self) -> tuple[int, ...]:
        return self.target_class_ids


@register("metric")
@dataclass(frozen=True, kw_only=True)
class IoU(Chosen):
    """The mean intersection over union of `target_class_ids`."""

    sparse_y_true: bool = option(boolean, default=True, doc="targets are codes, not rows of scores")

    def sparse_truth(self) -> bool:
        return self.sparse_y_true


@register("metric")
@dataclass(frozen=True, kw_only=True)
class MeanIoU(Coded):
    """The mean intersection over union of all classes."""

    sparse_y_true: bool = option(boolean, default=True, doc="targets are codes, not rows of scores")

    def sparse_truth(self) -> bool:
        return self.sparse_y_true


@register("metric")
@dataclass(frozen=True, kw_only=True)
class OneHotIoU(Chosen):
    """The mean intersection over union of `target_class_ids`, for targets that are rows of 0 and 1."""

    sparse_y_pred: bool = option(boolean, default=False)

    def sparse_truth(self) -> bool:
        return False


@register("metric")
@dataclass(frozen=True, kw_only=True)
class OneHotMeanIoU(Coded):
    """The mean intersection over union of all classes, for targets that are rows of 0 and 1."""

    sparse_y_pred: bool = option(boolean, default=False)

    def sparse_truth(self) -> bool:
        return False


@register("metric")
@dataclass(frozen=True, kw_only=True)
class BinaryIoU(Union):
    """The mean intersection over union of yes and no, for outputs of at least `threshold` and below."""

    of_probabilities = True

    target_class_ids: tuple[int, ...] = option(sequence(integer(minimum=0, maximum=1), 1, 2), default=(0, 1))
    threshold: float = option(number(), default=0.5)

    def check(self, pointer: str) -> None:
        """Each class once."""
        if len(set(self.target_class_ids)) != len(self.target_class_ids):
            raise Mismatch(f"{pointer}/target_class_ids", "0 and 1, each once", list(self.target_class_ids))

    def classes(self) -> int:
        return 2

    def judged(self) -> tuple[int, ...]:
        return self.target_class_ids

    def codes(self, b: GraphBuilder, target: Value, output: Value) -> tuple[Value, Value]:
        truth = b.op("scale", target) if target.dtype == "int32" else target
        return truth, b.op("greater_equal", output, b.constant(self.threshold))

    def fault(self, target: Target, output: tuple[int, ...]) -> str | None:
        if np.prod(output) != np.prod(target.shape):
            return f"expected an output of the target's shape {shown(target.shape or (1,))}, received {shown(output)}"
        return super().fault(target, output)
