"""The fit loop: epochs of native calls, validation, callbacks, checkpoints, and the way back from a checkpoint.

Everything random is a function of (seed, epoch, step, place), so a resumed training goes through the same bits as one
that was never interrupted. No thread and no compiled code exists before `fit` is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine import ENGINE_VERSION, checkpoint, formats, random
from engine.bound import Bound
from engine.callbacks.base import Action
from engine.callbacks.monitor import direction, improves
from engine.callbacks.terminate_on_nan import TerminateOnNaN
from engine.checkpoint import Origin, TrainingState
from engine.data.dataset import Dataset
from engine.data.prepare import prepare
from engine.definition.job import JobSpec
from engine.diagnose import Start, began
from engine.errors import NumericsError
from engine.formats import Metadata
from engine.optimizers.extended import AVERAGE
from engine.progress import Checkpoint, CheckpointFiles, Metrics, Outcome, Progress, Reporter
from engine.runner import Runner, Totals
from engine.runtime.cores import available_cores
from engine.runtime.threads import Left, Workers
from engine.schedules import rates
from engine.stages import Stages, told
from engine.starting import fill_matching
from engine.variables import SLOT_PREFIX, Arrays, copied, fill

POINTS = 400
"""About as many points of metrics of steps are reported in a job; the first step is always one."""
BEST = "best"
CANCEL = "cancel"
"""What `should_stop` says where nothing is to be kept."""


class _Stop(Exception):
    """`should_stop` has asked for an end."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def fit(spec: JobSpec, dataset: Dataset, *, reporter: Reporter, should_stop: Callable[[], str | None], work_dir: Path,
        resume: CheckpointFiles | None = None, initial_weights: Path | None = None, matching: bool = False,
        threads: int | None = None, memory_bytes: int | None = None, stages: Stages | None = None) -> Outcome:
    """Train to the end, or until `should_stop` names a reason.

    All of `initial_weights` must fit the model; or, with `matching`, those are taken that fit by name and shape, and a
    warning lists the rest.

    There are no more than `threads`, whatever the job asks for. Above `memory_bytes` values are computed again; a
    warning says where that is not enough. `stages` are those that came before, for the account of where the time went:
    one is given after the first step and one at the end.

    For `pause` and `shutdown` a checkpoint is reported before returning, for `cancel` none. A normal end reports a
    final one. Raises DataError, WeightsError, NumericsError, HungError and MemoryError.
    """
    training = _Training(spec, dataset, reporter, should_stop, work_dir, threads, memory_bytes, stages or Stages())
    try:
        if resume is not None:
            training.resume(resume)
        elif initial_weights is not None:
            training.start_from(initial_weights, matching)
        return training.run()
    finally:
        training.workers.close()


