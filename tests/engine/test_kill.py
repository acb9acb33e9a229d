"""A training whose process is killed at random moments ends with the bits of one that nothing disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from engine.data.dataset import Dataset
from tests.engine.training import dataset

ROOT = Path(__file__).parents[2]
ATTEMPTS = 8
"""So many are killed at most; the one after them may run to its end."""
LAYERS = [{"type": "Dense", "units": 24, "activation": "relu"}, {"type": "BatchNormalization"},
          {"type": "Dropout", "rate": 0.2}, {"type": "Dense", "units": 3}]

LAUNCHER = """
# As the worker does it: a process of one thread imports everything, and forks a trainer for each line it reads.
import json, os, signal, sys, time
from pathlib import Path
import engine.fit
from engine.data.dataset import Dataset
from engine.progress import CheckpointFiles
from tests.engine.test_kill import LAYERS
from tests.engine.training import job, train

def trainer(order):
    data = Dataset.open(Path(order["data"]), json.loads(Path(order["manifest"]).read_text()))
    spec = job(data, LAYERS, threads=2, epochs=4, metrics=["accuracy"], checkpoints={"every_steps": 3},
               callbacks=[{"type": "ReduceLROnPlateau", "monitor": "val_loss", "patience": 0}])
    files = CheckpointFiles(*map(Path, order["resume"])) if order["resume"] else None
    done = train(spec, data, Path(order["work"]), resume=files)
    Path(order["result"]).write_bytes(done.bytes)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        trainer(order)
        os._exit(0)
    ended, status = 0, 0
    if order["kill_after"] is not None:
        last = time.monotonic() + order["kill_after"]
        while not ended and time.monotonic() < last:
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
    if not ended:
        ended, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


class Launcher:
    """Starts trainers on one dataset."""

    def __init__(self, data: Dataset, folder: Path) -> None:
        self.folder = folder
        self.order = {"data": str(folder / "dataset"), "manifest": str(folder / "manifest.json")}
        (folder / "manifest.json").write_text(json.dumps(data.manifest))
        self.process = subprocess.Popen([sys.executable, "-c", LAUNCHER], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def run(self, name: str, *, kill_after: float | None = None) -> bytes | None:
        """Train in the work folder `name` from its newest checkpoint; the weights file, or None if it was killed."""
        work, result = self.folder / name, self.folder / f"{name}.result"
        states = sorted(work.glob("*/state.safetensors"))
        resume = [str(states[-1].with_name("weights.safetensors")), str(states[-1])] if states else None
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {**self.order, "work": str(work), "result": str(result), "resume": resume, "kill_after": kill_after}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        status = int(self.process.stdout.readline())
        assert status in (0, signal.SIGKILL), f"the trainer ended with {status}"
        return result.read_bytes() if status == 0 else None

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def test_killed_trainings_end_with_the_bits_of_an_undisturbed_one(tmp_path: Path):
    generator = np.random.default_rng(5)
    label = generator.integers(0, 3, 503)
    x = (generator.standard_normal((3, 8))[label] * 2 + generator.standard_normal((503, 8))).astype("float32")
    launcher = Launcher(dataset(tmp_path, x=x, label=label), tmp_path)
    try:
        launcher.run("warm")
        started = time.monotonic()
        undisturbed = launcher.run("undisturbed")
        seconds = time.monotonic() - started
        seed = random.SystemRandom().randrange(2**32)
        moments, killed = random.Random(seed), 0
        while (weights := launcher.run("killed", kill_after=(
                moments.uniform(0.05, 0.7) * seconds if killed < ATTEMPTS else None))) is None:
            killed += 1
        print(f"{killed} kills in trainings of {seconds:.2f} s, moments of seed {seed}")
        assert killed >= 2
        assert weights == undisturbed, "other bits"
    finally:
        launcher.close()
