"""Stores whether a fine-tuned encoder serves, and how it was compared with the encoder as it is."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; no encoder has been fine-tuned so far."""
    counts: list[sa.Column[Any]] = [
        sa.Column(name, sa.Integer(), nullable=False, server_default="0")
        for name in ("tuned_generation", "tuned_trials", "tuned_labels")
    ]
    accuracies: list[sa.Column[Any]] = [
        sa.Column(name, sa.Double(), nullable=True) for name in ("tuned_accuracy", "probe_accuracy")
    ]
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        for column in (*counts, *accuracies):
            project.add_column(column)
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        for column in counts:
            project.alter_column(column.name, server_default=None)
    op.execute("UPDATE schema SET version = 6")
