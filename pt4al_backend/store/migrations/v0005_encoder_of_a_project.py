"""Stores which encoder a project uses, and how many images its order was chosen from.

A project of an older release uses its own networks, and goes on with them until another encoder has embedded all of its
images.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; what has been ranked so far was ranked with all images that are in batches."""
    new: list[sa.Column[Any]] = [
        sa.Column("encoder", sa.Text(), nullable=False, server_default=""),
        sa.Column("input_size", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("encoder_note", sa.Text(), nullable=False, server_default=""),
        sa.Column("ranked_pool", sa.Integer(), nullable=False, server_default="0"),
    ]
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        for column in new:
            project.add_column(column)
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        for column in new:
            project.alter_column(column.name, server_default=None)
    op.execute(
        "UPDATE project SET ranked_pool = (SELECT COUNT(*) FROM task WHERE task.project_id = project.id "
        "AND task.state = 'ready' AND task.batch >= 0) WHERE ranked_revision >= 0"
    )
    op.execute("UPDATE schema SET version = 5")
