"""`stokerd up`: database, embedded broker, API, relay and workers on one machine, from one command."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stokerd import broker
from stokerd.child import Child
from stokerd.directory import DataDirectory, DirectoryHeld
from stokerd.supervisor import Supervisor
from store.settings import Settings
from worker.names import worker_name

WORKER = "worker-"
BROKER = "broker"
SOCKET_SECONDS = 2.0
"""How long the broker may take until its socket is there."""
API_GRACE_SECONDS = 10.0
WORKER_GRACE_SECONDS = 120.0
OTHER_GRACE_SECONDS = 10.0
READY_TIMEOUT_SECONDS = 120.0
SOURCES = str(Path(__file__).parent.parent)
"""Where the parts are imported from; never the current directory, which may hold another `api`."""


class CannotStart(Exception):
    """A part does not come up; the message says where to look."""


def up(data_dir: Path | None, host: str, port: int, workers: int) -> int:
    """Run the stack until SIGTERM or Ctrl-C; the answer is the exit status."""
    settings = Settings.from_environment()
    if data_dir is not None:
        settings = Settings.from_environment(data_dir=data_dir)
    try:
        with DataDirectory(settings.data_dir) as directory:
            return Stack(directory, host, port, workers).run()
    except DirectoryHeld as held:
        say(str(held))
        return 3
    except (CannotStart, OSError) as reason:
        say(f"stokerd: {reason}")
        return 1


def say(text: str) -> None:
    """A line for the person or program that started the command."""
    print(text, file=sys.stderr, flush=True)


class Stack:
    """Everything that runs for one data directory."""

    def __init__(self, directory: DataDirectory, host: str, port: int, workers: int) -> None:
        self.directory = directory
        self.host = host
        self.port = port
        self.workers = workers
        self.embedded = not os.environ.get("STOKER_BROKER_URL")
        self.runtime = broker.runtime_directory(directory.path)
        broker_url = broker.url(self.runtime) if self.embedded else os.environ["STOKER_BROKER_URL"]
        self.settings = Settings.from_environment(data_dir=directory.path, broker_url=broker_url)
        self.left_behind: list[str] = []
        self.supervisor = Supervisor(changed=directory.record, say=say)
        self.environment = {
            **os.environ,
            **self.settings.to_environment(),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join([SOURCES, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }

    def run(self) -> int:
        """Start, serve, drain. 0 after a drain, 1 if it could not start."""
        self.left_behind = [
            worker_name(name.removeprefix(WORKER), child.pid)
            for name, child in self.directory.recorded()
            if name.startswith(WORKER)
        ]
        for name in self.directory.end_orphans():
            say(f"ended {name}, left over from an earlier run that was killed")
        try:
            listener = listen(self.host, self.port)
        except OSError as error:
            say(f"cannot listen on {self.host}:{self.port}: {error.strerror or error}")
            return 1
        self.supervisor.install_signals()
        stages: list[tuple[Sequence[Child], float]] = []
        try:
            with listener:
                address = f"http://{bracketed(self.host)}:{listener.getsockname()[1]}"
                stages = self._start(listener)
                self._announce(address)
                while not self.supervisor.stop_requests:
                    self.supervisor.tick()
                    self._heal_the_broker()
            say("draining: jobs are stored and go back to the queue")
        finally:
            with contextlib.suppress(FileNotFoundError):
                self.directory.address_file.unlink()
            self.supervisor.drain(stages)
            self.supervisor.close()
            shutil.rmtree(self.runtime, ignore_errors=True)
        say("stopped")
        return 0

    def _start(self, listener: socket.socket) -> list[tuple[Sequence[Child], float]]:
        """Start every part, the slowest to import first, and migrate meanwhile. Returns the stages of the drain."""
        brokers = []
        if self.embedded:
            brokers = [self._child(BROKER, broker.command(self.runtime))]
            self.supervisor.start(brokers[0])
            if not broker.wait_until_answering(self.runtime):
                raise CannotStart(f"the broker does not answer; see {brokers[0].log_file}")
        trainers = self._part(f"{WORKER}training", "worker", "--queue", "training", "--concurrency", str(self.workers))
        ingesters = self._part(f"{WORKER}ingest", "worker", "--queue", "ingest", "--concurrency", "1")
        api = self._part("api", "api", "--fd", str(listener.fileno()), "--host", self.host, fds=(listener.fileno(),))
        for child in (trainers, ingesters, api):
            self.supervisor.start(child)
        self._prepare_database()  # while they import; the relay begins with a query
        relay = self._part("relay", "relay")
        self.supervisor.start(relay)
        return [
            ([api], API_GRACE_SECONDS),
            ([trainers, ingesters], WORKER_GRACE_SECONDS),
            ([relay], OTHER_GRACE_SECONDS),
            (brokers, OTHER_GRACE_SECONDS),
        ]

    def _heal_the_broker(self) -> None:
        """A cleaner of temporary files may take the socket from under a living server, which then is of no use."""
        server = next((child for child in self.supervisor.children if child.name == BROKER), None)
        if server is None or server.uptime_seconds < SOCKET_SECONDS or broker.socket_path(self.runtime).exists():
            return
        say(f"the broker's socket was removed from {self.runtime}: starting it again")
        broker.runtime_directory(self.directory.path)
        server.kill()

    def _announce(self, address: str) -> None:
        """Wait until everything answers, then say so."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        host, port = address.removeprefix("http://").rsplit(":", 1)
        while not self.supervisor.stop_requests:
            if ready(host.strip("[]"), int(port)):
                self.directory.write(self.directory.address_file, address + "\n")
                say(f"the API key is in {self.directory.key_file}, logs are in {self.directory.logs}")
                print(f"ready {address}", flush=True)
                return
            if time.monotonic() > deadline:
                raise CannotStart(f"not ready within {READY_TIMEOUT_SECONDS:.0f} s; see {self.directory.logs}")
            self.supervisor.tick(0.05)

    def _prepare_database(self) -> None:
        """Migrate, forget workers that an earlier run left behind, and see that there is a key."""
        from sqlalchemy.exc import SQLAlchemyError

        from stokerd.database import prepare

        try:
            prepare(self.settings, self.directory, self.left_behind)
        except (SQLAlchemyError, ValueError) as error:
            cause = getattr(error, "orig", None) or error
            raise CannotStart(f"the database cannot be prepared: {cause}") from error

    def _part(self, name: str, *arguments: str, fds: Sequence[int] = ()) -> Child:
        return self._child(name, [sys.executable, "-P", "-m", "stokerd", *arguments], fds)

    def _child(self, name: str, command: Sequence[str], fds: Sequence[int] = ()) -> Child:
        return Child(name, command, environment=self.environment, logs=self.directory.logs, pass_fds=fds)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that outlives restarts of the API, so that none of them refuses a connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def bracketed(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def ready(host: str, port: int) -> bool:
    """Whether /readyz is green. An address that means every interface is asked on this machine's own."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(own, port, timeout=2.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
