"""A real HTTP server on a free port whose answers a test writes: the client's protocol, byte by byte."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import stoker


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What the server answers; `cut_after` bytes of the body it breaks the connection."""

    status: int = 200
    document: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hang_up: bool = False  # before any answer


class Scripted:
    """Answers the n-th request with the n-th reply, the last one for ever. A reply may be made of the request."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replies: list[Reply | Callable[[Request], Reply]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                server.answer(self)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *arguments: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        request = Request(handler.command, handler.path, headers, body)
        self.requests.append(request)
        chosen = self.replies[min(len(self.requests), len(self.replies)) - 1]
        reply = chosen(request) if callable(chosen) else chosen
        handler.close_connection = True
        if reply.hang_up:
            return
        content = reply.body if reply.document is None else json.dumps(reply.document).encode()
        handler.send_response(reply.status)
        kind = "application/json" if reply.status < 400 else "application/problem+json"
        for name, value in {"Content-Type": kind, "Connection": "close", **reply.headers}.items():
            handler.send_header(name, value)
        if "text/event-stream" not in reply.headers.values():
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content if reply.cut_after is None else content[: reply.cut_after])


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[stoker.Client]:
    """A client of `server` that does not really wait between tries."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with stoker.Client(server.url, "sk_test") as made:
        yield made
