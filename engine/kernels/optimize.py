"""The flat optimizer: one call over all variables. A chunk is a block of one variable's elements.

The step's learning rate and number stand in the run's state. Each element is computed on its own, so any order of
chunks gives the same bits.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from engine.kernels import state as run_state
from engine.kernels.call import Buffer, Call, call
from engine.kernels.native import compute_kernel, floats, longs, real
from engine.lowering.request import KernelRequest

BLOCK = 4096
STEP, RECORD, RATES = run_state.STEP, run_state.RECORD, run_state.RATES
HEADER = 8
"""Arguments before the segments: state, four numbers, two flags, and the number of segments."""


def bind(request: KernelRequest, reads: list[Buffer], writes: list[Buffer]) -> list[Call]:
    """Segments are (first chunk, elements, weights, gradient, up to three slots) of each variable."""
    attrs = dict(request.attrs)
    group = attrs["group"]
    state, *rest = reads
    variables = [rest[start: start + group] for start in range(0, len(rest), group)]
    header: list[int | float] = [state.address, attrs.get("weight_decay", 0.0)]
    if request.function == "sgd":
        entry = sgd
        header += [attrs.get("momentum", 0.0), 0.0, 0.0, int(attrs.get("nesterov", False)), group - 2]
    elif request.function == "rmsprop":
        entry = rmsprop
        header += [
            attrs.get("rho", 0.9),
            attrs.get("momentum", 0.0),
            attrs.get("epsilon", 1e-7),
            int(attrs.get("centered", False)),
            group - 2,
        ]
    else:
        entry = adam
        header += [attrs.get("beta_1", 0.9), attrs.get("beta_2", 0.999), attrs.get("epsilon", 1e-7), 0, group - 2]
    args: list[int | float] = [*header, len(variables)]
    chunk = 0
    for weights, gradient, *slots in variables:
        size = prod(weights.shape)
        args += [
            chunk,
            size,
            weights.address,
            gradient.address,
            *(slot.address for slot in slots),
            *(0,) * (3 - len(slots)),
        ]
        chunk += -(-size // BLOCK)
    return [call(entry.address, args, chunk, request.function)]


@compute_kernel
def sgd(args, begin, end):  # type: ignore[no-untyped-def]
    """Numbers: weight decay, momentum; flag: Nesterov."""
    state = longs(args[0], (16,))
    rate = floats(state[RATES], (1,))[state[RECORD]]
    keep, momentum = np.float32(np.float32(1.0) - rate * np.float32(real(args[1]))), np.float32(real(args[2]))
    nesterov, slots, segments = args[5], args[6], args[7]
    for segment in range(segments):
        base = HEADER + 7 * segment
        first, size = args[base], args[base + 1]
        low, high = max(0, begin - first) * BLOCK, min((end - first) * BLOCK, size)
        if high <= low:
            continue
        count = high - low
        w, g = floats(args[base + 2] + 4 * low, (count,)), floats(args[base + 3] + 4 * low, (count,))
        if slots == 0:
            for index in range(w.size):
                w[index] = w[index] * keep - rate * g[index]
            continue
        v = floats(args[base + 4] + 4 * low, (count,))
        if nesterov == 1:
            for index in range(w.size):
                v[index] = momentum * v[index] - rate * g[index]
                w[index] = w[index] * keep + momentum * v[index] - rate * g[index]
        else:
            for index in range(w.size):
                v[index] = momentum * v[index] - rate * g[index]
                w[index] = w[index] * keep + v[index]


@compute_kernel
def rmsprop(args, begin, end):  # type: ignore[no-untyped-def]
    """Numbers: weight decay, rho, momentum, epsilon; flag: centered."""
    state = longs(args[0], (16,))
    rate = floats(state[RATES], (1,))[state[RECORD]]
    keep = np.float32(np.float32(1.0) - rate * np.float32(real(args[1])))
    rho, momentum, epsilon = np.float32(real(args[2])), np.float32(real(args[3])), np.float32(real(args[4]))
    centered, slots, segments, one = args[5], args[6], args[7], np.float32(1.0)
    for segment in range(segments):
        base = HEADER + 7 * segment
        first, size = args[base], args[base + 1]
        low, high = max(0, begin - first) * BLOCK, min((end - first) * BLOCK, size)
        if high <= low:
            continue
        count = high - low
        w, g = floats(args[base + 2] + 4 * low, (count,)), floats(args[base + 3] + 4 * low, (count,))
        square = floats(args[base + 4] + 4 * low, (count,))
        mean = floats(args[base + 5] + 4 * low, (count,))
        velocity = floats(args[base + 5 + centered] + 4 * low, (count,))
        moving = slots > 1 + centered
        for index in range(w.size):
            gradient = g[index]
            square[index] = rho * square[index] + (one - rho) * gradient * gradient
            denominator = square[index] + epsilon
            if centered == 1:
                mean[index] = rho * mean[index] + (one - rho) * gradient
                variance = square[index] - mean[index] * mean[index]
                denominator = (np.float32(0.0) if variance < 0 else variance) + epsilon
            change = rate * gradient / np.float32(sqrt(denominator))
            if moving:
                velocity[index] = momentum * velocity[index] + change
                change = velocity[index]
            w[index] = w[index] * keep - change


@compute_kernel
def adam(args, begin, end):  # type: ignore[no-untyped-def]
    """Numbers: weight decay, beta 1, beta 2, epsilon."""
    state = longs(args[0], (16,))
    rate = floats(state[RATES], (1,))[state[RECORD]]
    keep = np.float32(np.float32(1.0) - rate * np.float32(real(args[1])))
    beta_1, beta_2 = real(args[2]), real(args[3])
    step = np.float64(state[STEP] + 1)
    corrected = np.float32(np.float64(rate) * sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step))
    new_1, new_2, epsilon = np.float32(1.0 - beta_1), np.float32(1.0 - beta_2), np.float32(real(args[4]))
    slots, segments = args[6], args[7]
    for segment in range(segments):
        base = HEADER + 7 * segment
        first, size = args[base], args[base + 1]
        low, high = max(0, begin - first) * BLOCK, min((end - first) * BLOCK, size)
        if high <= low:
            continue
        count = high - low
        w, g = floats(args[base + 2] + 4 * low, (count,)), floats(args[base + 3] + 4 * low, (count,))
        m, v = floats(args[base + 4] + 4 * low, (count,)), floats(args[base + 5] + 4 * low, (count,))
        if slots == 3:
            largest = floats(args[base + 6] + 4 * low, (count,))
            for index in range(w.size):
                m[index] += (g[index] - m[index]) * new_1
                v[index] += (g[index] * g[index] - v[index]) * new_2
                largest[index] = max(largest[index], v[index])
                w[index] = w[index] * keep - corrected * m[index] / (np.float32(sqrt(largest[index])) + epsilon)
            continue
        for index in range(w.size):
            m[index] += (g[index] - m[index]) * new_1
            v[index] += (g[index] * g[index] - v[index]) * new_2
            w[index] = w[index] * keep - corrected * m[index] / (np.float32(sqrt(v[index])) + epsilon)
