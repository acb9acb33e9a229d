"""The tape: what it holds and for how long, control flow, second derivatives, threads, and looking at ops."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine import eager
from engine.eager import once
from engine.errors import NumericsError
from tests.engine.lowered import same_bits


def memory_of(tensor: eager.Tensor) -> weakref.ref:
    """A reference to the array that owns a tensor's memory."""
    array = tensor.data
    while array.base is not None:
        array = array.base
    return weakref.ref(array)


def test_values_between_are_freed_with_the_tape():
    """By their last reference alone: the garbage collector is off."""
    gc.disable()
    try:
        w = eager.parameter(np.ones((4, 4)))
        between = w @ w
        memory = memory_of(between)
        record = weakref.ref(between.record)
        loss = eager.relu(between).sum()
        del between
        assert memory() is not None and record() is not None
        loss.backward()
        assert w.grad.shape == (4, 4)
        del loss
        assert memory() is None and record() is None
    finally:
        gc.enable()


def test_without_gradients_nothing_is_held():
    x = eager.tensor(np.ones(4))
    y = eager.exp(x)
    memory = memory_of(x)
    del x
    assert memory() is None and y.record is None
    w = eager.parameter(np.ones(4))
    with eager.no_grad():
        assert not eager.exp(w).requires_grad
    assert eager.exp(w).requires_grad and not eager.exp(w).detach().requires_grad
    with pytest.raises(eager.Misuse, match="outside no_grad"), eager.no_grad():
        eager.exp(w).sum().backward()


def test_a_long_tape_is_walked_and_freed_without_recursion():
    x = w = eager.parameter(1.0)
    for _ in range(20_000):
        x = eager.negative(x)
    x.backward()
    assert w.grad.item() == 1.0
    del x


def test_gradients_add_up_until_they_are_forgotten():
    w = eager.parameter([3.0])
    for times in (1, 2):
        (w * w).sum().backward()
        assert w.grad.tolist() == [6.0 * times]
    w.grad = None
    (w * 2).sum().backward()
    assert w.grad.tolist() == [2.0]


def test_control_flow_may_depend_on_numbers():
    """Newton's method for a square root, as many steps as it takes; the gradient is 1 / (2 sqrt(a))."""
    a = eager.parameter(7.0)
    x, steps = a, 0
    while abs(x * x - a).item() > 1e-5:
        x, steps = (x + a / x) / 2, steps + 1
    x.backward()
    assert steps > 3
    np.testing.assert_allclose(x.item(), 7**0.5, rtol=1e-6)
    np.testing.assert_allclose(a.grad.item(), 0.5 / 7**0.5, rtol=1e-4)


def test_gradients_of_gradients():
    w = eager.parameter([2.0, 3.0])
    (first,) = eager.gradients((w * w * w).sum(), [w], again=True)
    (second,) = eager.gradients(first.sum(), [w], again=True)
    (third,) = eager.gradients(second.sum(), [w])
    assert first.tolist() == [12, 27] and second.tolist() == [12, 18] and third.tolist() == [6, 6]


def test_gradients_of_gradients_through_an_op_of_several_outputs():
    """Outputs that nobody holds, as the statistics here, come back where a derivative reads them."""
    x, one, zero = eager.parameter([[1.0], [3.0]]), eager.tensor([1.0]), eager.tensor([0.0])
    y = eager.batch_norm(x, one, zero, epsilon=0.0)[0]
    gc.collect()
    (first,) = eager.gradients((y * [[1.0], [2.0]]).sum(), [x], again=True)
    np.testing.assert_allclose(first.numpy(), 0, atol=1e-6)
    with pytest.raises(eager.Misuse, match="batch_norm_grad has no derivative"):
        eager.gradients(first.sum(), [x])


def test_a_parameter_that_changed_since_is_refused():
    w, sgd = eager.parameter([1.0, 2.0]), eager.optimizer("SGD", learning_rate=0.5)
    early, late = (w * w).sum(), (w * w).sum()
    early.backward()
    view = w.reshape(2, 1)
    sgd.step([w])
    assert w.tolist() == [0, 0] and view.tolist() == [[1], [2]]
    with pytest.raises(eager.Misuse, match="before the optimizer's step"):
        late.backward()


