"""`stokerd api`: the HTTP API in uvicorn, on a socket of its own or on one inherited from `stokerd up`."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from store.settings import Settings

DRAIN_SECONDS = 5
KEEP_ALIVE_SECONDS = 30


class Server(uvicorn.Server):
    """Ends open event streams first: they last as long as their jobs, and would hold up every shutdown."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and give open answers seconds to end."""
        self._app.state.service.streams.close()
        await super().shutdown(sockets)


def serve(host: str, port: int, fd: int | None) -> int:
    """Serve until SIGTERM or Ctrl-C; the answer is the exit status."""
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
    server = Server(config, app)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    return 0 if server.started else 1
