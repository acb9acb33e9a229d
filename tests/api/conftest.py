"""A real server for the API's tests: uvicorn on a free port, over each of the two databases."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from store.repositories import ApiKeyRepository, ProjectRepository
from store.session import Database


@dataclass
class Server:
    """A running API. `http` speaks with the first project's key, `other` with another project's."""

    url: str
    app: FastAPI
    database: Database
    project_id: str
    key_id: str
    secret: str
    http: httpx.Client
    other: httpx.Client

    def connect(self) -> socket.socket:
        """A bare connection, for requests that no client library would send."""
        address = httpx.URL(self.url)
        return socket.create_connection((address.host, address.port or 80), timeout=20)


def new_key(database: Database, project: str | None = None) -> tuple[str, str, str]:
    """(project id, key id, secret) of a new project, or of `project`."""
    with database.write() as session:
        if project is None:
            project = ProjectRepository(session).create(f"project {time.monotonic_ns()}").id
        key, secret = ApiKeyRepository(session).create(project, "test")
        return project, key.id, secret


def client(url: str, secret: str) -> httpx.Client:
    """A client with this key."""
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}, timeout=30, trust_env=False)


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Run `app` in uvicorn, in a thread of its own; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def running(database: Database, **settings: Any) -> Iterator[Server]:
    """A server over a migrated database, with two projects and their keys."""
    app = create_app(replace(database.settings, **settings))
    project_id, key_id, secret = new_key(database)
    with (
        serve(app) as url,
        client(url, secret) as http,
        client(url, new_key(database)[2]) as other,
    ):
        yield Server(url, app, database, project_id, key_id, secret, http, other)


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Server]:
    """One server a module and database."""
    with running(database) as server:
        yield server


@pytest.fixture
def sqlite_server(sqlite_database: Database) -> Iterator[Server]:
    """A server of the test's own, over SQLite."""
    with running(sqlite_database) as server:
        yield server
