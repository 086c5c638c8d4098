"""Stores how sure the model was of the images without a label, beside each measurement."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; unknown for what was measured before."""
    with op.batch_alter_table("measurement") as measurement:
        measurement.add_column(sa.Column("confidence", sa.Double()))
    op.execute("UPDATE schema SET version = 10")
