"""`stoker`: the command line of the client."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from stoker.client import Client
from stoker.commands import datasets, jobs, models, train, weights
from stoker.errors import ConflictError, OutputError, StokerError
from stoker.jobs import WEIGHTS_FORMATS
from stoker.version import __version__

EPILOGUE = """\
The server's address and key come from STOKER_URL and STOKER_API_KEY, or from the data directory of a local `stokerd up`
(STOKER_DATA_DIR, else ./stoker-data).
"""


def parser() -> argparse.ArgumentParser:
    """Every command with its options; its `run` takes a client and the parsed options and returns an exit code."""
    root = argparse.ArgumentParser(prog="stoker", description="Training as a service.", epilog=EPILOGUE)
    root.add_argument("--version", action="version", version=f"stoker {__version__}")
    root.add_argument("--url", help="the server's address")
    root.add_argument("--data-dir", help="the data directory of a local `stokerd up`")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (train, jobs, weights, datasets, models):
        group.add(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done; 1: the server or the job says no; 2: a usage fault; 130: interrupted."""
    options = parser().parse_args(arguments)
    try:
        with Client(options.url, data_dir=options.data_dir) as client:
            code: int = options.run(client, options)
            return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has enough; Python would complain once more when it flushes at exit.
        sys.stderr.close()
        return 0
    except OutputError as error:
        print(f"stoker: {error}: --format {' or '.join(WEIGHTS_FORMATS)}", file=sys.stderr)
        return 2
    except StokerError as error:
        print(f"stoker: {error}", file=sys.stderr)
        if isinstance(error, ConflictError):
            print("The object's status does not allow this now.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"stoker: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
