"""The three programs of a model as graphs: training, evaluation and prediction. They share one weight store.

    train       gather -> affine -> augmentation -> layers -> losses -> gradients -> clipping -> optimizer, records
    evaluate    gather -> affine -> (inference form of augmentation) -> layers -> losses and metrics, records
    predict     feed   -> affine -> (inference form of augmentation) -> layers -> outputs

A record is a line of float32 for each step: the loss, then every metric's sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.autodiff import gradients
from engine.data.augmentation import Augmentation
from engine.definition.model import Model
from engine.definition.training import Training
from engine.graph.build import build
from engine.graph.ir import Graph, GraphBuilder, Value
from engine.layers.base import Net, Variable
from engine.metrics.base import Metric
from engine.ops.pipeline import table
from engine.optimizers.base import Optimizer
from engine.options import write
from engine.registry import snake_case
from engine.types import Batch, Type

Affine = tuple[np.ndarray, np.ndarray]
TARGET, WEIGHT = "/target", "/sample_weight"
"""Names of the tables beside the inputs', which have no slash in their names."""


@dataclass(frozen=True)
class Stored:
    """How an input's examples are stored: shape without the batch, dtype, and what turns them into float32."""

    shape: tuple[int, ...]
    dtype: str
    affine: Affine | None


@dataclass(frozen=True)
class Pipeline:
    """What stands between the tables and the model. `target` is the type of one example's target."""

    inputs: Mapping[str, Stored]
    augmentations: tuple[Augmentation, ...] = ()
    target: tuple[tuple[int, ...], str] = ((), "int32")
    weighted: bool = False


@dataclass(frozen=True)
class Field:
    """A part of a record: the mean loss of the step (no metric) or a metric's sums."""

    name: str
    offset: int
    width: int
    metric: Metric | None = None


@dataclass(frozen=True)
class Program:
    """A graph, the variables it declares, the optimizer's slots by `variable/slot`, and the fields of its records."""

    graph: Graph
    variables: tuple[Variable, ...]
    slots: Mapping[str, tuple[int, ...]]
    fields: tuple[Field, ...] = ()

    @property
    def width(self) -> int:
        """float32 in a record."""
        return sum(field.width for field in self.fields)


def predict_program(model: Model, pipeline: Pipeline) -> Program:
    """Outputs by name, for fed inputs."""
    b = GraphBuilder("predict")
    net = Net(b, training=False)
    fed = {
        name: b.input(name, Type((Batch(), *stored.shape), stored.dtype)) for name, stored in pipeline.inputs.items()
    }
    outputs = build(
        model, net, {name: _prepared(b, value, name, model, pipeline, training=False) for name, value in fed.items()}
    )
    return Program(b.finish(**outputs), tuple(net.variables), {})


def evaluate_program(model: Model, training: Training, pipeline: Pipeline) -> Program:
    """Records of the loss and every metric."""
    net = Net(GraphBuilder("evaluate"), training=False)
    _, fields = _judged(net, model, training, pipeline)
    return Program(net.b.finish(), tuple(net.variables), {}, fields)


def train_program(model: Model, training: Training, pipeline: Pipeline) -> Program:
    """One optimizer update a step, and its record."""
    net = Net(GraphBuilder("train"), training=True)
    b = net.b
    loss, fields = _judged(net, model, training, pipeline)
    trainable = [variable for variable in net.variables if variable.trainable]
    weights = [net.now(variable.name) for variable in trainable]
    grads = clipped(b, gradients(b, loss, weights), training.optimizer) if weights else []
    for statistic, value in net.updates:
        b.apply("assign", statistic, value)
    slots = update(b, training.optimizer, trainable, weights, grads)
    return Program(b.finish(loss=loss), tuple(net.variables), slots, fields)


def _judged(net: Net, model: Model, training: Training, pipeline: Pipeline) -> tuple[Value, tuple[Field, ...]]:
    """The model on gathered examples, its total loss, and the record of loss and metrics."""
    b = net.b
    rows = {name: b.op("gather", table(name, stored.shape, stored.dtype)) for name, stored in pipeline.inputs.items()}
    target = b.op("gather", table(TARGET, *pipeline.target))
    weight = b.op("gather", table(WEIGHT, (), "float32")) if pipeline.weighted else None
    outputs = build(
        model,
        net,
        {name: _prepared(b, value, name, model, pipeline, training=net.training) for name, value in rows.items()},
    )
    total: Value | None = None
    fields: list[Field] = []
    sums: list[Value] = []
    offset = 1
    for output, loss in training.losses.items():
        b.origin = f"loss {output}"
        mask = net.mask(outputs[output])
        mean = loss.total(b, target, outputs[output], weight, mask)
        if training.several_outputs:
            fields.append(Field(f"{output}_loss", offset, 1))
            sums.append(b.op("reshape", mean, shape=(1,)))
            offset += 1
        factor = training.loss_weights.get(output, 1.0)
        scaled = mean if factor == 1.0 else b.op("scale", mean, factor=factor)
        total = scaled if total is None else b.op("add", total, scaled)
        for metric in training.metrics.get(output, ()):
            b.origin = f"metric {metric.log_name}"
            vector = _flat(b, metric.build(b, target, outputs[output], None, mask))
            fields.append(Field(training.log_name(output, metric.log_name), offset, vector.shape[0], metric))
            sums.append(vector)
            offset += vector.shape[0]
    assert total is not None
    b.origin = "regularizers"
    for penalty in [*net.penalties, *_penalties(b, net)]:
        total = b.op("add", total, penalty)
    b.origin = "records"
    fields.insert(0, Field("loss", 0, 1))
    for field, value in zip(fields, [b.op("reshape", total, shape=(1,)), *sums], strict=True):
        b.apply("record", value, offset=field.offset, width=offset)
    b.origin = ""
    return total, tuple(fields)


