"""Several questions per project, among them segmentation.

Older networks can no longer be read, and an old label does not say which question it answers. Projects therefore stay
connected and keep what they have published; everything else is synced from Label Studio and learned again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_FORGET = """UPDATE project SET cursor = '', labels_revision = labels_revision + 1, image_size = 0, next_row = 0,
cycles = 0, query_size = 0, "order" = '', pretext_generation = 0, pretext_pool = 0, main_generation = 0,
main_labels = 0, main_round = -1, ranked_revision = -1, stage = 'waiting', stage_progress = 0,
stage_detail = 'for the worker', eta_seconds = NULL, error = '', round = 0"""


def upgrade() -> None:
    """Keep the projects, and reset everything else."""
    op.drop_table("ranking")
    op.drop_index("task_by_state", "task")
    op.drop_table("task")
    op.execute(_FORGET)
    new = [
        sa.Column("questions", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("notes", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("dense", sa.Boolean(), nullable=False, server_default=sa.false()),
    ]
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        project.drop_column("classes")
        for column in new:
            project.add_column(column)
    with op.batch_alter_table("project", table_kwargs={"sqlite_autoincrement": True}) as project:
        for column in new:
            project.alter_column(column.name, server_default=None)
    op.create_table(
        "task",
        sa.Column("project_id", sa.Integer(), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=True),
        sa.Column("regions", sa.JSON(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("skipped", sa.Boolean(), nullable=False),
        sa.Column("annotations", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("pretext_loss", sa.Double(), nullable=True),
        sa.Column("batch", sa.Integer(), nullable=True),
    )
    op.create_index("task_by_state", "task", ["project_id", "state"])
    op.create_table(
        "ranking",
        sa.Column("project_id", sa.Integer(), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("stamp", sa.Double(), nullable=False),
        sa.Column("questions", sa.JSON(), nullable=False),
        sa.Column("arrays", sa.LargeBinary(), nullable=False),
    )
