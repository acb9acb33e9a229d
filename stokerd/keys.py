"""`stokerd keys`: API keys, made, listed and revoked on the server's own database."""

from __future__ import annotations

import argparse
import sys

from sqlalchemy.orm import Session

from store.errors import NotFound
from store.models import Project
from store.repositories import ApiKeyRepository, ProjectRepository
from store.session import Database
from store.settings import Settings


def run(options: argparse.Namespace) -> int:
    """One of create, list and revoke; the answer is the exit status."""
    database = Database(Settings.from_environment())
    try:
        match options.action:
            case "create":
                with database.write() as session:
                    key, secret = ApiKeyRepository(session).create(project(session, options.project).id, options.name)
                print(secret)
                print(f"{key.id}: the key above is shown this once", file=sys.stderr)
            case "list":
                with database.read() as session:
                    names = {one.id: one.name for one in ProjectRepository(session).list()}
                    for key in ApiKeyRepository(session).list():
                        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "active"
                        print(f"{key.id}  {key.hint}…  {names[key.project_id]}  {key.name}  {state}")
            case "revoke":
                with database.write() as session:
                    ApiKeyRepository(session).revoke(options.id)
                print(f"{options.id} is revoked")
    except NotFound as absent:
        print(f"stokerd: {absent}", file=sys.stderr)
        return 1
    finally:
        database.close()
    return 0


def project(session: Session, name: str) -> Project:
    """The project of this name, made if there is none."""
    projects = ProjectRepository(session)
    return projects.named(name) or projects.create(name)
