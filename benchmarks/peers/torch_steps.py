"""PyTorch as a participant: python -m benchmarks.peers.torch_steps FOLDER CONFIGURATION THREADS [--no-dropout]

Configurations: eager, channels_last, compile, compile_channels_last. All use the fused Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.participant import Settings, serve, settings
from benchmarks.peers import torch_sequence
from benchmarks.peers.torch_sequence import fill
from benchmarks.problem import Problem, Shape
from benchmarks.workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Layer

Weights = dict[str, np.ndarray[Any, Any]]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6}


class Residual(nn.Module):
    """The sum of its inputs."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Add from left to right."""
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        return total


class GlobalPool(nn.Module):
    """The mean over height and width."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to (batch, channels)."""
        return x.mean((2, 3))


class Network(nn.Module):
    """Layers in order; each reads the one before it unless `inputs` says otherwise."""

    def __init__(self, layers: list[tuple[str, list[str], nn.Module]]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: module for name, _, module in layers})
        self.route = [(name, inputs, self.layers[name]) for name, inputs, _ in layers]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        values = {"x": x}
        for name, inputs, module in self.route:
            x = values[name] = module(*(values[source] for source in inputs))
        return x


def build(problem: Problem) -> nn.Module:
    """The definition as PyTorch's modules, with the problem's weights."""
    padding: dict[str, int] = {}
    layers: list[tuple[str, list[str], nn.Module]] = []
    route = {"x": "x"}
    flattened: Shape = ()
    for layer in problem.workload.layers:
        name, sources = layer["name"], problem.inputs[layer["name"]]
        inputs = [route[source] for source in sources]
        before = [problem.shapes.get(source, problem.workload.shape) for source in sources]
        route[name] = name
        if layer["type"] == "ZeroPadding2D":  # the convolution behind it pads
            padding[name], route[name] = layer["padding"], inputs[0]
            continue
        if layer["type"] == "Flatten":
            flattened = before[0]
        module = _module(layer, before[0], problem.weights[name], padding.get(sources[0], 0), flattened)
        if layer["type"] == "Dense":
            flattened = ()
        layers.append((name, inputs, module))
    if all(inputs == [previous] for (_, inputs, _), previous in
           zip(layers, ["x", *(name for name, _, _ in layers)], strict=False)):
        return nn.Sequential(*(module for _, _, module in layers))
    return Network(layers)


def _module(layer: Layer, before: Shape, weights: Weights, padding: int, flattened: Shape) -> nn.Module:
    """One layer, with its activation behind it."""
    made = {"Dense": _dense, "Conv2D": _convolution, "DepthwiseConv2D": _convolution}.get(layer["type"])
    if made is not None:
        module = made(layer, before, weights, padding, flattened)
        activation = layer.get("activation")
        return nn.Sequential(module, ACTIVATIONS[activation]()) if activation else module
    match layer["type"]:
        case "BatchNormalization":
            norm = nn.BatchNorm2d(before[-1], eps=layer["epsilon"], momentum=0.01)
            fill(norm.weight, weights["gamma"])
            fill(norm.bias, weights["beta"])
            return norm
        case "Activation":
            return ACTIVATIONS[layer["activation"]]()
        case "MaxPooling2D":
            return nn.MaxPool2d(layer["pool_size"])
        case "Flatten":
            return nn.Flatten()
        case "Dropout":
            return nn.Dropout(layer["rate"])
        case "GlobalAveragePooling2D":
            return GlobalPool()
        case "Add":
            return Residual()
        case "LSTM" | "GRU" | "Bidirectional":
            return torch_sequence.Recurrent(layer, before[-1], weights)
        case "Embedding":
            return torch_sequence.embedding(layer, weights)
        case "LayerNormalization":
            return torch_sequence.layer_norm(layer, before[-1], weights)
        case "MultiHeadAttention":
            return torch_sequence.Attention(layer, before[-1], weights)
        case "GlobalAveragePooling1D":
            return torch_sequence.MeanOverTime()
    raise ValueError(f"expected a layer that has its like here, received {layer['type']}")


def _dense(layer: Layer, before: Shape, weights: Weights, padding: int, flattened: Shape) -> nn.Module:
    """Behind a Flatten the rows of the kernel go from (height, width, channels) to PyTorch's order."""
    kernel = weights["kernel"]
    if flattened:
        kernel = kernel.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
    module = nn.Linear(before[-1], layer["units"])
    fill(module.weight, kernel.T)
    fill(module.bias, weights["bias"])
    return module


def _convolution(layer: Layer, before: Shape, weights: Weights, padding: int, flattened: Shape) -> nn.Module:
    """(height, width, in, out) kernels become (out, in, height, width); depthwise ones are groups of one channel."""
    kernel, depthwise = weights["kernel"], layer["type"] == "DepthwiseConv2D"
    size = layer["kernel_size"]
    if layer.get("padding") == "same":
        padding = size // 2
    filters = before[-1] if depthwise else layer["filters"]
    module = nn.Conv2d(before[-1], filters, size, layer.get("strides", 1), padding, bias="bias" in weights,
                       groups=before[-1] if depthwise else 1)
    fill(module.weight, kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1))
    if module.bias is not None:
        fill(module.bias, weights["bias"])
    return module


class Steps:
    """Training as a PyTorch user writes it."""

    granularity = 1
    flops: ClassVar[dict[str, int]] = {}

    def __init__(self, chosen: Settings) -> None:
        torch.set_num_threads(chosen.threads)
        problem = chosen.problem()
        model = build(problem).train()
        x = torch.from_numpy(problem.x)
        if x.dim() == 5:
            x = x.permute(0, 1, 4, 2, 3)
        if "channels_last" in chosen.configuration:
            model = model.to(memory_format=torch.channels_last)
            self.x = [batch.contiguous(memory_format=torch.channels_last) for batch in x]
        else:
            self.x = [batch.contiguous() for batch in x]
        self.y = list(torch.from_numpy(problem.y).long())
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        self.optimizer = torch.optim.Adam(trained, LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)

        def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(model(x), y)

        self.loss = torch.compile(loss) if chosen.configuration.startswith("compile") else loss
        self.done = 0

    def losses(self, steps: int) -> list[float]:
        """Of the next steps."""
        return [self._step().item() for _ in range(steps)]

    def run(self, steps: int) -> None:
        """Train on."""
        for _ in range(steps):
            self._step()

    def _step(self) -> torch.Tensor:
        place = self.done % len(self.x)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.x[place], self.y[place])
        loss.backward()
        self.optimizer.step()
        self.done += 1
        return loss


def main() -> None:
    """Take part."""
    chosen = settings()
    serve(lambda: Steps(chosen))


if __name__ == "__main__":
    main()
