"""Stores the training request that the main network answers, instead of the time when its training started."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Mark all earlier requests as answered."""
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        project.alter_column("main_started_at", new_column_name="main_requested_at")
    op.execute("UPDATE project SET main_requested_at = train_requested_at")
