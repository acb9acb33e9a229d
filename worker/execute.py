"""A training job from its claim to its end: data and checkpoint from the store, the engine, and the result back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from engine import definition, fit
from engine.data import Dataset as EngineDataset
from engine.errors import DataError, DefinitionError, NumericsError, WeightsError
from engine.progress import CheckpointFiles, Outcome
from engine.stages import Stages
from store.blobs import find_blob
from store.errors import BlobGone, CorruptBlob
from store.models import Job
from store.repositories.attempts import AttemptRepository
from store.repositories.checkpoints import CheckpointRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.models import ModelRepository
from store.repositories.running_jobs import RunningJobRepository
from store.session import Database
from store.states import CANCELLED, FAILED, READY, SUCCEEDED
from worker import memory
from worker.dataset_cache import ColumnFile, DatasetCache
from worker.exits import CRASHED, DONE
from worker.files import WorkFolder, fetch
from worker.notice import STOP_REASONS, TIME_IS_UP, Notice
from worker.reporter import StoredCheckpoint, StoreReporter, StoringFailed
from worker.supervise import Ending, Limits
from worker.work import Work
from worker.writing import keep_writing

SPEC_KEYS = ("model", "data", "training", "checkpoints", "resources")
NATIVE_BYTES = 256 * 1024 * 1024
"""What compiling and the libraries may take beside the memory that the job plans."""
STACK_BYTES = 1024 * 1024 * 1024
"""Address space of threads' stacks and heaps, reserved and hardly used."""

log = logging.getLogger("stoker.worker")


class Stopped(Exception):
    """The notice asked to stop before training had begun."""


class JobFault(Exception):
    """The job cannot be trained, for a reason that its user should read."""

    def __init__(self, code: str, message: str, pointer: str | None = None) -> None:
        self.error = {"code": code, "message": message, "pointer": pointer}
        super().__init__(message)


class Training(Work[Job]):
    """Work of the queue `training`."""

    def rows(self, session: Session) -> RunningJobRepository:
        """All projects' rows."""
        return RunningJobRepository(session)

    def claim(self, session: Session, worker: str) -> Job | None:
        """The next job in the database's order."""
        return RunningJobRepository(session).claim_next(
            worker, self.settings.lease_seconds, running_limit=self.settings.project_running_jobs
        )

    def limits(self, session: Session, row: Job) -> Limits:
        """What the job's `resources` say; time counts over all attempts since it was created or retried."""
        seconds = (row.spec.get("resources") or {}).get("max_seconds")
        if seconds is not None:
            seconds = max(0.0, seconds - used_seconds(session, row))
        planned = self._planned_bytes(row)
        return Limits(memory_bytes=planned + NATIVE_BYTES if planned else None, seconds=seconds)

    def carry_out(self, row: Job, folder: WorkFolder, notice: Notice) -> int:
        """Train, in the forked process."""
        planned = self._planned_bytes(row)
        if planned:
            memory.limit_data(planned + NATIVE_BYTES + STACK_BYTES)
        return Trainer(Database(self.settings), row, folder.path, notice, self.threads, planned or None).run()

    def _planned_bytes(self, row: Job) -> int:
        """What the job asked for, else what the server gives any job; 0 for no limit."""
        return int((row.spec.get("resources") or {}).get("memory_bytes") or self.settings.job_memory_bytes)

    def settle(self, session: Session, row: Job, ending: Ending) -> None:
        """The trainer ended without bringing the job to an end."""
        running = RunningJobRepository(session)
        if ending.killed == "out_of_memory":
            message = f"Training needed more memory than it may have ({self._planned_bytes(row)} bytes)."
            running.finish(row.id, row.token, FAILED, error=error_of("out_of_memory", message))
        elif ending.killed == "time_limit":
            running.finish(row.id, row.token, FAILED, error=time_is_up(row))
        elif ending.killed == "cancel":
            running.finish(row.id, row.token, CANCELLED)
        elif ending.killed == "hurry":
            running.release(row.id, row.token)
        else:
            self.give_up(session, row, f"The training process {ending}.")

    def give_up(self, session: Session, row: Job, cause: str) -> None:
        """Queued again, unless too many attempts in a row made no progress."""
        RunningJobRepository(session).lose(row.id, row.token, cause, attempts=self.settings.attempts)


