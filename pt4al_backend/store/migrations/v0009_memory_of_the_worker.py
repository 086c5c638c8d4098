"""Stores how much memory the worker uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; unknown until the next heartbeat."""
    with op.batch_alter_table("vitals") as vitals:
        vitals.add_column(sa.Column("memory", sa.BigInteger()))
    op.execute("UPDATE schema SET version = 9")
