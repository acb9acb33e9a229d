"""Long short-term memory over sequences of lines, pictures and volumes."""

from __future__ import annotations

from dataclasses import dataclass

from engine.cells.conv_lstm_cell import ConvLSTMCell
from engine.layers.base import LayerSample
from engine.layers.recurrent import OfCell
from engine.layers.window import Sizes
from engine.options import option, spatial
from engine.registry import register


@dataclass(frozen=True, kw_only=True)
class Lines(ConvLSTMCell):
    """The cell over lines."""

    rank = 1
    kernel_size: Sizes = option(spatial(1))
    strides: Sizes = option(spatial(1), default=(1,))
    dilation_rate: Sizes = option(spatial(1), default=(1,))


@dataclass(frozen=True, kw_only=True)
class Pictures(ConvLSTMCell):
    """The cell over pictures."""

    rank = 2
    kernel_size: Sizes = option(spatial(2))
    strides: Sizes = option(spatial(2), default=(1, 1))
    dilation_rate: Sizes = option(spatial(2), default=(1, 1))


@dataclass(frozen=True, kw_only=True)
class Volumes(ConvLSTMCell):
    """The cell over volumes."""

    rank = 3
    kernel_size: Sizes = option(spatial(3))
    strides: Sizes = option(spatial(3), default=(1, 1, 1))
    dilation_rate: Sizes = option(spatial(3), default=(1, 1, 1))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ConvLSTM1D(OfCell, Lines):
    """Long short-term memory whose products are convolutions over lines (Shi et al., NIPS 2015), step by step.

    Further inputs are the states h and c to start from. Input shape: (batch, steps, positions, channels).
    Output shape: (batch, new positions, filters), with `return_sequences` (batch, steps, new positions, filters); with
    `return_state` followed by the last h and c.
    """

    cell_type = Lines
    size_option = "filters"
    samples = (LayerSample({"filters": 2, "kernel_size": 3}, ((3, 5, 2),), (3, 2), 104),
               LayerSample({"filters": 3, "kernel_size": 2, "padding": "same", "return_sequences": True,
                            "strides": 2, "go_backwards": True}, ((2, 5, 1),), (2, 3, 3), 108))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ConvLSTM2D(OfCell, Pictures):
    """Long short-term memory whose products are convolutions over pictures (Shi et al., NIPS 2015), step by step.

    Further inputs are the states h and c to start from. Input shape: (batch, steps, height, width, channels).
    Output shape: (batch, new height, new width, filters), with `return_sequences` (batch, steps, new height, new
    width, filters); with `return_state` followed by the last h and c.
    """

    cell_type = Pictures
    size_option = "filters"
    samples = (LayerSample({"filters": 2, "kernel_size": 3}, ((3, 5, 4, 2),), (3, 2, 2), 296),
               LayerSample({"filters": 3, "kernel_size": [1, 2], "padding": "same", "return_sequences": True,
                            "unit_forget_bias": False, "activation": "relu"}, ((2, 3, 4, 1),), (2, 3, 4, 3), 108),
               LayerSample({"filters": 2, "kernel_size": 2, "dilation_rate": 2, "dropout": 0.3, "use_bias": False,
                            "recurrent_dropout": 0.2, "seed": 3}, ((2, 4, 4, 1),), (2, 2, 2), 96))


@register("layer")
@dataclass(frozen=True, kw_only=True)
class ConvLSTM3D(OfCell, Volumes):
    """Long short-term memory whose products are convolutions over volumes (Shi et al., NIPS 2015), step by step.

    Further inputs are the states h and c to start from. Input shape: (batch, steps, depth, height, width, channels).
    Output shape: (batch, new depth, new height, new width, filters), with `return_sequences` (batch, steps, new depth,
    new height, new width, filters); with `return_state` followed by the last h and c.
    """

    cell_type = Volumes
    size_option = "filters"
    samples = (LayerSample({"filters": 2, "kernel_size": 2}, ((2, 3, 3, 2, 1),), (2, 2, 1, 2), 200),
               LayerSample({"filters": 1, "kernel_size": [1, 2, 1], "padding": "same", "return_sequences": True},
                           ((2, 2, 3, 2, 2),), (2, 2, 3, 2, 1), 28))
