"""Counts the tasks of a large project without reading them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NOTED = "(json_array_length(notes) > 0 OR reason != '')"


def upgrade() -> None:
    """Mark labelled tasks, index all that is counted, and index the tasks that there is something to say about."""
    op.drop_index("task_by_state", "task")
    with op.batch_alter_table("task") as task:
        task.add_column(sa.Column("labelled", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("task") as task:
        task.alter_column("labelled", server_default=None)
    op.execute(sa.text("UPDATE task SET labelled = (answers IS NOT NULL)"))
    op.create_index("task_counts", "task", ["project_id", "state", "labelled", "annotations", "cancelled"])
    noted = sa.text(NOTED)
    op.create_index("task_noted", "task", ["project_id", "id"], sqlite_where=noted, postgresql_where=noted)
    op.execute("UPDATE schema SET version = 8")
