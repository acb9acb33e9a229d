"""A job: model, data, training, checkpoints and resources, checked against each other and against the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.data import columns
from engine.data.columns import DataPlan
from engine.data.splits import part_of
from engine.definition.draft import COMPILED, Draft, DraftInput, Faults
from engine.definition.draft import name as readable_name
from engine.definition.freeze import freeze
from engine.definition.model import Model, draft_model, finish_model
from engine.definition.native import refuse_unknown
from engine.definition.outputs import check_loss, check_metrics, for_outputs, warn_about_logits, warn_about_metrics
from engine.definition.resolve import resolve
from engine.definition.training import Checkpoints, Resources, Training, TrainingOptions
from engine.errors import DefinitionError, Fault, nearest, pointer_to, show
from engine.losses.base import Loss
from engine.losses.target import Target
from engine.options import Mismatch, Reader, parse, read_fields, write
from engine.schedules import Schedule

FIELDS = ("model", "data", "training", "checkpoints", "resources")


@dataclass(frozen=True)
class JobSpec:
    """Everything that a training needs besides the dataset. `feeds` names the data's input for each of the model's."""

    model: Model
    data: DataPlan
    training: Training
    checkpoints: Checkpoints
    resources: Resources
    feeds: Mapping[str, str]
    logs: tuple[str, ...]
    """The names of an epoch's logs."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The job's document with all defaults filled in."""
        return {"model": self.model.to_json(), "data": self.data.to_json(), "training": self.training.to_json(),
                "checkpoints": write(self.checkpoints), "resources": write(self.resources)}

    @property
    def class_weights(self) -> tuple[float, ...] | None:
        """A weight for each class code, if `class_weight` is given."""
        weights = self.training.class_weight
        return None if weights is None else tuple(weights.get(name, 1.0) for name in self.data.target.classes or ())


def parse_job(document: Any, schema: Mapping[str, Any]) -> JobSpec:
    """Read a job's document for the dataset whose manifest is `schema`. Raises DefinitionError with every fault."""
    spec: JobSpec = parse(Reader(lambda value, _: _Job(value, schema).read(), {}), document, "")
    return spec


