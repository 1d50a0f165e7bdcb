"""Pictures: a cadence of their own, rungs over time, references, evidence."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "rung_interval",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_rung_interval_not_empty")),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_rung_interval_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "started_ms", name=op.f("pk_rung_interval")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rung_interval_ended_ms"), "rung_interval", ["ended_ms"], unique=False)
    op.create_table(
        "camera_rung",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("since_ms", MILLIS, nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_rung_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_rung")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "camera_picture",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("found", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["camera.id"], name=op.f("fk_camera_picture_camera_id_camera")
        ),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_picture")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "picture_reference",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("learned_ms", MILLIS, nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["camera.id"], name=op.f("fk_picture_reference_camera_id_camera")
        ),
        sa.PrimaryKeyConstraint("camera_id", "mode", "version", name=op.f("pk_picture_reference")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=True),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("expires_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_evidence_camera_id_camera")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_camera_id"), "evidence", ["camera_id"], unique=False)
    op.create_index(op.f("ix_evidence_expires_ms"), "evidence", ["expires_ms"], unique=False)
    op.create_table(
        "probe_record",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("found", DOCUMENT, nullable=False),
        sa.Column("still", sa.String(length=64), nullable=True),
        sa.Column("expires_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_probe_record_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "at_ms", name=op.f("pk_probe_record")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_probe_record_expires_ms"), "probe_record", ["expires_ms"], unique=False)
    with op.batch_alter_table("camera") as batch:
        batch.add_column(sa.Column("quality_s", sa.Float(), nullable=True))
    with op.batch_alter_table("tier_policy") as batch:
        batch.add_column(sa.Column("quality_s", sa.Float(), nullable=False, server_default="300"))
    with op.batch_alter_table("tier_policy") as batch:
        batch.alter_column("quality_s", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("tier_policy") as batch:
        batch.drop_column("quality_s")
    with op.batch_alter_table("camera") as batch:
        batch.drop_column("quality_s")
    for name in (
        "probe_record",
        "evidence",
        "picture_reference",
        "camera_picture",
        "camera_rung",
        "rung_interval",
    ):
        op.drop_table(name)
