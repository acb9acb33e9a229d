"""`stokerd api`: the HTTP API in uvicorn, on a socket of its own or on one inherited from `stokerd up`."""

from __future__ import annotations

import socket

import uvicorn

from api.app import create_app
from store.settings import Settings

DRAIN_SECONDS = 5
KEEP_ALIVE_SECONDS = 30


def serve(host: str, port: int, fd: int | None) -> int:
    """Serve until SIGTERM or Ctrl-C; open answers get seconds to end."""
    app = create_app(Settings.from_environment())
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    return 0 if server.started else 1