class _Job:
    """Reads the parts, then holds them against each other; faults of the first stage hide the second's."""

    def __init__(self, document: Any, schema: Mapping[str, Any]) -> None:
        if not isinstance(document, Mapping):
            raise Mismatch("", "an object", show(document))
        self.document = document
        self.schema = schema
        self.faults = Faults()

    def read(self) -> JobSpec:
        """The whole job."""
        refuse_unknown(self.document, FIELDS, "", self.faults)
        reader = Reader(lambda value, at: draft_model(value, at, self.faults), {})
        draft = self.faults.read(reader, self.document.get("model"), "/model")
        options = self._training()
        plan = self._data(options)
        checkpoints = self._options(Checkpoints, "checkpoints")
        resources = self._options(Resources, "resources")
        if draft is not None and plan is not None and not draft.inputs:
            draft = self._borrow_inputs(draft, plan)
        if self.faults.found and draft is not None:
            resolve(draft, self.faults)
        self.faults.stop()
        assert draft is not None and options is not None and plan is not None
        feeds = self._feeds(draft, plan)
        self.faults.stop()
        shapes = {name: plan.inputs[source].shape for name, source in feeds.items()}
        model, assembled = finish_model(draft, shapes, self.faults)
        model = freeze(model, options.freeze, "/training/freeze", self.faults)
        warnings = list(plan.warnings)
        training = self._resolve(options, model, assembled.places, plan, warnings)
        logs = training.log_names(validation=self._validates(plan))
        self._watch(training, checkpoints, logs)
        self.faults.stop()
        return JobSpec(model, plan, training, checkpoints, resources, feeds, logs, tuple(warnings))

    def _options(self, cls: type, name: str) -> Any:
        value = self.document.get(name)
        return self.faults.read(Reader(lambda given, at: read_fields(cls, given, at), {}),
                                {} if value is None else value, pointer_to("", name))

    def _training(self) -> TrainingOptions | None:
        """`training`, completed by what a Keras model was compiled with."""
        given = self.document.get("training")
        model = self.document.get("model")
        compiled = model.get("compile_config") if isinstance(model, Mapping) else None
        given = {} if given is None else given
        borrowed: dict[str, Any] = {}
        if isinstance(compiled, Mapping) and isinstance(given, Mapping):
            borrowed = {key: compiled[key] for key in COMPILED if compiled.get(key) is not None and key not in given}
            given = {**given, **borrowed}
        faults = Faults()
        read: TrainingOptions | None = faults.read(
            Reader(lambda value, at: read_fields(TrainingOptions, value, at), {}), given, "/training")
        for fault in faults.found:
            pointer = fault.pointer
            if pointer.count("/") > 1 and pointer.split("/")[2] in borrowed:
                pointer = pointer.replace("/training", "/model/compile_config", 1)
            self.faults.extend([Fault(pointer, fault.detail)])
        return read

    def _data(self, options: TrainingOptions | None) -> Any:
        wants = None
        if options is not None:
            losses = options.loss.values() if isinstance(options.loss, Mapping) else [options.loss]
            wants = next((loss.wants for loss in losses if isinstance(loss, Loss)), None)
        try:
            return columns.resolve(self.document.get("data"), self.schema, "/data", wants)
        except DefinitionError as error:
            self.faults.extend(error.faults)
            return None

    def _borrow_inputs(self, draft: Draft, plan: DataPlan) -> Draft:
        """The data's inputs for a model that names none; a lone one with a name of another kind is called `input`."""
        at, inputs = draft.inputs_pointer, []
        for given in plan.inputs:
            name = given
            try:
                readable_name(given, pointer_to("/data/features", given))
            except Mismatch as mismatch:
                name = "input"
                if len(plan.inputs) > 1:
                    self.faults.extend(mismatch.faults)
            inputs.append(DraftInput(name, None, at, at))
        return replace(draft, inputs=tuple(inputs))

    def _feeds(self, draft: Draft, plan: DataPlan) -> dict[str, str]:
        """The data's input for each of the model's: by name, or the only one for the only one."""
        if len(draft.inputs) == 1 and len(plan.inputs) == 1:
            feeds = {draft.inputs[0].name: next(iter(plan.inputs))}
        else:
            names = [entry.name for entry in draft.inputs]
            feeds = {name: name for name in names if name in plan.inputs}
            if set(names) != set(plan.inputs):
                self.faults.add("/data/features", f"columns for the model's inputs {', '.join(map(show, names))}",
                                f"columns for {', '.join(map(show, plan.inputs))}")
        for entry in draft.inputs:
            if entry.name not in feeds:
                continue
            shape = plan.inputs[feeds[entry.name]].shape
            if entry.shape is not None and entry.shape != shape:
                self.faults.add(entry.shape_pointer, f"{list(shape)}, the shape of the data's input "
                                f"{show(feeds[entry.name])}", show(list(entry.shape)))
        return feeds

    def _resolve(self, options: TrainingOptions, model: Model, places: Mapping[str, str], plan: DataPlan,
                 warnings: list[str]) -> Training:
        """Losses, weights and metrics for each output."""
        faults, target = self.faults, _target(plan)
        losses, weights, metrics = {}, {}, {}
        for output, (loss, at) in for_outputs(options.loss, model, "/training/loss", faults).items():
            losses[output] = loss
            check_loss(model, places, output, loss, target, at, faults)
            if warning := warn_about_logits(model, output, loss):
                warnings.append(f"{at}: {warning}")
        if not losses and not faults.found:
            faults.add("/training/loss", "a loss for one of the outputs", "none")
        given = {} if options.loss_weights is None else options.loss_weights
        for output, (weight, at) in for_outputs(given, model, "/training/loss_weights", faults).items():
            if output not in losses:
                faults.add(at, "the name of an output that has a loss", show(output))
            weights[output] = weight
        faults.stop()
        for output, (listed, at) in for_outputs(options.metrics, model, "/training/metrics", faults).items():
            if output in losses:
                metrics[output] = check_metrics(model, output, listed, target, at, faults)
                warnings += [f"{at}: {text}" for text in warn_about_metrics(output, losses[output], metrics[output])]
            elif isinstance(options.metrics, Mapping):
                faults.add(at, "the name of an output that has a loss", show(output))
        training = Training(
            epochs=options.epochs, batch_size=options.batch_size, steps_per_epoch=options.steps_per_epoch,
            validation_steps=options.validation_steps, optimizer=options.optimizer, losses=losses,
            loss_weights={output: weights.get(output, 1.0) for output in losses},
            metrics={output: metrics.get(output, ()) for output in losses}, callbacks=options.callbacks,
            seed=options.seed, shuffle=options.shuffle, class_weight=self._class_weight(options, plan),
            freeze=options.freeze, numerics=options.numerics, several_outputs=len(model.outputs) > 1)
        names = Counter(training.log_names(validation=True))
        if again := [name for name, count in names.items() if count > 1]:
            faults.add("/training/metrics", "metrics whose names in the logs differ", f"{show(again[0])} twice")
        return training

    def _class_weight(self, options: TrainingOptions, plan: DataPlan) -> Mapping[str, float] | None:
        """Weights by the classes' names; a class may also be given by its code."""
        if options.class_weight is None:
            return None
        classes = plan.target.classes
        if classes is None:
            self.faults.add("/training/class_weight", "null, as the target is numbers", "weights of classes")
            return None
        weights: dict[str, float] = {}
        for key, weight in options.class_weight.items():
            name = key if key in classes else classes[int(key)] if _is_code(key, len(classes)) else None
            if name is None or name in weights:
                self.faults.add(pointer_to("/training/class_weight", key), f"one of {', '.join(classes[:20])}, once",
                                f"{show(key)}{nearest(key, classes)}")
            else:
                weights[name] = weight
        return weights

    def _validates(self, plan: DataPlan) -> bool:
        """Will there be validation rows, hence logs called val_…?"""
        given = self.schema["splits"]
        start, stop = given.get("validation", (0, 0))
        first, last = given["train"]
        return bool(part_of(last - first, plan.block.split.validation)) or stop > start

    def _watch(self, training: Training, checkpoints: Checkpoints, logs: tuple[str, ...]) -> None:
        """Monitors must watch what will be logged."""
        if checkpoints.monitor is not None and checkpoints.monitor not in logs:
            self.faults.add("/checkpoints/monitor", f"one of {', '.join(sorted(logs))}",
                            f"{show(checkpoints.monitor)}{nearest(checkpoints.monitor, logs)}")
        scheduled = isinstance(training.optimizer.learning_rate, Schedule)
        for index, callback in enumerate(training.callbacks):
            at = pointer_to("/training/callbacks", index)
            self.faults.extend(callback.faults(logs, scheduled=scheduled, pointer=at))


def _target(plan: DataPlan) -> Target:
    spec = plan.target
    if spec.kind == "classes":
        return Target("classes", len(spec.classes or ()), ())
    return Target("numeric", None, tuple(spec.shape))


def _is_code(key: str, classes: int) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10 and int(key) < classes
