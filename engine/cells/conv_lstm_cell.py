"""The cell of ConvLSTM1D, 2D and 3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.activations.base import Activation
from engine.activations.functions import Sigmoid
from engine.cells.base import States, Steps, one_by_one, split, zeros
from engine.cells.gated import Kernels, Weights, activation_option
from engine.cells.lstm_cell import ForgetBias, memorise
from engine.graph.ir import Value
from engine.initializers.base import Initializer
from engine.layers.base import Net, channels_last, text
from engine.layers.convolve import convolve
from engine.layers.window import Sizes, padding_mode, window_padding
from engine.ops.base import ShapeMismatch
from engine.options import Mismatch, boolean, integer, option
from engine.types import Shape, times
from engine.windows import output_size

GATES = 4


@dataclass(frozen=True, kw_only=True)
class ConvLSTMCell(Kernels):
    """Long short-term memory whose products are convolutions (Shi et al., NIPS 2015), without peepholes as in Keras.

    The state's convolution keeps its size: strides and dilation are those of the input's alone.
    """

    type_name: ClassVar[str] = "ConvLSTMCell"
    rank: ClassVar[int]

    kernel_size: Sizes
    strides: Sizes
    dilation_rate: Sizes
    filters: int = option(integer(minimum=1, maximum=65_536))
    padding: str = option(padding_mode, default="valid")
    data_format: str = option(channels_last, default="channels_last")
    recurrent_activation: Activation | None = option(activation_option, default=Sigmoid())
    unit_forget_bias: bool = option(boolean, default=True)

    def check(self, pointer: str) -> None:
        """As in Keras, a kernel is either strided or dilated."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise Mismatch(f"{pointer}/dilation_rate", "1 where strides are above 1", list(self.dilation_rate))

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.filters, self.filters

    @property
    def start(self) -> Initializer:
        return ForgetBias(others=self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def state_shapes(self, x: Value) -> tuple[Shape, ...]:
        if x.type.rank != self.rank + 3:
            names = ("depth", "height", "width")[-self.rank:] if self.rank > 1 else ("positions",)
            raise ShapeMismatch(f"rank {self.rank + 3} (batch, steps, {', '.join(names)}, channels)", text(x.shape))
        sizes: Any = x.shape[2:-1]
        places = tuple(output_size(*along) for along in zip(
            sizes, self.kernel_size, self.strides, self.dilation_rate, self._around(sizes)["padding"], strict=True))
        if min(places) < 1:
            raise ShapeMismatch(f"sizes that a kernel {list(self.kernel_size)} fits in", text(x.shape))
        return ((x.shape[0], *places, self.filters),) * 2

    def run(self, net: Net, given: Steps, name: str) -> tuple[Value, States]:
        b, x, (shape, _) = net.b, given.x, self.state_shapes(given.x)
        with net.part(name, self):
            weights = self._weights(net, x, shape)
        shares = self._shares(net, x, weights, shape)

        def step(place: int, states: States) -> States:
            now = b.op("slice", shares, axis=1, start=place, stop=place + 1)
            now = b.op("reshape", now, shape=(now.shape[0], *now.shape[2:]))
            same = self._same(shape[1:-1])
            inner = self._convolved(net, states[0], weights.recurrent, weights.states, same)
            total = b.op("add", now, b.op("reshape", inner, shape=now.shape))
            return memorise(net, split(net, total, GATES), states[1], self.activation, self.recurrent_activation)

        initial = given.initial or (zeros(net, x, shape[1:]),) * 2  # type: ignore[arg-type]
        return one_by_one(net, given, initial, step)

    def _around(self, sizes: Sizes) -> dict[str, Any]:
        """Strides, padding and dilation of the input's convolution."""
        padding = window_padding(self.padding, sizes, self.kernel_size, self.strides, self.dilation_rate)
        return {"strides": self.strides, "padding": padding, "dilation": self.dilation_rate}

    def _same(self, sizes: Any) -> dict[str, Any]:
        """Those of the state's."""
        ones = (1,) * self.rank
        return {"strides": ones, "padding": window_padding("same", sizes, self.kernel_size, ones), "dilation": ones}

    def _weights(self, net: Net, x: Value, shape: Shape) -> Weights:
        wide = GATES * self.filters
        kernel = net.weight("kernel", (*self.kernel_size, x.shape[-1], wide), self.kernel_initializer,
                            regularizer=self.kernel_regularizer)
        recurrent = net.weight("recurrent_kernel", (*self.kernel_size, self.filters, wide), self.recurrent_initializer,
                               regularizer=self.recurrent_regularizer, options="recurrent")
        bias = net.weight("bias", (wide,), self.start, regularizer=self.bias_regularizer) if self.use_bias else None
        inputs = self.drops(net, x, self.dropout, (1, *x.shape[2:]), GATES)
        states = self.drops(net, x, self.recurrent_dropout, shape[1:], GATES)  # type: ignore[arg-type]
        return Weights(kernel, recurrent, bias, inputs, states)

    def _shares(self, net: Net, x: Value, weights: Weights, shape: Shape) -> Value:
        """The input's share of the gates at all steps, (batch, steps, *places, gates filters)."""
        b, batch, steps = net.b, x.shape[0], x.shape[1]
        around = self._around(x.shape[2:-1])
        found = self._convolved(net, x, weights.kernel, weights.inputs, around)
        if weights.bias is not None:
            found = b.op("add", found, weights.bias)
        return b.op("reshape", found, shape=(batch, steps, *shape[1:-1], GATES * self.filters))

    def _convolved(self, net: Net, x: Value, kernel: Value, masks: tuple[Value, ...],
                   around: dict[str, Any]) -> Value:
        """All gates by one convolution, or one for each that leaves out values of its own; in image form.

        x is (batch, *sizes, channels), or has steps behind the batch that are convolved alike.
        """
        b = net.b

        def through(x: Value, kernel: Value) -> Value:
            if x.type.rank > self.rank + 2:
                x = b.op("reshape", x, shape=(times(x.shape[0], x.shape[1]), *x.shape[2:]))
            return convolve(b, x, kernel, **around)

        if not masks:
            return through(x, kernel)
        found = [through(b.op("multiply", x, mask), part)
                 for mask, part in zip(masks, split(net, kernel, GATES), strict=True)]
        return b.op("concatenate", *found, axis=found[0].type.rank - 1)
