"""Stores what is found out about a project, what people chose for it, and which images are held out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns and tables; nothing has been found out so far."""
    _add("project", {"own_settings": (sa.JSON(), "{}"), "paused": (sa.Boolean(), sa.false())}, keeps_ids=True)
    _add("task", {"judgements": (sa.JSON(), "[]"), "held_out": (sa.Boolean(), sa.false())})
    _add("ranking", {"reasons": (sa.JSON(), "[]")})
    op.create_table(
        "finding",
        _project(primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("stamp", sa.Double(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("arrays", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "measurement",
        sa.Column("id", sa.Integer(), primary_key=True),
        _project(primary_key=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
    )
    op.create_index("measurement_of_project", "measurement", ["project_id", "labels"])
    op.create_table(
        "guess",
        _project(primary_key=True),
        sa.Column("task_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("answers", sa.JSON(none_as_null=True), nullable=False),
    )
    op.create_table(
        "confirmed",
        _project(primary_key=True),
        sa.Column("task_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("question", sa.Text(), primary_key=True),
        sa.Column("answer", sa.Text(), nullable=False),
    )
    op.execute("UPDATE schema SET version = 7")


def _project(*, primary_key: bool) -> sa.Column[Any]:
    """The column that refers to a project."""
    of_project = sa.ForeignKey("project.id", ondelete="CASCADE")
    return sa.Column("project_id", sa.Integer(), of_project, primary_key=primary_key, nullable=False)


def _add(table: str, columns: dict[str, tuple[Any, Any]], *, keeps_ids: bool = False) -> None:
    """Add columns that may not be NULL, with a value for the rows that exist; new rows get theirs from the code."""
    options = {"sqlite_autoincrement": True} if keeps_ids else {}
    with op.batch_alter_table(table, table_kwargs=options) as altered:
        for name, (kind, value) in columns.items():
            altered.add_column(sa.Column(name, kind, nullable=False, server_default=value))
    with op.batch_alter_table(table, table_kwargs=options) as altered:
        for name in columns:
            altered.alter_column(name, server_default=None)
