"""What Alembic runs: on the connection that `store.migrate` hands over, or, for the `alembic` command, on its own."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

import store.models
from store.base import Base, Utc
from store.migrate import migrating
from store.settings import Settings

assert store.models  # imported so that every table is registered


def render(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """New versions name SQLAlchemy's types instead of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Utc) else False


def run(connection: Connection) -> None:
    """Run the asked-for steps in the transaction that is open on `connection`."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite cannot alter most things in place
        transactional_ddl=True,
        compare_type=True,
        render_item=render,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("migrations look at the database: there is no offline mode")
given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with migrating(Settings.from_environment()) as own:
        run(own)
