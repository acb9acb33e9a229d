"""A `data` block and a manifest -> DataPlan: every column checked and every shape known, without reading the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.data import limits
from engine.data.block import DataBlock, Target
from engine.data.readers import fields
from engine.data.splits import part_of
from engine.data.targets import TargetSpec, resolve_target
from engine.data.transform import Part, Transform
from engine.data.transforms.one_hot import OneHot
from engine.errors import DefinitionError, Fault, nearest, pointer_to, show
from engine.options import parse, write

Feature = Mapping[str, Any]


@dataclass(frozen=True)
class InputSpec:
    """What the model sees of an input: one example's `shape` after augmentation. uint8 is rescaled in the plan."""

    shape: tuple[int, ...]
    dtype: str
    stored_shape: tuple[int, ...]
    """Before augmentation, as in `Prepared.inputs`."""


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """What `prepare` carries out. `parts` are the columns of each input in order, with the steps each goes through."""

    block: DataBlock
    inputs: Mapping[str, InputSpec]
    parts: Mapping[str, tuple[Part, ...]]
    target: TargetSpec
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The block with defaults filled in; resolving it again gives an equal plan."""
        written: dict[str, Any] = write(self.block)
        target = self.block.target
        if target is not None and target.kind is None:
            written["target"] = write(target.column)
        return written


def resolve(block: Any, manifest: Mapping[str, Any], pointer: str = "/data", wants: str | None = None) -> DataPlan:
    """The plan of a job's `data`. Pure; raises DefinitionError with all faults.

    `wants` is what the loss is made for, "classes" or "numeric"; it decides for columns of integers or booleans.
    """
    written: DataBlock = parse(fields(DataBlock), {} if block is None else block, pointer)
    return _Resolver(written, manifest, pointer, wants).plan()


class _Resolver:
    """Collects faults on the way."""

    def __init__(self, block: DataBlock, manifest: Mapping[str, Any], pointer: str, wants: str | None) -> None:
        self.block = block
        self.manifest = manifest
        self.pointer = pointer
        self.wants = wants
        self.features: dict[str, Feature] = {feature["name"]: feature for feature in manifest["features"]}
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def plan(self) -> DataPlan:
        """Faults of one stage hide the next, which would only repeat them."""
        target = self._target()
        self._sample_weight()
        chosen = self._chosen(target)
        self._stop()
        spec = resolve_target(target, self.manifest, self._at("target"), self.wants)
        parts = {name: [self._part(column) for column in columns] for name, columns in chosen.items()}
        self._split(spec)
        steps = list(self.block.preprocessing)
        for number, step in enumerate(steps):
            parts = self._step(step, parts, self._at("preprocessing", number))
        implicit = self._implicit(parts)
        if implicit is not None:
            steps.append(implicit)
            parts = {name: [new for part in row for new in (implicit.resolve(part) if _bare(part) else [part])]
                     for name, row in parts.items()}
        self._complete(parts)
        self._stop()
        inputs = {name: self._input(name, row) for name, row in parts.items()}
        inputs = self._augmented(inputs)
        self._stop()
        block = replace(self.block, features=self._written_features(chosen), preprocessing=tuple(steps),
                        target=Target(column=target.column, kind=spec.written_kind))
        return DataPlan(block=block, inputs=inputs, parts={name: tuple(row) for name, row in parts.items()},
                        target=spec, warnings=tuple(self.warnings))

    def _at(self, *keys: str | int) -> str:
        pointer = self.pointer
        for key in keys:
            pointer = pointer_to(pointer, key)
        return pointer

    def _fault(self, pointer: str, expected: str, received: str) -> None:
        self.faults.append(Fault(pointer, f"expected {expected}, received {received}"))

    def _stop(self) -> None:
        if self.faults:
            raise DefinitionError(self.faults)

    def _known(self, name: str, pointer: str) -> bool:
        if name not in self.features:
            self._fault(pointer, "a column of the dataset", show(name) + nearest(name, self.features))
            return False
        return True

    # Columns ----------------------------------------------------------------------------------------------------------

    def _target(self) -> Target:
        target = self.block.target
        if target is None:
            if self.manifest["target"] is None:
                self._fault(self._at("target"), "a column to predict", "nothing: the dataset names none itself")
                self._stop()
            return Target(column=self.manifest["target"])
        at = self._at("target")
        if isinstance(target.column, str):
            self._known(target.column, at)
        else:
            for number, name in enumerate(target.column):
                self._known(name, pointer_to(at, number))
        return target

    def _sample_weight(self) -> None:
        name, at = self.block.sample_weight, self._at("sample_weight")
        if name is None or not self._known(name, at):
            return
        feature, profile = self.features[name], self.manifest["profile"][name]
        if feature["type"] not in ("integer", "number", "boolean") or math.prod(feature["shape"]) != 1:
            self._fault(at, "a column of numbers", f"{feature['type']} of shape {show(feature['shape'])}")
        elif profile["missing"]:
            self._fault(at, "a weight in every row", f"{profile['missing']} rows without")
        elif profile["minimum"] < 0:
            self._fault(at, "weights of at least 0", f"{profile['minimum']:g}")

    def _chosen(self, target: Target) -> dict[str, tuple[str, ...]]:
        """Columns of each input."""
        taken = {*target.columns, self.block.sample_weight}
        if self.block.features is None:
            names = tuple(name for name in self.features if name not in taken)
            if not names:
                self._fault(self._at("features"), "a column besides the target", "none")
            return {_input_name(names): names}
        if isinstance(self.block.features, Mapping):
            chosen = dict(self.block.features)
        else:
            chosen = {_input_name(self.block.features): self.block.features}
        for name, columns in chosen.items():
            at = self._at("features", name) if isinstance(self.block.features, Mapping) else self._at("features")
            for number, column in enumerate(columns):
                if not self._known(column, pointer_to(at, number)):
                    continue
                if column in taken:
                    self._fault(pointer_to(at, number), "a feature",
                                f"{show(column)}, which is the target or the weight")
                if column in columns[:number]:
                    self._fault(pointer_to(at, number), "different columns", f"{show(column)} twice")
        return chosen

    def _written_features(self, chosen: Mapping[str, tuple[str, ...]]) -> Any:
        return chosen if isinstance(self.block.features, Mapping) else next(iter(chosen.values()))

    def _part(self, name: str) -> Part:
        feature, profile = self.features[name], self.manifest["profile"][name]
        shape = tuple(feature["shape"])
        if feature["type"] == "text":
            if feature["file"] is None:
                self._fault(self._at("features"), "columns of numbers, categories or pictures",
                            f"{show(name)}, free text of a dataset uploaded before texts were stored: upload it again, "
                            "or list the features without it")
            return Part(name=name, source=name, kind="text", shape=(), missing=profile.get("missing", 0))
        if feature["type"] == "category":
            return Part(name=name, source=name, kind="category", shape=(), values=tuple(feature["categories"]),
                        missing=profile["missing"])
        values = tuple(sorted(map(int, profile["classes"]))) if "classes" in profile and not shape else None
        kind = "image" if feature["dtype"] == "uint8" and len(shape) > 1 else "numeric"
        return Part(name=name, source=name, kind=kind, shape=shape, values=values, missing=profile["missing"])

    # Steps ------------------------------------------------------------------------------------------------------------

    def _step(self, step: Transform, parts: dict[str, list[Part]], at: str) -> dict[str, list[Part]]:
        present = {part.name for row in parts.values() for part in row}
        for number, name in enumerate(step.columns or ()):
            where = pointer_to(pointer_to(at, "columns"), number)
            if name not in present:
                received = f"{show(name)}, which is no feature" if name in self.features else \
                    show(name) + nearest(name, present)
                self._fault(where, "a column among the features", received)
            for part in [part for row in parts.values() for part in row if part.name == name]:
                expected = step.accepts(part)
                if expected is not None:
                    self._fault(where, expected, f"{show(name)}, a column of {part.described}")
        chosen = {part.name for row in parts.values() for part in row
                  if (part.name in step.columns if step.columns is not None else step.chooses(part))
                  and step.accepts(part) is None}
        if step.columns is None and not chosen:
            if step.type_name != "Impute":
                self._fault(at, f"a column that {step.type_name} can be applied to", "none among the features")
            else:
                self.warnings.append(f"{at}: no feature has missing values")
        return {name: [new for part in row for new in (step.resolve(part) if part.name in chosen else [part])]
                for name, row in parts.items()}

    def _implicit(self, parts: Mapping[str, list[Part]]) -> OneHot | None:
        """One-hot for texts that no step has encoded."""
        names = dict.fromkeys(part.name for row in parts.values() for part in row if _bare(part))
        return OneHot(columns=tuple(names)) if names else None

    def _complete(self, parts: Mapping[str, list[Part]]) -> None:
        """Nothing may be missing at the end, and nothing still be texts."""
        for part in dict.fromkeys(part for row in parts.values() for part in row):
            if part.kind == "text":
                self._fault(self._at("features"), "columns of numbers, categories or pictures",
                            f"{show(part.source)}, which is free text (long, or too many different ones); give it a "
                            "step such as TextVectorization, or list the features without it")
            elif part.missing:
                profile = self.manifest["profile"][part.source]
                self._fault(self._at("preprocessing"), f"a step for the missing values of column {show(part.source)} "
                            "(Impute" + (", or OneHot)" if part.kind == "category" else ")"),
                            f"none, and {part.missing} of {part.missing + profile['count']} values are missing")
            elif part.kind == "category":
                self._fault(self._at("features"), "columns with values", f"{show(part.source)}, which has none")

    # Inputs -----------------------------------------------------------------------------------------------------------

    def _input(self, name: str, row: Sequence[Part]) -> InputSpec:
        at = self._at("features", name) if isinstance(self.block.features, Mapping) else self._at("features")
        if len(row) == 1 and len(row[0].shape) > 1:
            return InputSpec(row[0].shape, "uint8" if row[0].kind == "image" else "float32", row[0].shape)
        wide = [part for part in row if len(part.shape) > 1]
        if wide:
            several = "" if isinstance(self.block.features, Mapping) else (
                ' (for a model of several inputs, {"input": ["column", ...], ...})')
            self._fault(at, f"table columns to concatenate, or one column alone{several}",
                        f"{show(wide[0].name)} of shape {show(wide[0].shape)} among others")
        width = sum(math.prod(part.shape) for part in row)
        if width > limits.MAX_WIDTH:
            largest = max(row, key=lambda part: math.prod(part.shape))
            self._fault(at, f"at most {limits.MAX_WIDTH} numbers an example",
                        f"{width}, {math.prod(largest.shape)} of them from {show(largest.name)}")
        return InputSpec((width,), "float32", (width,))

    def _augmented(self, inputs: dict[str, InputSpec]) -> dict[str, InputSpec]:
        for number, augmentation in enumerate(self.block.augmentation):
            at = self._at("augmentation", number)
            pictures = {name: spec for name, spec in inputs.items() if len(spec.shape) == 3}
            if not pictures:
                self._fault(at, "an input of pictures (height, width, channels)", "none")
            for name, spec in pictures.items():
                expected = augmentation.fault(spec.shape)
                if expected is not None:
                    self._fault(at, expected, f"{show(name)} of shape {show(spec.shape)}")
                else:
                    inputs = {**inputs, name: replace(spec, shape=augmentation.output_shape(spec.shape))}
        return inputs

    def _split(self, target: TargetSpec) -> None:
        split, given = self.block.split, self.manifest["splits"]
        rows = given["train"][1] - given["train"][0]
        for name, fraction in (("validation", split.validation), ("test", split.test)):
            if fraction and name in given:
                self._fault(self._at("split", name), f"0, as the dataset has a {name} split of its own",
                            f"{fraction:g}")
            elif fraction and not part_of(rows, fraction):
                self.warnings.append(f"{self._at('split', name)}: {fraction:g} of {rows} rows is none")
        if part_of(rows, split.validation) + part_of(rows, split.test) >= rows:
            self._fault(self._at("split"), "a row to train on", f"{rows} rows, all of them taken")
        if split.stratify and target.kind != "classes":
            self._fault(self._at("split", "stratify"), "a target of classes", "one of numbers")


def _input_name(columns: Sequence[str]) -> str:
    """An input that has no name in the block is called by its only column."""
    return columns[0] if len(columns) == 1 else "features"


def _bare(part: Part) -> bool:
    return part.kind == "category" and not part.missing and bool(part.values)
