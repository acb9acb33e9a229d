"""What `stokerd up` does to the database before it is ready."""

from __future__ import annotations

from collections.abc import Iterable

from stokerd.directory import DataDirectory
from stokerd.keys import project
from store import migrate
from store.repositories import ApiKeyRepository, WorkerRepository
from store.session import Database
from store.settings import Settings

FIRST_PROJECT = "default"


def prepare(settings: Settings, directory: DataDirectory, left_behind: Iterable[str]) -> None:
    """Migrate, forget the workers `left_behind`, and write a first key unless the directory holds one that works."""
    migrate.upgrade(settings)
    database = Database(settings)
    try:
        with database.write() as session:
            for name in left_behind:
                WorkerRepository(session).leave(name)  # so that readiness means the workers of this run
            keys = ApiKeyRepository(session)
            if directory.key_file.exists() and keys.authenticate(directory.key_file.read_text().strip()) is not None:
                return
            _, secret = keys.create(project(session, FIRST_PROJECT).id, "first")
            # In the transaction: a key that could not be written down is not made.
            directory.write(directory.key_file, secret + "\n")
    finally:
        database.close()
