"""The command line. Each command imports what it needs when it runs, so that none waits for another's imports."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine import environment
from engine.errors import CompileError
from store.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status."""
    options = parser().parse_args(arguments)
    try:
        Settings.from_environment()
        environment.check()
    except (ValueError, CompileError) as error:
        print(f"stokerd: {error}", file=sys.stderr)
        return 2
    return int(options.run(options))


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    root = argparse.ArgumentParser(prog="stokerd", description="Stoker's server; settings are variables STOKER_*")
    commands = root.add_subparsers(required=True, metavar="command")

    up = commands.add_parser("up", help="everything on this machine, with an embedded broker")
    up.add_argument("--data-dir", type=Path, help="default: $STOKER_DATA_DIR or ./stoker-data")
    up.add_argument("--host", default="127.0.0.1")
    up.add_argument("--port", type=port, default=8000, help="0 takes any free port")
    up.add_argument("--workers", type=positive, default=1, help="jobs trained at once; they share the cores")
    up.set_defaults(run=run_up)

    api = commands.add_parser("api", help="the HTTP API")
    api.add_argument("--host", default="127.0.0.1")
    api.add_argument("--port", type=port, default=8000)
    api.add_argument("--fd", type=int, help="serve on this inherited listening socket")
    api.set_defaults(run=run_api)

    worker = commands.add_parser("worker", help="a worker of one queue")
    worker.add_argument("--queue", choices=["training", "ingest"], required=True)
    worker.add_argument("--concurrency", type=positive, default=1, help="pieces of work taken at once")
    worker.set_defaults(run=run_worker)

    relay = commands.add_parser("relay", help="wakes workers, and takes work back from dead ones")
    relay.set_defaults(run=run_relay)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.set_defaults(run=run_migrate)

    warm = commands.add_parser("warm", help="compile compute kernels before a job waits for them")
    warm.add_argument("files", type=Path, nargs="*", metavar="FILE",
                      help="models or jobs as JSON; by default those that are usual")
    warm.set_defaults(run=run_warm)

    keys = commands.add_parser("keys", help="API keys").add_subparsers(required=True, metavar="action")
    create = keys.add_parser("create", help="make a key and print it, once")
    create.add_argument("--name", default="key")
    create.add_argument("--project", default="default", help="the project's name; made if it is new")
    create.set_defaults(run=run_keys, action="create")
    listing = keys.add_parser("list", help="all keys, without their secrets")
    listing.set_defaults(run=run_keys, action="list")
    revoke = keys.add_parser("revoke", help="end a key")
    revoke.add_argument("id", help="key_…")
    revoke.set_defaults(run=run_keys, action="revoke")
    return root


@contextmanager
def importing() -> Iterator[None]:
    """Import much without the garbage collector, which would walk it all again and again: a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def port(text: str) -> int:
    """A TCP port; 0 is any free one."""
    return bounded(text, 0, 65535)


def positive(text: str) -> int:
    """How many; at least one."""
    return bounded(text, 1, 1024)


def bounded(text: str, minimum: int, maximum: int) -> int:
    """An integer of the command line within its bounds."""
    if not text.isdecimal() or len(text) > 10 or not minimum <= int(text) <= maximum:
        raise argparse.ArgumentTypeError(f"expected an integer of {minimum} to {maximum}, received {text[:20]!r}")
    return int(text)


def run_up(options: argparse.Namespace) -> int:
    """Everything, supervised."""
    from stokerd.up import up

    return up(options.data_dir, options.host, options.port, options.workers)


def run_api(options: argparse.Namespace) -> int:
    """The API alone."""
    with importing():
        from stokerd.api import serve

    return serve(options.host, options.port, options.fd)


def run_worker(options: argparse.Namespace) -> int:
    """A worker alone."""
    from worker.main import run

    return run(options.queue, options.concurrency)


def run_relay(options: argparse.Namespace) -> int:
    """The relay alone."""
    with importing():
        from worker.relay import run

    return run()


def run_migrate(options: argparse.Namespace) -> int:
    """The schema."""
    from store.migrate import upgrade

    upgrade(Settings.from_environment())
    return 0


def run_warm(options: argparse.Namespace) -> int:
    """Compute kernels."""
    from stokerd.warm import run

    return run(options.files)


def run_keys(options: argparse.Namespace) -> int:
    """API keys."""
    from stokerd import keys

    return keys.run(options)
