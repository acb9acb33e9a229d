"""Pooling: windows of an image, all channels at a time.

One chunk is one line of the output (forward) or one image (backward).
"""

from __future__ import annotations

import numpy as np

from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, octets
from engine.lowering.request import KernelRequest


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """`maximum` and `average` forward, `maximum_grad` and `average_grad` backward."""
    attrs = request.attrs
    (ph, pw), (sh, sw), ((top, _), (left, _)) = attrs["pool"], attrs["strides"], attrs["padding"]
    image, windows = (writes[0], reads[0]) if request.function.endswith("grad") else (reads[0], writes[0])
    n, h, w, c = image.shape
    _, oh, ow, _ = windows.shape
    chosen = {"maximum": writes[-1], "maximum_grad": reads[-1]}.get(request.function)
    args = [
        image.address,
        windows.address,
        chosen.address if chosen else 0,
        n,
        h,
        w,
        c,
        oh,
        ow,
        ph,
        pw,
        sh,
        sw,
        top,
        left,
    ]
    entry, chunks = {"maximum": (maximum, n * oh), "average": (average, n * oh), "maximum_grad": (maximum_grad, n),
                     "average_grad": (average_grad, n)}[request.function]
    return [call(entry.address, args, chunks, request.function)]


@compute_kernel
def maximum(args, begin, end):  # type: ignore[no-untyped-def]
    """Largest value and its position in the window; padding never wins."""
    n, h, w, c, oh, ow = args[3], args[4], args[5], args[6], args[7], args[8]
    ph, pw, sh, sw, top, left = args[9], args[10], args[11], args[12], args[13], args[14]
    x, y, chosen = floats(args[0], (n, h, w, c)), floats(args[1], (n, oh, ow, c)), octets(args[2], (n, oh, ow, c))
    for chunk in range(begin, end):
        image, line = chunk // oh, chunk % oh
        for column in range(ow):
            best, which = y[image, line, column], chosen[image, line, column]
            first = True
            for i in range(ph):
                row = line * sh + i - top
                if row < 0 or row >= h:
                    continue
                for j in range(pw):
                    place = column * sw + j - left
                    if place < 0 or place >= w:
                        continue
                    source = x[image, row, place]
                    number = np.uint8(i * pw + j)
                    if first:
                        first = False
                        for channel in range(c):
                            best[channel] = source[channel]
                            which[channel] = number
                    else:
                        for channel in range(c):
                            value = source[channel]
                            old = best[channel]
                            wins = value > old or (value != value and old == old)
                            best[channel] = value if wins else old
                            which[channel] = number if wins else which[channel]


@compute_kernel
def maximum_grad(args, begin, end):  # type: ignore[no-untyped-def]
    """The gradient goes to the chosen pixel; overlapping windows add up in the order of the windows."""
    n, h, w, c, oh, ow = args[3], args[4], args[5], args[6], args[7], args[8]
    ph, pw, sh, sw, top, left = args[9], args[10], args[11], args[12], args[13], args[14]
    dx, g, chosen = floats(args[0], (n, h, w, c)), floats(args[1], (n, oh, ow, c)), octets(args[2], (n, oh, ow, c))
    covers = ph == sh and pw == sw and top == 0 and left == 0
    for image in range(begin, end):
        if covers:
            for row in range(h):
                line = row // ph
                for place in range(w):
                    target = dx[image, row, place]
                    column = place // pw
                    if line < oh and column < ow:
                        number = np.uint8(row % ph * pw + place % pw)
                        grad, which = g[image, line, column], chosen[image, line, column]
                        for channel in range(c):
                            target[channel] = grad[channel] if which[channel] == number else np.float32(0.0)
                    else:
                        target[:] = np.float32(0.0)
            continue
        dx[image] = np.float32(0.0)
        for line in range(oh):
            for column in range(ow):
                grad, which = g[image, line, column], chosen[image, line, column]
                for channel in range(c):
                    pixel = np.int64(which[channel])
                    row, place = line * sh + pixel // pw - top, column * sw + pixel % pw - left
                    if 0 <= row < h and 0 <= place < w:
                        dx[image, row, place, channel] += grad[channel]


@compute_kernel
def average(args, begin, end):  # type: ignore[no-untyped-def]
    """Mean of the window's real pixels."""
    n, h, w, c, oh, ow = args[3], args[4], args[5], args[6], args[7], args[8]
    ph, pw, sh, sw, top, left = args[9], args[10], args[11], args[12], args[13], args[14]
    x, y = floats(args[0], (n, h, w, c)), floats(args[1], (n, oh, ow, c))
    for chunk in range(begin, end):
        image, line = chunk // oh, chunk % oh
        for column in range(ow):
            target = y[image, line, column]
            target[:] = np.float32(0.0)
            count = 0
            for i in range(max(0, top - line * sh), min(ph, h + top - line * sh)):
                for j in range(max(0, left - column * sw), min(pw, w + left - column * sw)):
                    source = x[image, line * sh + i - top, column * sw + j - left]
                    count += 1
                    for channel in range(c):
                        target[channel] += source[channel]
            share = np.float32(1.0) / np.float32(count)
            for channel in range(c):
                target[channel] *= share


@compute_kernel
def average_grad(args, begin, end):  # type: ignore[no-untyped-def]
    """Each real pixel of a window takes an equal share."""
    n, h, w, c, oh, ow = args[3], args[4], args[5], args[6], args[7], args[8]
    ph, pw, sh, sw, top, left = args[9], args[10], args[11], args[12], args[13], args[14]
    dx, g = floats(args[0], (n, h, w, c)), floats(args[1], (n, oh, ow, c))
    for image in range(begin, end):
        dx[image] = np.float32(0.0)
        for line in range(oh):
            first_row, last_row = max(0, line * sh - top), min(h, line * sh - top + ph)
            for column in range(ow):
                first, last = max(0, column * sw - left), min(w, column * sw - left + pw)
                share = np.float32(1.0) / np.float32((last_row - first_row) * (last - first))
                grad = g[image, line, column]
                for row in range(first_row, last_row):
                    for place in range(first, last):
                        target = dx[image, row, place]
                        for channel in range(c):
                            target[channel] += grad[channel] * share
