"""What the benchmark prints and writes, from figures that are made up."""

from __future__ import annotations

import pytest

from benchmarks import results
from benchmarks.results import OURS, PEAK, Comparison, Figures


def figures(*milliseconds: float, flops: float = 1.0, peak_bytes: int = 300_000_000) -> Figures:
    """Steps of so many million operations; half as many again are executed."""
    return Figures([each / 1e3 for each in milliseconds], peak_bytes, 100_000_000, 0.5, 0.25,
                   {"direct": int(flops * 1e6), "executed": int(1.5 * flops * 1e6)})


@pytest.fixture
def found() -> Comparison:
    its = {
        OURS: figures(4.3, 4.4, 9.0, flops=440), PEAK: figures(1.0, 1.0, 1.0, flops=200),
        "torch channels_last": figures(6.2, 6.1, 12.0), "jax jit": figures(30.0, 31.0, 32.0),
    }
    return Comparison("cnn32", "a small network", its, 6.289, ["keras: no answer in 180 s"])


def test_the_first_line_has_its_exact_form(found):
    assert results.first_line(found) == (
        "cnn32  ours 4.40 ms  best peer 6.20 ms (torch channels_last)  ratio 1.41")
    assert results.text(found).splitlines()[0] == results.first_line(found)
    assert f"\n`{results.first_line(found)}`\n" in results.section(found, "today")


def test_details_are_rounds_shares_first_steps_memory_and_failures(found):
    text = results.text(found)
    assert "ratio in single rounds 1.33 to 1.44" in text
    assert "100 GFLOP/s direct, 150 executed; peak 200: 50% direct, 75% executed" in text
    assert "first step 6.29 s with an empty kernel cache, 0.25 s from it" in text
    assert "not timed: keras: no answer in 180 s" in text
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["ours", "torch", "jax"]  # fastest first, no peak
    assert "| ours | 4.40 ms | 300 MB | 200 MB | 0.25 s |" in results.section(found, "today")


@pytest.mark.parametrize(("seconds", "text"), [
    (0.1234, "123 ms"), (0.01234, "12.3 ms"), (0.001234, "1.23 ms"), (0.0001234, "0.123 ms")])
def test_milliseconds_have_three_digits(seconds, text):
    assert results.milliseconds(seconds) == text


@pytest.mark.parametrize(("theirs", "says"), [
    ([2.0, 1.5], None), ([2.0001, 1.5], None),
    ([2.001, 1.5], "the loss of step 1 is 2.000000 here and 2.001000 in peer"),
    ([2.0, 1.509], None), ([2.0, 1.52], "the loss of step 2 is 1.500000 here and 1.520000 in peer"),
    ([2.0, float("nan")], "the loss of step 2 is 1.500000 here and nan in peer"),
    ([2.0], "expected 2 losses, received 1 from peer")])
def test_where_losses_disagree(theirs, says):
    assert results.first_disagreement({OURS: [2.0, 1.5], "peer": theirs}) == says


def test_merging_keeps_other_parts_and_orders_all():
    order = ["a", "b", "kernels"]
    first = results.merged("", {"b": "## b\n\nold\n", "kernels": "## kernels\n\ntable\n"}, order)
    then = results.merged(first, {"b": "## b\n\nnew\n", "a": "## a\n\nfirst\n"}, order)
    assert then.startswith(results.HEADING)
    assert [line for line in then.splitlines() if line.startswith("## ")] == ["## a", "## b", "## kernels"]
    assert "old" not in then and "table" in then
    assert results.merged(then, {}, order) == then


def test_the_machine_is_described_without_names():
    import platform

    assert "cores" in results.machine() and platform.node() not in results.machine().split()
