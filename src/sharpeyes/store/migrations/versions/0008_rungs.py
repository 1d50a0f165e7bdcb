"""Rungs by day, and months of cameras: every day that was added up before is added up anew."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("rung_day", "group_rung_day", "rollup_month", "camera_month")


def upgrade() -> None:
    op.create_table(
        "rung_day",
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("rung", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("untried", sa.Boolean(), nullable=False),
        sa.Column("clock", sa.String(length=32), nullable=False),
        sa.Column("ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint(
            "started_ms", "camera_id", "rung", "untried", "clock", name=op.f("pk_rung_day")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_rung_day",
        sa.Column("dimension", sa.String(length=32), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("rung", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("untried", sa.Boolean(), nullable=False),
        sa.Column("clock", sa.String(length=32), nullable=False),
        sa.Column("ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint(
            "dimension", "started_ms", "key", "rung", "untried", "clock", name=op.f("pk_group_rung_day")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_month",
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("revisions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("started_ms", name=op.f("pk_rollup_month")),
    )
    op.create_table(
        "camera_month",
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("online_ms", MILLIS, nullable=False),
        sa.Column("offline_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("started_ms", "camera_id", name=op.f("pk_camera_month")),
        sqlite_with_rowid=False,
    )
    # Days whose intervals went to the archive stay as they are: their rungs are not known.
    op.execute(
        "UPDATE rollup_day SET revision = revision + 1, computed_ms = NULL"
        " WHERE started_ms >= (SELECT coalesce(max(until_ms), 0) FROM archived)"
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
