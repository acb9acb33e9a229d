"""Models keep the weights they were posted with.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("models") as table:
        table.add_column(sa.Column("weights_format", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("weights_bytes", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("weights_sha256", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("weights_blob", sa.String(length=64), nullable=True))
        table.create_foreign_key("fk_models_weights_blob", "blobs", ["weights_blob"], ["id"])
        table.create_index("ix_models_weights_blob", ["weights_blob"])


def downgrade() -> None:
    with op.batch_alter_table("models") as table:
        table.drop_index("ix_models_weights_blob")
        table.drop_constraint("fk_models_weights_blob", type_="foreignkey")
        for name in ("weights_blob", "weights_sha256", "weights_bytes", "weights_format"):
            table.drop_column(name)
