"""GEMM and convolution in three directions as views of one contraction with strides.

    C[o, i, j] = sum over r, s, k of A[o.a + i * row.a + r.a + s.a + k.a] * B[o.b + r.b + s.b + k.b + j]

`o` runs over up to four outer loops, `i` over rows, `j` over columns (contiguous in B and C). Strides count elements.
Each element is one chain of fused multiply-adds over r, s, k in this order, whatever the tile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.heads import Order
from engine.windows import Pair, halo, phases


@dataclass(frozen=True)
class Outer:
    """An outer loop and its strides in A, B, C and the bias."""

    count: int
    a: int = 0
    b: int = 0
    c: int = 0
    bias: int = 0


@dataclass(frozen=True)
class Reduction:
    """A reduction loop and its strides in A and B."""

    count: int
    a: int = 0
    b: int = 0


ONCE = Reduction(1)


@dataclass(frozen=True)
class Contraction:
    """All the numbers of one contraction.

    `split` bounds the outermost reduction over all rounds of the first outer loop.
    """

    rows: int
    row_a: int
    row_c: int
    columns: int
    reduce: tuple[Reduction, Reduction, Reduction]
    outer: tuple[Outer, ...] = ()
    offset_a: int = 0
    offset_b: int = 0
    offset_c: int = 0
    split: int = field(default=2**62)
    column_b: int = 1
    """B's stride from column tile to column tile, for each column: 1, or where B lies in panels their length."""


def matmul(m: int, k: int, n: int, *, transpose_a: bool, parts: int = 1, width: int = 0) -> Contraction:
    """(m, k) by (k, n); the reduction may be cut into `parts` of equal length, written one behind the other.

    With `width`, B lies in panels (k, width), one behind the other.
    """
    row_a, k_a = (1, m) if transpose_a else (k, 1)
    line, column_b = (width, k) if width else (n, 1)
    length = -(-k // parts)
    if parts == 1:
        return Contraction(m, row_a, n, n, (ONCE, ONCE, Reduction(k, k_a, line)), column_b=column_b)
    return Contraction(m, row_a, n, n, (Reduction(length, k_a, line), ONCE, ONCE),
                       (Outer(parts, length * k_a, length * line, m * n),), split=k, column_b=column_b)


def batch_matmul(count: int, heads: int, m: int, k: int, n: int, *, transpose: bool,
                 steps_first: Order) -> Contraction:
    """`count` times `heads` products of (m, k), or (k, m) if `transpose`, by (k, n).

    `steps_first` says of which of a, b and result the lines of all heads alternate.
    """
    lines = ((k, m) if transpose else (m, k), (k, n), (m, n))
    (line_a, head_a), (line_b, head_b), (row_c, head_c) = (
        (heads * width, width) if first else (width, height * width)
        for (height, width), first in zip(lines, steps_first, strict=True))
    row_a, k_a = (1, line_a) if transpose else (line_a, 1)
    outer = Outer(count, heads * m * k, heads * k * n, heads * m * n), Outer(heads, head_a, head_b, head_c)
    return Contraction(m, row_a, row_c, n, (ONCE, ONCE, Reduction(k, k_a, line_b)), outer)


def conv2d(x: tuple[int, ...], kernel: tuple[int, ...], y: tuple[int, ...], *, strides: Pair, dilation: Pair,
           groups: int) -> Contraction:
    """Convolution of x (n, h, w, c), already padded, by kernel (kh, kw, c / groups, out).

    Rows are the output pixels of a line.
    """
    n, h, w, c = x
    kh, kw, cg, out = kernel
    _, oh, ow, _ = y
    group = Outer(groups, cg, out // groups, out // groups, out // groups)
    if (kh, kw, groups) == (1, 1, 1) and strides == (1, 1):
        return Contraction(n * h * w, c, out, out, (ONCE, ONCE, Reduction(c, 1, out)))
    if dilation[1] == 1 and groups == 1:
        taps = (Reduction(kh, dilation[0] * w * c, kw * c * out), ONCE, Reduction(kw * c, 1, out))
    else:
        taps = (
            Reduction(kh, dilation[0] * w * c, kw * cg * out),
            Reduction(kw, dilation[1] * c, cg * out),
            Reduction(cg, 1, out),
        )
    outer = (Outer(n, h * w * c, 0, oh * ow * out), Outer(oh, strides[0] * w * c, 0, ow * out), group)
    return Contraction(ow, strides[1] * c, out, out // groups, taps, outer)


def conv2d_backward_kernel(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    y: tuple[int, ...],
    *,
    strides: Pair,
    dilation: Pair,
    groups: int,
    parts: int,
) -> Contraction:
    """Gradient of the kernel: rows are (kw, c) of a kernel line.

    The batch is cut into `parts`, whose results are written one behind the other.
    """
    n, h, w, c = x
    kh, kw, cg, out = kernel
    _, oh, ow, _ = y
    length = -(-n // parts)
    batch = Outer(parts, length * h * w * c, length * oh * ow * out, kh * kw * cg * out)
    line = Outer(kh, dilation[0] * w * c, 0, kw * cg * out)
    reduce = (Reduction(length, h * w * c, oh * ow * out), Reduction(oh, strides[0] * w * c, ow * out),
              Reduction(ow, strides[1] * c, out))
    if dilation[1] == 1 and groups == 1:
        return Contraction(kw * c, 1, out, out, reduce, (batch, line), split=n)
    outer = (batch, line, Outer(kw, dilation[1] * c, 0, cg * out), Outer(groups, cg, out // groups, out // groups))
    return Contraction(cg, 1, out, out // groups, reduce, outer, split=n)


def conv2d_backward_data(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    y: tuple[int, ...],
    *,
    strides: Pair,
    dilation: Pair,
    groups: int,
    before: Pair,
) -> list[Contraction]:
    """Gradient of x from dy with its halo and the flipped, transposed kernel (kh, kw, out, c / groups).

    One view a phase. `y` is the shape of dy without its halo; `before` is the padding in front of x.
    """
    n, h, w, c = x
    kh, kw, cg, out = kernel
    _, oh, ow, _ = y
    halo_h = halo(h, kh, strides[0], dilation[0], before[0], oh)
    halo_w = halo(w, kw, strides[1], dilation[1], before[1], ow)
    lines, width = oh + sum(halo_h), ow + sum(halo_w)
    per_group = out // groups
    views = []
    for down in phases(h, kh, strides[0], dilation[0], before[0]):
        for across in phases(w, kw, strides[1], dilation[1], before[1]):
            reduce = (Reduction(down.taps, down.reach * width * out, down.step * kw * out * cg),
                      Reduction(across.taps, across.reach * out, across.step * out * cg), Reduction(per_group, 1, cg))
            if groups == 1 and across.reach == across.step == 1:
                reduce = (reduce[0], ONCE, Reduction(across.taps * out, 1, cg))
            outer = (Outer(n, lines * width * out, 0, h * w * c),
                     Outer(down.count, width * out, 0, strides[0] * w * c),
                     Outer(groups, per_group, per_group * cg, cg))
            views.append(Contraction(
                across.count, out, strides[1] * c, cg, reduce, outer,
                offset_a=((down.base + halo_h[0]) * width + across.base + halo_w[0]) * out,
                offset_b=(down.tap * kw + across.tap) * out * cg,
                offset_c=(down.first * w + across.first) * c))
    return views
