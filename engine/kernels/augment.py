"""Random changes of training pictures, with the bits of `engine.data.augmentations`.

Each example's numbers are those of the key (seed, stream, epoch, example); seed, epoch, cursor and order stand in the
run's state. One chunk is one picture.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, octets, real
from engine.kernels.philox import philox, unit
from engine.lowering.request import KernelRequest
from engine.random import AUGMENTATION

CURSOR, ORDER, EPOCH, SEED = run_state.CURSOR, run_state.ORDER, run_state.EPOCH, run_state.SEED
FILL_MODES = ("constant", "nearest", "wrap", "reflect")
CONSTANT, NEAREST, WRAP, REFLECT = range(4)
WIDTHS = {"float32": 4, "uint8": 1}


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """The functions below by name."""
    (images, state), (out,) = reads, writes
    attrs = request.attrs
    args: list[int | float] = [images.address, state.address, out.address, *images.shape[1:], WIDTHS[images.dtype],
                               AUGMENTATION + attrs["place"]]
    if request.function == "random_flip":
        entry = flip
        args += [attrs["mode"] != "vertical", attrs["mode"] != "horizontal"]
    elif request.function == "random_crop":
        entry = crop
        args += out.shape[1:3]
    else:
        entry = translate
        args += [float(bound) for bound in (*attrs["height_factor"], *attrs["width_factor"])]
        args += [FILL_MODES.index(attrs["fill_mode"]), float(attrs["fill_value"]), attrs["interpolation"] == "nearest"]
    return [call(entry.address, args, out.shape[0], request.function)]


@njit(inline="always", error_model="numpy")
def _words(state, stream, position):  # type: ignore[no-untyped-def]
    """Words 0 and 1 of the example at this position of the batch."""
    example = longs(state[ORDER], (1,))[state[CURSOR] + position]
    return (philox(0, 0, state[EPOCH], example, state[SEED], stream)[0],
            philox(1, 0, state[EPOCH], example, state[SEED], stream)[0])


@njit(inline="always", error_model="numpy")
def _below(word, limit):  # type: ignore[no-untyped-def]
    """0 … limit - 1: the upper half of word * limit."""
    return np.int64((np.uint64(word) * np.uint64(limit)) >> np.uint64(32))


@compute_kernel
def flip(args, begin, end):  # type: ignore[no-untyped-def]
    """Mirrors each picture in the allowed directions.

    args: images, state, result, height, width, channels, bytes of an element, stream, horizontal, vertical.
    """
    state = longs(args[1], (16,))
    height, width, pixel = args[3], args[4], args[5] * args[6]
    for position in range(begin, end):
        first, second = _words(state, args[7], position)
        across = args[8] == 1 and (first >> np.uint32(31)) == 1
        down = args[9] == 1 and (second >> np.uint32(31)) == 1
        for row in range(height):
            source = args[0] + ((position * height) + (height - 1 - row if down else row)) * width * pixel
            target = args[2] + (position * height + row) * width * pixel
            if not across:
                a, b = octets(source, (width * pixel,)), octets(target, (width * pixel,))
                for index in range(a.size):
                    b[index] = a[index]
            elif args[6] == 4:
                for column in range(width):
                    x, y = floats(source + (width - 1 - column) * pixel, (args[5],)), floats(target + column * pixel,
                    (args[5],))
                    for channel in range(x.size):
                        y[channel] = x[channel]
            else:
                for column in range(width):
                    a, b = octets(source + (width - 1 - column) * pixel, (pixel,)), octets(target + column * pixel,
                    (pixel,))
                    for index in range(a.size):
                        b[index] = a[index]


@compute_kernel
def crop(args, begin, end):  # type: ignore[no-untyped-def]
    """A window of each picture.

    args: images, state, result, height, width, channels, bytes of an element, stream, height and width of the window.
    """
    state = longs(args[1], (16,))
    height, width, pixel = args[3], args[4], args[5] * args[6]
    lines, size = args[8], args[9] * pixel
    for position in range(begin, end):
        first, second = _words(state, args[7], position)
        top, left = _below(first, height - args[8] + 1), _below(second, width - args[9] + 1)
        for row in range(lines):
            a = octets(args[0] + ((position * height + top + row) * width + left) * pixel, (size,))
            b = octets(args[2] + (position * lines + row) * size, (size,))
            for index in range(a.size):
                b[index] = a[index]


@njit(inline="always", error_model="numpy")
def _shift(word, lower, upper, size, nearest):  # type: ignore[no-untyped-def]
    """The shift in pixels, all arithmetic in float32."""
    low = np.float32(real(lower))
    pixels = np.float32((low + unit(word) * (np.float32(real(upper)) - low)) * np.float32(size))
    return np.float32(np.rint(pixels)) if nearest == 1 else pixels


@njit(inline="always", error_model="numpy")
def _inside(place, size, mode):  # type: ignore[no-untyped-def]
    """Which pixel stands for one at `place`; -1 for the fill value."""
    if 0 <= place < size:
        return place
    if mode == CONSTANT:
        return np.int64(-1)
    if mode == NEAREST:
        return np.int64(0) if place < 0 else size - 1
    if mode == WRAP:
        return place % size
    turned = place % (2 * size)
    return min(turned, 2 * size - 1 - turned)


@njit(inline="always", error_model="numpy")
def _load(line, address, width, place):  # type: ignore[no-untyped-def]
    """A row of pixels as float32."""
    if width == 4:
        x = floats(address + 4 * place * line.size, (line.size,))
        for index in range(line.size):
            line[index] = x[index]
    else:
        u = octets(address + place * line.size, (line.size,))
        for index in range(line.size):
            line[index] = np.float32(u[index])


@compute_kernel
def translate(args, begin, end):  # type: ignore[no-untyped-def]
    """Rows first, then columns, each as `first * (1 - part) + second * part`.

    args: images, state, result, height, width, channels, bytes of an element, stream, lower and upper height factor,
    lower and upper width factor, fill mode, fill value, nearest.
    """
    state = longs(args[1], (16,))
    height, width, channels, mode = args[3], args[4], args[5], args[12]
    fill, one = np.float32(real(args[13])), np.float32(1.0)
    size = width * channels
    a, b = np.empty(size, np.float32), np.empty(size, np.float32)
    for position in range(begin, end):
        word_0, word_1 = _words(state, args[7], position)
        down = _shift(word_0, args[8], args[9], height, args[14])
        right = _shift(word_1, args[10], args[11], width, args[14])
        image = args[0] + position * height * size * args[6]
        for row in range(height):
            source = np.float32(np.float32(row) - down)
            below = np.float32(np.floor(source))
            part = np.float32(source - below)
            upper, lower = _inside(np.int64(below), height, mode), _inside(np.int64(below) + 1, height, mode)
            if upper < 0:
                a[:] = fill
            else:
                _load(a, image, args[6], upper)
            if lower < 0:
                b[:] = fill
            else:
                _load(b, image, args[6], lower)
            for index in range(size):
                a[index] = a[index] * (one - part) + b[index] * part
            line = floats(args[2] + 4 * (position * height + row) * size, (size,))
            for column in range(width):
                source = np.float32(np.float32(column) - right)
                below = np.float32(np.floor(source))
                part = np.float32(source - below)
                first, second = _inside(np.int64(below), width, mode), _inside(np.int64(below) + 1, width, mode)
                for channel in range(channels):
                    x = fill if first < 0 else a[first * channels + channel]
                    y = fill if second < 0 else a[second * channels + channel]
                    line[column * channels + channel] = x * (one - part) + y * part