class _Training:
    """The state of one call of `fit`."""

    def __init__(self, spec: JobSpec, dataset: Dataset, reporter: Reporter, should_stop: Callable[[], str | None],
                 work_dir: Path, most_threads: int | None, memory_bytes: int | None, stages: Stages) -> None:
        self.spec, self.options = spec, spec.training
        self.reporter, self.should_stop, self.work_dir = reporter, should_stop, work_dir
        self.stages, self.began = stages, False
        with stages("preparing"):
            self.prepared = prepare(dataset, spec.data, seed=self.options.seed)
        for warning in (*spec.warnings, *self.prepared.warnings):
            reporter.log("warning", warning, {})
        self.origin = Origin(
            spec_sha256=checkpoint.spec_sha256(
                {key: value for key, value in spec.to_json().items() if key != "resources"}
            ),
            dataset_sha256=dataset.sha256,
            engine_version=ENGINE_VERSION,
            threads=self._threads(most_threads),
            cpu=checkpoint.cpu(),
        )
        self.workers = Workers(self.origin.threads)
        self.rows = self.prepared.splits["train"]
        self.batch = max(1, min(self.options.batch_size, len(self.rows)))
        self.memory_bytes = min((limit for limit in (spec.resources.memory_bytes, memory_bytes) if limit), default=None)
        self.bound = Bound(spec, self.prepared, self.batch, self.workers, self.memory_bytes, stages)
        self.weights, self.slots, self.train = self.bound.weights, self.bound.slots, self.bound.train
        if self.bound.repeated:
            reporter.log("info", f"less memory for more arithmetic: {self.bound.repeated}", {})
        if self.bound.exceeds:
            reporter.log("warning", self.bound.exceeds, {"pointer": "/resources/memory_bytes"})
        self.callbacks = [callback.start(self.options.directions()) for callback in self.options.callbacks]
        self.totals = Totals(self.train.program)
        self.remembered: dict[str, Arrays] = {}
        self.watched: Start | None = None
        self.history: list[Mapping[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.step = self.epoch = self.batches_done = 0
        self.learning_rate: float | None = None
        self.stopped = False
        self.elapsed, self.started = 0.0, time.monotonic()
        self.speed: float | None = None

    def _threads(self, most: int | None) -> int:
        """As many as the job asks for, if it does, and no more than it may have."""
        asked, most = self.spec.resources.threads, most or self.spec.resources.threads or available_cores()
        if asked is None or asked <= most:
            return asked or most
        message = f"expected at most {most} threads on this worker, received {asked}: training uses {most}"
        self.reporter.log("warning", message, {"pointer": "/resources/threads"})
        return most

    # From and to checkpoints

    def start_from(self, file: Path, matching: bool) -> None:
        """Take a file's weights in the place of those that initializers made."""
        tensors = formats.read(file).named(self.weights)
        if not matching:
            fill(self.weights, tensors)
        elif warning := fill_matching(self.weights, tensors):
            self.reporter.log("warning", warning, {"pointer": "/model"})

    def resume(self, files: CheckpointFiles) -> None:
        """Go on where a checkpoint was written."""
        restored = checkpoint.read(files, self.origin)
        for warning in restored.warnings:
            self.reporter.log("warning", warning, {})
        state = restored.state
        fill(self.weights, restored.weights)
        fill(self.slots, {SLOT_PREFIX + name: tensor for name, tensor in state.slots.items()})
        self.step, self.epoch, self.batches_done = state.step, state.epoch, state.batch
        self.learning_rate, self.elapsed, self.stopped = state.learning_rate, state.elapsed_seconds, state.stopped
        self.totals.restore(state.sums)
        self.remembered = {whose: copied(tensors) for whose, tensors in state.remembered.items()}
        for callback, snapshot in zip(self.callbacks, state.callbacks, strict=True):
            callback.restore(snapshot)
        self.history = list(state.history)
        self.best = dict(state.best) if state.best else None

    def _checkpoint(self, *, best: bool = False, final: bool = False, metrics: Mapping[str, Any] | None = None) -> None:
        """Write the files and hand them over."""
        with self.stages("checkpoints"):
            self._write_checkpoint(best, final, metrics)

    def _write_checkpoint(self, best: bool, final: bool, metrics: Mapping[str, Any] | None) -> None:
        folder = self.work_dir / f"checkpoint-{self.step:09d}-{time.monotonic_ns()}"
        folder.mkdir(parents=True)
        latest = dict(self.history[-1]) if self.history else {}
        metadata = Metadata(
            definition=self.spec.model.to_json(),
            preprocessing=self.prepared.preprocessing,
            classes=self.prepared.classes,
            metrics=_finite(metrics or latest),
            engine_version=ENGINE_VERSION,
        )
        state = TrainingState(
            step=self.step,
            epoch=self.epoch,
            batch=self.batches_done,
            seed=self.options.seed,
            learning_rate=self.learning_rate,
            elapsed_seconds=self.elapsed + time.monotonic() - self.started,
            stopped=self.stopped,
            slots={name.removeprefix(SLOT_PREFIX): array for name, array in self.slots.items()},
            sums=self.totals.snapshot(),
            remembered=self.remembered,
            callbacks=tuple(callback.snapshot() for callback in self.callbacks),
            history=tuple(self.history),
            best=self.best,
        )
        files = checkpoint.write(folder, self.weights, metadata, state, self.origin)
        self.reporter.checkpoint(Checkpoint(files, self.step, self.epoch, latest, best, final=final))

    # The loop

    def run(self) -> Outcome:
        """Epochs until the last one, a callback's stop, or a reason to stop early."""
        try:
            while self.epoch < self.options.epochs and not self.stopped:
                self._epoch()
            return self._finish()
        except _Stop as stop:
            if stop.reason != CANCEL:
                self._checkpoint()
            return Outcome(stop.reason, self.step, self.epoch, self._summary())

    def _epoch(self) -> None:
        """Train one epoch, validate, ask the callbacks, and keep a checkpoint where one is due."""
        epoch = self.epoch + 1
        rows = self.rows
        if self.options.shuffle:
            rows = rows[random.permutation((self.options.seed, random.SHUFFLE, epoch, 0), len(rows))]
        if self.options.steps_per_epoch is not None:
            rows = rows[: self.options.steps_per_epoch * self.batch]
        self.train.begin(rows, done=self.batches_done, epoch=epoch)
        self.watched = self._watch()
        while self.train.done < self.train.batches:
            self._advance(epoch)
        logs = self.totals.values()
        validation = self.prepared.splits.get("validation")
        if validation is not None and len(validation):
            with self.stages("validation"):
                logs |= self._evaluated(validation, "val_", self.options.validation_steps)
        logs["learning_rate"] = self._rate()
        self.epoch, self.batches_done = epoch, 0
        self.totals = Totals(self.train.program)
        self._warn(epoch, logs)
        self.history.append({**logs, "epoch": epoch})
        self.reporter.metrics(Metrics("epoch", epoch, self.step, logs))
        for place, callback in enumerate(self.callbacks):
            self._act(callback.on_epoch_end(epoch, logs), str(place))
        improved = self._improved(logs)
        every = self.spec.checkpoints.every_epochs
        if improved or (every and epoch % every == 0):
            self._checkpoint(best=improved)

    def _warn(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Say once that the loss is lost: training goes on, as in Keras, but nobody should have to look for it."""
        if np.isfinite(logs["loss"]) or any(not np.isfinite(before["loss"]) for before in self.history):
            return
        self.reporter.log(
            "warning",
            f"the loss of epoch {epoch} is {logs['loss']}: the learning rate may be too high, or the data not "
            "scaled; the callback TerminateOnNaN ends such a training and names where it began",
            {},
        )

    def _advance(self, epoch: int) -> None:
        """One native call, and what follows from it."""
        self._obey()
        batches = self.train.batches
        most = batches
        every = self.spec.checkpoints.every_steps
        if every:
            most = min(most, every - self.step % every)
        started = time.monotonic()
        with self.stages("steps" if self.began else "first step"):
            records, sizes = self._native(self.train, most, whole_steps=True)
        seconds = time.monotonic() - started
        if not self.began:
            self.began = True
            self._account("first step after")
        first = self.step + 1
        self._add(epoch, records, sizes)
        self.batches_done = self.train.done
        for place, callback in enumerate(self.callbacks):
            self._act(callback.on_steps(first, records[:, 0]), str(place), records=records)
        self._progress(epoch, int(sizes.sum()), seconds)
        if every and self.step % every == 0 and self.batches_done < batches:
            self._checkpoint()

    def _account(self, words: str) -> None:
        """Say where the time went since the last account."""
        seconds = self.stages.taken()
        self.reporter.log("info", f"{words} {told(seconds)}", {"stages": seconds})

    def _add(self, epoch: int, records: Any, sizes: Any) -> None:
        """Add steps to the epoch's totals, and report the running means at every interval."""
        interval = -(-self.train.batches * self.options.epochs // POINTS)
        start = 0
        while start < len(sizes):
            until = 1 if self.step == 0 else interval - self.step % interval
            part = slice(start, start + until)
            self.totals.add(records[part], sizes[part])
            self.step += len(sizes[part])
            if self.step == 1 or self.step % interval == 0:
                self.reporter.metrics(Metrics("step", epoch, self.step, self.totals.values()))
            start += until

    def _progress(self, epoch: int, examples: int, seconds: float) -> None:
        """Tell where training stands, with a speed smoothed over calls."""
        rate = examples / max(seconds, 1e-9)
        self.speed = rate if self.speed is None else 0.7 * self.speed + 0.3 * rate
        steps = self.train.batches * self.options.epochs
        left = max(0, steps - self.step) * self.batch / self.speed
        self.reporter.progress(Progress(epoch, self.options.epochs, self.step, steps, self.speed, left))

    def _obey(self) -> None:
        if reason := self.should_stop():
            raise _Stop(reason)

    def _native(self, runner: Runner, most: int, *, whole_steps: bool) -> tuple[Any, Any]:
        """One native call of up to `most` batches.

        With `whole_steps` only a cancel ends it in the middle of a step: there is no checkpoint between two calls.
        """
        asked: str | None = None

        def leave() -> bool:
            nonlocal asked
            asked = self.should_stop()
            return asked == CANCEL if whole_steps else asked is not None

        try:
            return runner.advance(most, step=self.step, rates=self._rates, leave=leave)
        except Left:
            raise _Stop(str(asked)) from None

    def _rates(self, steps: Any) -> Any:
        """Learning rates of updates, counted from 0: the schedule's, or what a callback has set."""
        if self.learning_rate is not None:
            return np.full(steps.shape, self.learning_rate, np.float32)
        return rates(self.options.optimizer.learning_rate, steps)

    def _rate(self) -> float:
        return float(self._rates(np.array([self.step], np.int64))[0])

    def _act(self, action: Action, whose: str, records: Any = None) -> None:
        """Do what a callback wants."""
        if action.message and not action.not_finite:
            self.reporter.log(action.level, action.message, {})
        if action.not_finite:
            self._refuse(action, records)
        if action.learning_rate is not None:
            self.learning_rate = action.learning_rate
        if action.remember_weights:
            self.remembered[whose] = copied(self.weights)
        if action.restore_weights and whose in self.remembered:
            fill(self.weights, self.remembered[whose])
        self.stopped = self.stopped or action.stop

    # NaN

    def _watch(self) -> Start | None:
        """What is needed to go back to the epoch's start, if a callback may ask where a NaN came from."""
        if not any(isinstance(callback, TerminateOnNaN) for callback in self.options.callbacks):
            return None
        start = Start(copied({**self.weights, **self.slots}), self.step, self.batches_done, self.epoch + 1,
                      self.train.rows)
        return start if start.finite or self.watched is None else self.watched

    def _refuse(self, action: Action, records: Any) -> None:
        """Repeat the epoch up to the step that failed, and name the node. Always raises NumericsError."""
        node = None
        if self.watched is not None and records is not None:
            bad = self.step - len(records) + int(np.flatnonzero(~np.isfinite(records[:, 0]))[0])
            try:
                node = began(self.train, self.watched, bad, rates=self._rates, stop=lambda: bool(self.should_stop()))
            except MemoryError:  # a plan that keeps every value needs more than training did
                self.reporter.log("warning", "not enough memory to look for the node in which it began", {})
        raise NumericsError(f"{action.message}" + (f"; it began in {node}" if node else ""), node=node)

    # Evaluation

    def _evaluated(self, rows: Any, prefix: str, most: int | None = None) -> dict[str, float]:
        """Loss and metrics on some rows with the present weights."""
        if most is not None:
            rows = rows[: most * self.bound.evaluate.batch]
        self.bound.evaluate.begin(rows)
        totals = Totals(self.bound.evaluate.program)
        while self.bound.evaluate.done < self.bound.evaluate.batches:
            self._obey()
            totals.add(*self._native(self.bound.evaluate, self.bound.evaluate.batches, whole_steps=False))
        return totals.values(prefix)

    def _improved(self, logs: Mapping[str, float]) -> bool:
        """Is this the best epoch by the checkpoints' monitor? Then keep its weights."""
        monitor, mode = self.spec.checkpoints.monitor, self.spec.checkpoints.mode
        if monitor is None or monitor not in logs:
            return False
        mode = direction(monitor, self.options.directions()) if mode == "auto" else mode
        if not improves(logs[monitor], self.best["value"] if self.best else None, mode):
            return False
        self.best = {
            "value": logs[monitor],
            "monitor": monitor,
            "epoch": self.epoch,
            "step": self.step,
            "logs": dict(logs),
        }
        self.remembered[BEST] = copied(self.weights)
        return True

    def _finish(self) -> Outcome:
        """Callbacks' last word, the test split, and the final checkpoint."""
        if self.options.optimizer.use_ema and self.step:
            self._take_averages()
        for place, callback in enumerate(self.callbacks):
            self._act(callback.on_train_end(), str(place))
        summary = self._summary()
        test = self.prepared.splits.get("test")
        if test is not None and len(test):
            with self.stages("test"):
                summary["test"] = self._tested(test)
        self._account("trained for")
        self._checkpoint(final=True, metrics=summary)
        return Outcome(None, self.step, self.epoch, summary)

    def _tested(self, rows: Any) -> dict[str, Any]:
        """The test split with the last weights, and with the best ones if there are any."""
        found = {"last": self._evaluated(rows, "")}
        if BEST in self.remembered:
            last = copied(self.weights)
            fill(self.weights, self.remembered[BEST])
            try:
                found["best"] = self._evaluated(rows, "")
            finally:  # a stop writes a checkpoint, which must hold the last weights
                fill(self.weights, last)
        return found

    def _take_averages(self) -> None:
        """The averages of the weights become the weights, as Keras does when training ends."""
        for name, array in self.weights.items():
            average = self.slots.get(f"{SLOT_PREFIX}{name}/{AVERAGE}")
            if average is not None:
                array[...] = average

    def _summary(self) -> dict[str, Any]:
        latest = {name: value for name, value in (self.history[-1] if self.history else {}).items() if name != "epoch"}
        best = {**self.best["logs"], "epoch": self.best["epoch"]} if self.best else None
        return {"latest": latest, "best": best, "test": {}}


def _finite(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: such a value is null."""
    return {key: _finite(value) if isinstance(value, Mapping) else
            None if isinstance(value, float) and not np.isfinite(value) else value for key, value in metrics.items()}
