"""What every optimizer can do besides its own rule: accumulate gradients over steps, and average weights (as Keras 3).

Both are part of the rule, so that they run in the one flat kernel. The slots of the rule come first, then the sum of
gradients, then the average.
"""

from __future__ import annotations

from typing import Any

from engine.expressions import Rule

ACCUMULATED, AVERAGE = "gradient_accumulator", "average"


def extended(rule: Rule) -> Rule:
    """The rule with the options that `Optimizer.applied` adds."""

    def numbers(m: Any, rate: Any, step: Any, *, accumulation: Any = None, decay: Any = None, averaging: Any = None,
                overwriting: Any = None, **options: Any) -> tuple[Any, ...]:
        more: list[Any] = []
        count = step  # of updates, this one included
        if accumulation is not None:
            more += [_at_multiple(m, step, accumulation), 1.0 / accumulation, 1.0 - rate * decay]
            count = m.floor((step - 1.0) / accumulation) + 1.0
        if averaging is not None:
            more.append(m.where(count > 1.0, averaging, 0.0))  # until the first update the average is the weights
        if overwriting is not None:
            more.append(_at_multiple(m, count, overwriting))
        return *rule.numbers(m, rate, count, **options), *more

    def update(m: Any, numbers: Any, w: Any, g: Any, *slots: Any, accumulates: bool = False, averages: bool = False,
               overwrites: bool = False, **flags: Any) -> tuple[Any, ...]:
        own, more = len(numbers) - 3 * accumulates - averages - overwrites, list(numbers)
        ours, more = tuple(more[:own]), more[own:]
        inner, kept = slots[:len(slots) - accumulates - averages], list(slots[len(slots) - accumulates - averages:])
        made: tuple[Any, ...]
        after: list[Any] = []
        if accumulates:
            due, share, keep = more[:3]
            del more[:3]
            total = kept.pop(0) + g
            made = rule.update(m, ours, w * keep, total * share, *inner, **flags)
            made = tuple(m.where(due > 0.0, new, old) for new, old in zip(made, (w, *inner), strict=True))
            after.append(m.where(due > 0.0, 0.0, total))
        else:
            made = rule.update(m, ours, w, g, *inner, **flags)
        weight = made[0]
        if averages:
            momentum = more.pop(0)
            average = momentum * kept.pop(0) + (1.0 - momentum) * weight
            after.append(average)
            if overwrites:
                weight = m.where(more.pop(0) > 0.0, average, weight)
        return weight, *made[1:], *after

    return Rule(numbers, update)


def _at_multiple(m: Any, count: Any, every: Any) -> Any:
    """1 where the count is a multiple, else 0."""
    return m.where(m.floor(count / every) * every >= count, 1.0, 0.0)
