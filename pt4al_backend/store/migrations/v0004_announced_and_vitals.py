"""Adds two tables, which early builds of 0.2.0 created when they opened a database, and a mark for older releases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create them if they are missing. Releases without migrations reject a `schema` that they do not know."""
    op.create_table(
        "announced",
        sa.Column("project_id", sa.Integer(), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tasks", sa.Integer(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "vitals",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("starting_at", sa.Double(), nullable=False),
        sa.Column("cpu_got", sa.Double(), nullable=True),
        sa.Column("cpu_wanted", sa.Double(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=False),
        if_not_exists=True,
    )
    op.execute("DELETE FROM schema")
    op.execute("INSERT INTO schema (version) VALUES (4)")