def _flat(b: GraphBuilder, value: Value) -> Value:
    count = int(np.prod(value.shape, initial=1))
    return value if value.shape == (count,) else b.op("reshape", value, shape=(count,))


def _penalties(b: GraphBuilder, net: Net) -> list[Value]:
    """One scalar for every regularized variable."""
    return [
        variable.regularizer.build(b, net.now(variable.name))
        for variable in net.variables
        if variable.regularizer
    ]


def _prepared(b: GraphBuilder, x: Value, name: str, model: Model, pipeline: Pipeline, *, training: bool) -> Value:
    """Stored examples as the model takes them: rescaled, augmented or cropped to the middle."""
    b.origin = f"input {name}"
    stored = pipeline.inputs[name]
    placed = list(enumerate(pipeline.augmentations)) if training and len(stored.shape) == 3 else []
    # What only moves pixels may as well move them as they are stored: a fourth of the bytes.
    while placed and placed[0][1].moves:
        x = augment(b, x, placed[0][1], placed.pop(0)[0])
    if stored.affine is not None:
        scale, offset = stored.affine
        x = b.op("multiply", b.op("scale", x), b.constant(np.squeeze(scale)))
        if offset.any():
            x = b.op("add", x, b.constant(np.squeeze(offset)))
    elif stored.dtype != "float32":
        x = b.op("scale", x)
    for place, augmentation in placed:
        x = augment(b, x, augmentation, place)
    return _middle(b, x, model.inputs[name])


def augment(b: GraphBuilder, x: Value, augmentation: Augmentation, place: int) -> Value:
    """The op of the augmentation's own name with its options; `place` is its position in the list."""
    options = write(augmentation)
    return b.op(snake_case(options.pop("type")), x, place=place, **options)


def _middle(b: GraphBuilder, x: Value, shape: tuple[int, ...]) -> Value:
    """The middle of larger pictures, as `RandomCrop.inference` takes it; anything else as it is."""
    for axis, wanted in enumerate(shape, start=1):
        have = x.shape[axis]
        if have != wanted:
            start = (have - wanted) // 2
            x = b.op("slice", x, axis=axis, start=start, stop=start + wanted)
    return x


def clipped(b: GraphBuilder, grads: list[Value], optimizer: Optimizer) -> list[Value]:
    """Gradients clipped as the optimizer's options say (Keras: each norm, all norms together, or each value)."""
    b.origin = "clipping"
    if optimizer.clipvalue is not None:
        grads = [b.op("clip", grad, low=-optimizer.clipvalue, high=optimizer.clipvalue) for grad in grads]
    elif optimizer.clipnorm is not None:
        grads = [b.op("multiply", grad, _share(b, b.op("sqrt", _square_sum(b, grad)), optimizer.clipnorm))
                 for grad in grads]
    elif optimizer.global_clipnorm is not None:
        total = _square_sum(b, grads[0])
        for grad in grads[1:]:
            total = b.op("add", total, _square_sum(b, grad))
        length = b.op("sqrt", total)
        # length - length is 0, or NaN where the length is beyond float32: then all gradients are NaN, as in Keras.
        share = b.op("add", _share(b, length, optimizer.global_clipnorm), b.op("subtract", length, length))
        grads = [b.op("multiply", grad, share) for grad in grads]
    b.origin = ""
    return grads


def _square_sum(b: GraphBuilder, grad: Value) -> Value:
    return b.op("reduce_sum", b.op("square", grad), axes=tuple(range(len(grad.shape))))


def _share(b: GraphBuilder, length: Value, norm: float) -> Value:
    """What a gradient of this length is multiplied with to be no longer than `norm`."""
    return b.op("divide", b.constant(norm), b.op("maximum", length, b.constant(norm)))


def update(b: GraphBuilder, optimizer: Optimizer, trainable: list[Variable], weights: list[Value],
            grads: list[Value]) -> dict[str, tuple[int, ...]]:
    """Update every variable; the slots that are kept, by `variable/slot`.

    One flat node serves all variables, but for those that have a constraint, another value since the step began, or an
    optimizer that needs more: their new values are computed apart, and stored when all else has been read.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    flat: list[Value] = []
    stored: list[tuple[Value, Value]] = []
    b.origin = "optimizer"
    for variable, weight, grad in zip(trainable, weights, grads, strict=True):
        slots = {}
        for slot, shape in optimizer.slots_of(variable.name, variable.shape).items():
            name = f"{variable.name}/{slot}"
            shapes[name] = shape
            slots[slot] = b.parameter(f"optimizer/{name}", Type(shape))
        begun = weight.role != "parameter"
        if variable.constraint is None and not optimizer.special and not begun:
            flat += [weight, grad, *slots.values()]
            continue
        new, made = optimizer.build(b, variable.name, weight, grad, slots)
        held = b.parameters[variable.name] if begun else weight
        stored.append((held, new if variable.constraint is None else variable.constraint.build(b, new)))
        stored += [(slots[slot], value) for slot, value in made.items()]
    if flat:
        b.apply("update", *flat, slots=len(optimizer.kept), **optimizer.applied)
    for kept, value in stored:
        b.apply("assign", kept, value)
    b.origin = ""
    return shapes