class Trainer:
    """One claim of one job, in the process that was forked for it."""

    def __init__(self, database: Database, job: Job, folder: Path, notice: Notice, threads: int,
                 memory_bytes: int | None) -> None:
        self.database = database
        self.job = job
        self.folder = folder
        self.notice = notice
        self.threads = threads
        self.memory_bytes = memory_bytes

    def run(self) -> int:
        """Train and finish; the answer is the exit status."""
        try:
            outcome, final, reporter = self._train()
        except Stopped:
            self._leave_stopped()
        except StoringFailed:
            return CRASHED
        except JobFault as fault:
            self._fail(fault.error)
        except (DefinitionError, DataError, WeightsError, NumericsError, MemoryError) as error:
            log.warning("%s: %s", self.job.id, error)
            self._fail(explain(error))
        except OSError:
            # A full disk or one that fails is the machine's fault: another attempt, perhaps elsewhere, may go through.
            log.exception("%s: this machine could not go on", self.job.id)
            return CRASHED
        except Exception as error:
            log.exception("%s: training failed", self.job.id)
            self._fail(error_of("internal_error", f"The engine failed with {type(error).__name__}: {error}"[:2000]))
        else:
            if outcome.stopped is None:
                self._succeed(outcome, final, reporter)
            else:
                if final is not None:
                    final.abort()
                self._leave_stopped()
        return DONE

    def _train(self) -> tuple[Outcome, StoredCheckpoint | None, StoreReporter]:
        stages = Stages()
        with stages("dataset"), self.database.read() as session:
            datasets = DatasetRepository(session)
            dataset = datasets.find(self.job.dataset_id) if self.job.dataset_id else None
            if dataset is None or dataset.manifest is None or dataset.status != READY:
                raise JobFault("dataset_gone", "The job's dataset is no longer there.", "/dataset")
            files = [ColumnFile.of(file) for file in datasets.files(dataset.id)]
        document = {key: self.job.spec[key] for key in SPEC_KEYS if key in self.job.spec}
        with stages("definition"):
            spec = definition.parse_job(document, dataset.manifest)
        settings = self.database.settings
        cache = DatasetCache(settings.cache_dir / "datasets", settings.cache_bytes)
        with contextlib.ExitStack() as held:
            with stages("dataset"):
                columns = held.enter_context(cache.opened(self.database, files, self._check))
            with stages("checkpoint"):
                resume = self._latest_checkpoint()
                initial = self._initial_weights() if resume is None else None
            reporter = StoreReporter(
                self.database,
                self.job.id,
                self.job.token,
                self.notice,
                keep_last=int(self.job.spec["checkpoints"]["keep_last"]),
                metrics=self.job.metrics,
            )
            try:
                outcome = fit.fit(
                    spec,
                    EngineDataset.open(columns, dataset.manifest),
                    reporter=reporter,
                    should_stop=lambda: STOP_REASONS.get(self.notice.read()),
                    work_dir=self.folder,
                    resume=resume,
                    initial_weights=initial,
                    matching=(self.job.spec.get("initial_weights") or {}).get("weights") == "matching",
                    threads=self.threads,
                    memory_bytes=self.memory_bytes,
                    stages=stages,
                )
            except BaseException:
                with contextlib.suppress(StoringFailed):
                    reporter.end()  # what was said before the fault explains it
                raise
            return outcome, reporter.end(), reporter

    def _check(self) -> None:
        if self.notice.read():
            raise Stopped

    def _latest_checkpoint(self) -> CheckpointFiles | None:
        """The newest checkpoint that can be read, on this machine; unreadable ones are marked, with a warning."""
        latest = self.job.latest_checkpoint_id
        while latest is not None:
            with self.database.read() as session:
                checkpoint = CheckpointRepository(session).find(latest)
            if checkpoint is None:
                return None
            folder = self.folder / "resume" / checkpoint.id
            folder.mkdir(parents=True)
            files = CheckpointFiles(folder / "weights.safetensors", folder / "state.safetensors")
            try:
                fetch(self.database, checkpoint.weights_blob, checkpoint.sha256, files.weights, self._check)
                fetch(self.database, checkpoint.state_blob, checkpoint.state_sha256, files.state, self._check)
                return files
            except (CorruptBlob, BlobGone) as fault:
                latest = self._discard(checkpoint.id, str(fault))
        return None

    def _discard(self, checkpoint_id: str, reason: str) -> str | None:
        def write(session: Session) -> str | None:
            before = CheckpointRepository(session).discard(self.job.id, self.job.token, checkpoint_id, reason)
            return before.id if before is not None else None

        return keep_writing(self.database, self.notice, write)

    def _initial_weights(self) -> Path | None:
        """The weights of another job's checkpoint, or those a model was posted with, to begin with (warm start)."""
        asked = self.job.spec.get("initial_weights")
        if not asked:
            return None
        what, blob_id, sha256 = self._model_weights(asked) if "model" in asked else self._checkpoint_weights(asked)
        pointer = f"/model/{what}" if what == "checkpoint" else "/model"
        if blob_id is None:
            raise JobFault("invalid_weights", f"The {what} to start from is no longer there.", pointer)
        target = self.folder / "initial.safetensors"
        try:
            fetch(self.database, blob_id, sha256, target, self._check)
        except (CorruptBlob, BlobGone) as fault:
            message = f"The {what} to start from is unreadable ({fault})."
            raise JobFault("invalid_weights", message, pointer) from fault
        return target

    def _checkpoint_weights(self, asked: Mapping[str, str]) -> tuple[str, str | None, str]:
        with self.database.read() as session:
            found = CheckpointRepository(session).find(asked["checkpoint"])
        return ("checkpoint", found.weights_blob, found.sha256) if found else ("checkpoint", None, "")

    def _model_weights(self, asked: Mapping[str, str]) -> tuple[str, str | None, str]:
        with self.database.read() as session:
            model = ModelRepository(session).find(asked["model"])
            blob = find_blob(session, model.weights_blob) if model is not None and model.weights_blob else None
        return ("model", blob.id, blob.sha256) if blob else ("model", None, "")

    def _succeed(self, outcome: Outcome, final: StoredCheckpoint | None, reporter: StoreReporter) -> None:
        """The final weights and `succeeded` in one transaction."""
        self.notice.settle()

        def write(session: Session) -> str:
            if final is not None:
                reporter.publish(session, final)
            RunningJobRepository(session).finish(self.job.id, self.job.token, SUCCEEDED, metrics=dict(outcome.metrics))
            return SUCCEEDED

        keep_writing(self.database, self.notice, write, landed=self._outcome)

    def _fail(self, error: Mapping[str, Any]) -> None:
        self.notice.settle()

        def write(session: Session) -> str:
            RunningJobRepository(session).finish(self.job.id, self.job.token, FAILED, error=error)
            return FAILED

        keep_writing(self.database, self.notice, write, landed=self._outcome)

    def _leave_stopped(self) -> None:
        """Cancelled or paused if that was asked, failed if the time is up, else given back to the queue."""
        if self.notice.read() == TIME_IS_UP:
            self._fail(time_is_up(self.job))
            return
        self.notice.settle()

        def write(session: Session) -> str:
            return RunningJobRepository(session).release(self.job.id, self.job.token)

        keep_writing(self.database, self.notice, write, landed=self._outcome)

    def _outcome(self, session: Session) -> str | None:
        return AttemptRepository(session).outcome(self.job.id, self.job.token)


