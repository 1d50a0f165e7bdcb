"""Rungs that were seen while it was said that nothing was are kept: somebody may know that it was real."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "unsaid_rung",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_unsaid_rung_not_empty")),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_unsaid_rung_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "started_ms", name=op.f("pk_unsaid_rung")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_unsaid_rung_ended_ms"), "unsaid_rung", ["ended_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("unsaid_rung")
