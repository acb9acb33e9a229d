"""What every template is, and what it writes layers with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.options import choice, integer, number, option, optional

classes = integer(minimum=1, maximum=100_000)
filters = integer(minimum=1, maximum=4096)
rate = number(minimum=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Template(ABC):
    """The options of a family of models."""

    sample: ClassVar[tuple[tuple[str, tuple[int, ...]], ...]] = (("image", (32, 32, 3)),)
    """Inputs of the size that the family was made for, for the conformance tests and the documentation."""
    type_name: ClassVar[str]

    @abstractmethod
    def write(self, sketch: Sketch) -> None:
        """Write the layers."""

    def document(self) -> dict[str, Any]:
        """The native definition without inputs."""
        sketch = Sketch()
        self.write(sketch)
        return {"name": self.type_name, "layers": sketch.layers}


@dataclass(frozen=True, kw_only=True)
class Classifier(Template):
    """A template whose output is one number for each class: a probability, or a logit without an activation."""

    classes: int = option(classes, doc="units of the last layer")
    classifier_activation: str | None = option(optional(choice("softmax", "sigmoid")), default="softmax",
                                               doc="null: logits, for a loss with from_logits")

    def head(self, sketch: Sketch, inputs: str | None = None) -> str:
        """The last layer."""
        return sketch.add("Dense", "classifier", inputs, units=self.classes, activation=self.classifier_activation)


class Sketch:
    """Layers one behind the other, with branches where a layer names what it reads."""

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = []

    def add(self, type: str, name: str, inputs: str | list[str] | None = None, **options: Any) -> str:
        """One layer behind the last one, or behind `inputs`; returns its name."""
        reads = {} if inputs is None else {"inputs": [inputs] if isinstance(inputs, str) else inputs}
        self.layers.append({"type": type, "name": name, **reads, **options})
        return name

    def convolution(self, name: str, filters: int, size: int, inputs: str | None = None, *, strides: int = 1,
                    activation: str | None = "relu") -> str:
        """Convolution without a bias, batch normalization, activation."""
        self.add("Conv2D", name, inputs, filters=filters, kernel_size=size, strides=strides, padding="same",
                 use_bias=False, kernel_initializer="he_normal")
        return self.normalized(name, activation)

    def depthwise(self, name: str, strides: int = 1) -> str:
        """Depthwise 3 x 3 convolution without a bias, batch normalization, relu6."""
        self.add("DepthwiseConv2D", name, kernel_size=3, strides=strides, padding="same", use_bias=False)
        return self.normalized(name, "relu6")

    def normalized(self, name: str, activation: str | None) -> str:
        """Batch normalization of the last layer, and an activation."""
        last = self.add("BatchNormalization", f"{name}_bn")
        return last if activation is None else self.add("Activation", f"{name}_{activation}", activation=activation)