def test_a_loss_is_one_number():
    with pytest.raises(eager.Misuse, match=r"shape \(\), received f32\[2\]"):
        eager.exp(eager.parameter([1.0, 2.0])).backward()
    with pytest.raises(eager.Misuse, match="computed from parameters"):
        eager.tensor(1.0).backward()


def test_a_trace_lists_ops_and_their_times():
    w = eager.parameter(np.ones((2, 3)))
    with eager.trace() as seen:
        loss = eager.relu(w).sum()
        loss.backward()
    assert [each.op for each in seen] == ["relu", "reduce_sum", "broadcast", "relu_grad"]
    assert [each.origin for each in seen] == ["", "", "reduce_sum", "relu"]
    assert all(each.seconds > 0 for each in seen) and "relu(f32[2,3]) -> f32[2,3]" in str(seen)
    eager.relu(w)
    assert len(seen) == 4


def test_a_check_names_the_op_that_made_the_first_nan():
    w = eager.parameter([0.0, 1.0])
    with eager.check_numerics():
        eager.exp(w)
        with pytest.raises(NumericsError, match="log gave infinity of finite inputs") as error:
            eager.relu(eager.log(w))
        assert error.value.node == "log"
        with pytest.raises(NumericsError, match="exp gave NaN of inputs that were not finite already"):
            eager.exp(np.array([np.nan]))
        root = eager.sqrt(w).sum()
        with pytest.raises(NumericsError, match=r"\(sqrt\) gave infinity"):
            root.backward()
    assert np.isinf(eager.log(w).numpy()[0])


def test_ops_run_in_any_thread():
    """The same bits in each of many threads, of small ops and of those that share their work."""
    arrays = [np.random.default_rng(seed).standard_normal((64, 512)).astype("float32") for seed in range(8)]

    def work(array):
        w = eager.parameter(array)
        y = eager.tanh(w @ w.T).mean()
        y.backward()
        return y.numpy(), w.grad.numpy()

    wanted = [work(array) for array in arrays]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(work, arrays * 6))
    for one, other in zip(found, wanted * 6, strict=True):
        assert same_bits(one[0], other[0]) and same_bits(one[1], other[1])


def test_settings_are_each_threads_own():
    with eager.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: eager.exp(eager.parameter(1.0)).requires_grad).result()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(threads):
    x = np.random.default_rng(0).standard_normal((300, 300)).astype("float32")
    wanted = (eager.tensor(x) @ eager.tensor(x)).numpy()
    eager.use_threads(threads)
    try:
        assert same_bits((eager.tensor(x) @ eager.tensor(x)).numpy(), wanted)
    finally:
        eager.use_threads(0)
    with pytest.raises(ValueError, match="at least 0"):
        eager.use_threads(-1)


def test_ops_that_are_kept_are_so_many(monkeypatch):
    monkeypatch.setattr(once, "KEPT", 5)
    for length in range(1, 12):
        assert eager.relu(np.ones(length)).tolist() == [1] * length
    assert eager.cached().ops <= 5


def test_other_numerics_take_other_algorithms():
    x, kernel = (np.random.default_rng(0).standard_normal(shape).astype("float32")
                 for shape in ((2, 12, 12, 16), (3, 3, 16, 16)))
    quick = eager.conv2d(x, kernel)
    with eager.numerics("direct"):
        direct = eager.conv2d(x, kernel)
    assert not same_bits(quick.numpy(), direct.numpy())
    np.testing.assert_allclose(quick.numpy(), direct.numpy(), atol=1e-3)
    with pytest.raises(ValueError, match="expected one of direct"), eager.numerics("exact"):  # type: ignore[arg-type]
        pass


def test_neither_face_needs_llvmlite_to_be_looked_at():
    code = ("import sys; sys.modules['llvmlite'] = None; import engine; from engine import eager, static; "
            "eager.conv2d; static.trace(lambda x: eager.relu(x) + 1, static.input((None, 3)))")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