def error_of(code: str, message: str, pointer: str | None = None) -> dict[str, Any]:
    """A job's `error`."""
    return {"code": code, "message": message, "pointer": pointer}


def explain(error: Exception) -> dict[str, Any]:
    """The job's `error` for what the engine raises on purpose."""
    match error:
        case DefinitionError():
            fault = error.faults[0]
            return error_of("invalid_definition", str(error)[:2000], fault.pointer)
        case DataError():
            return error_of(error.code, str(error)[:2000], "/dataset")
        case WeightsError():
            return error_of("invalid_weights", str(error)[:2000], "/model")
        case NumericsError():
            return error_of("not_finite", str(error)[:2000])
        case _:
            return error_of("out_of_memory", "Training needed more memory than it may have.")


def time_is_up(job: Job) -> dict[str, Any]:
    """The job's `error` when it took longer than it may."""
    seconds = job.spec["resources"]["max_seconds"]
    return error_of(
        "time_limit",
        f"Training took longer than the job's resources allow ({seconds} seconds).",
        "/resources/max_seconds",
    )


def used_seconds(session: Session, job: Job) -> float:
    """How long earlier attempts trained, back to when the job was created or retried."""
    used, number = 0.0, job.attempt
    for attempt in reversed(AttemptRepository(session).list(job.id)):
        if attempt.token == job.token:
            continue
        # A retry counts attempts from one again.
        if attempt.outcome in (FAILED, CANCELLED) or attempt.number > number:
            break
        number = attempt.number
        if attempt.ended_at is not None:
            used += (attempt.ended_at - attempt.started_at).total_seconds()
    return used
