"""The services of docker-compose.yml, started by their own commands from what the Dockerfile installs.

No container engine: the processes run here, against a real PostgreSQL and a real Valkey, with the names and ports of
the compose network replaced by local ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import stoker
from stokerd.broker import server_binary
from tests.deploy.compose import load, start_order
from tests.postgres import PostgresServer, free_port

READY_SECONDS = 60.0


class Stack:
    """The running services."""

    def __init__(self, directory: Path, installed: Path, postgres: PostgresServer) -> None:
        self.directory = directory
        self.installed = installed
        self.services: dict[str, Any] = load({"STOKER_POSTGRES_PASSWORD": "secret"})["services"]
        self.api_port, self.broker_port = str(free_port()), str(free_port())
        self.database_url = postgres.create_database("compose")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (directory / "data").mkdir()

    def start(self) -> None:
        """Start every service after those that it depends on."""
        for name in start_order(self.services):
            if name == "postgres":
                continue  # the test's own
            self.processes[name] = self.run(self.command(name), name)
            if name == "migrate":
                assert self.processes.pop(name).wait(timeout=60) == 0, self.log(name)

    def command(self, name: str) -> list[str]:
        """The service's command line."""
        words = [str(word) for word in self.services[name]["command"]]
        if name == "valkey":
            return [str(server_binary()), *self.local(words[1:]), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        return [sys.executable, str(self.installed / "bin" / "stokerd"), *self.local(words)]

    def local(self, words: list[str]) -> list[str]:
        """Ports of the compose network replaced by those of this test."""
        ports = {"8000": self.api_port, "6379": self.broker_port, "0.0.0.0": "127.0.0.1"}
        return [ports.get(word, word.replace(":8000/", f":{self.api_port}/")) for word in words]

    def environment(self, name: str) -> Mapping[str, str]:
        """The service's environment, with the image's own."""
        given = self.services[name].get("environment", {})
        local = {
            "STOKER_DATABASE_URL": self.database_url,
            "STOKER_BROKER_URL": str(given.get("STOKER_BROKER_URL", "")).replace(
                "valkey:6379", f"127.0.0.1:{self.broker_port}"
            ),
        }
        data = str(self.directory / "data")
        image = {"STOKER_DATA_DIR": data, "XDG_CACHE_HOME": f"{data}/cache", "PYTHONUNBUFFERED": "1", "HOME": data}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
        asked = {name: local.get(name, str(value)) for name, value in given.items()}
        return {**kept, **image, "PYTHONPATH": str(self.installed), **asked}

    def run(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        """A process of the service `name`, which writes to its log; in the data directory, as in the image."""
        with (self.directory / f"{name}.log").open("ab") as log:
            environment = dict(self.environment(name))
            return subprocess.Popen(command, env=environment, cwd=self.directory / "data", stdout=log, stderr=log)

    def log(self, name: str) -> str:
        """What the service has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def logs(self) -> str:
        """What all services have written."""
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')}" for file in self.directory.glob("*.log")
        )

    def health(self, name: str) -> int:
        """The exit status of the service's health check."""
        check = self.services[name]["healthcheck"]["test"][1:]
        assert check[0] == "python"
        return self.run([sys.executable, *self.local(check[1:])], name).wait(timeout=30)

    def request(self, path: str, key: str | None = None) -> tuple[int, Any]:
        """GET; the status and the JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}{path}")
        if key:
            request.add_header("authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def wait_until_ready(self) -> None:
        """Until /readyz is green."""
        deadline = time.monotonic() + READY_SECONDS
        seen: Any = None
        while time.monotonic() < deadline:
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not dead, f"{dead} ended:\n{self.logs()}"
            try:
                seen = self.request("/readyz")
                if seen[0] == 200:
                    return
            except OSError as error:
                seen = error
            time.sleep(0.1)
        raise AssertionError(f"not ready: {seen}\n{self.logs()}")

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, the last started first; their exit statuses."""
        statuses = {}
        for name, process in reversed(self.processes.items()):
            process.send_signal(signal.SIGTERM)
            statuses[name] = process.wait(timeout=60)
        return statuses

    def kill(self) -> None:
        """Whatever is left."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, installed: Path, postgres: PostgresServer) -> Iterator[Stack]:
    """Everything, ready."""
    stack = Stack(tmp_path_factory.mktemp("stack"), installed, postgres)
    try:
        stack.start()
        stack.wait_until_ready()
        yield stack
    finally:
        stack.kill()
        postgres.drop_database("compose")


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """A key, made as docker-compose.yml says."""
    made = subprocess.run(
        [sys.executable, str(stack.installed / "bin" / "stokerd"), "keys", "create", "--name", "first"],
        env=dict(stack.environment("api")),
        cwd=stack.directory / "data",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_the_stack_serves(stack: Stack, key: str) -> None:
    assert stack.request("/healthz") == (200, {"status": "ok"})
    assert stack.request("/v1/jobs")[0] == 401
    status, jobs = stack.request("/v1/jobs", key)
    assert (status, jobs["object"], jobs["data"], jobs["has_more"]) == (200, "list", [], False)
    status, catalogue = stack.request("/v1/catalogue", key)
    assert status == 200
    assert "Conv2D" in catalogue["layers"]


def test_the_stack_trains(stack: Stack, key: str) -> None:
    """What is installed is enough for both workers, too."""
    table = stack.directory / "points.csv"
    rows = [f"{n % 7},{n % 5},{'large' if n % 7 > 3 else 'small'}" for n in range(120)]
    table.write_text("\n".join(["x,y,size", *rows, ""]))
    layers = [{"type": "Dense", "units": 4, "activation": "relu"}, {"type": "Dense", "units": 2}]
    loss = {"type": "SparseCategoricalCrossentropy", "from_logits": True}
    with stoker.Client(f"http://127.0.0.1:{stack.api_port}", key) as client:
        dataset = client.datasets.wait(client.datasets.upload(table).id, timeout_seconds=60.0)
        job = client.jobs.create(
            {
                "name": "points",
                "model": {"inputs": {"table": {}}, "layers": layers},
                "dataset": dataset.id,
                "data": {"target": "size"},
                "training": {"epochs": 1, "batch_size": 16, "optimizer": {"type": "SGD"}, "loss": loss},
            }
        )
        assert client.jobs.wait(job.id).status == "succeeded", stack.logs()


@pytest.mark.parametrize("name", ["api", "relay", "worker-training", "worker-ingest"])
def test_health_checks_tell_well_from_ill(stack: Stack, name: str) -> None:
    assert stack.health(name) == 0, stack.log(name)


def test_every_service_ends_on_sigterm(stack: Stack) -> None:
    statuses = stack.stop()
    assert statuses.pop("api") in (0, -signal.SIGTERM)  # uvicorn drains, then ends by the signal it was sent
    assert statuses == dict.fromkeys(statuses, 0), stack.logs()
    assert stack.health("api") != 0
    assert stack.health("worker-training") != 0
