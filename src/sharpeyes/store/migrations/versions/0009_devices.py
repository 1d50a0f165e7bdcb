"""Devices tell more than streams: their clocks, and reports of their scenes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "device_clock",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("since_ms", MILLIS, nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("read_ms", MILLIS, nullable=True),
        sa.Column("offset_ms", MILLIS, nullable=True),
        sa.Column("uncertainty_ms", MILLIS, nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("against_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_device_clock_device_id_device")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_clock")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "clock_interval",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_clock_interval_not_empty")),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_clock_interval_device_id_device")
        ),
        sa.PrimaryKeyConstraint("device_id", "started_ms", name=op.f("pk_clock_interval")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_clock_interval_ended_ms"), "clock_interval", ["ended_ms"], unique=False)
    op.create_table(
        "device_events",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("retry_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_device_events_device_id_device")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_events")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "camera_report",
        sa.Column("id", MILLIS, nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("expires_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_report_camera_id_camera")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera_report")),
    )
    op.create_index(op.f("ix_camera_report_camera_id"), "camera_report", ["camera_id"], unique=False)
    op.create_index(op.f("ix_camera_report_expires_ms"), "camera_report", ["expires_ms"], unique=False)


def downgrade() -> None:
    for table in ("camera_report", "device_events", "clock_interval", "device_clock"):
        op.drop_table(table)
