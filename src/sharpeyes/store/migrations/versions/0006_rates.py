"""Rates: roll-ups of days, exclusions, contested intervals, reports given out, the archive."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)
TABLES = (
    "rollup_day",
    "day_rollup",
    "group_day",
    "exclusion",
    "exclusion_subject",
    "contest",
    "report_issued",
    "archived",
)


def upgrade() -> None:
    op.create_table(
        "rollup_day",
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("computed_ms", MILLIS, nullable=True),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_rollup_day_not_empty")),
        sa.PrimaryKeyConstraint("started_ms", name=op.f("pk_rollup_day")),
    )
    op.create_index(op.f("ix_rollup_day_ended_ms"), "rollup_day", ["ended_ms"], unique=False)
    op.create_table(
        "day_rollup",
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("member_ms", MILLIS, nullable=False),
        sa.Column("online_ms", MILLIS, nullable=False),
        sa.Column("degraded_ms", MILLIS, nullable=False),
        sa.Column("offline_ms", MILLIS, nullable=False),
        sa.Column("unknown_ms", MILLIS, nullable=False),
        sa.Column("maintenance_ms", MILLIS, nullable=False),
        sa.Column("excluded_ms", MILLIS, nullable=False),
        sa.Column("excluded_online_ms", MILLIS, nullable=False),
        sa.Column("excluded_offline_ms", MILLIS, nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("last", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("started_ms", "camera_id", name=op.f("pk_day_rollup")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_day",
        sa.Column("dimension", sa.String(length=32), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("cameras", sa.Integer(), nullable=False),
        sa.Column("member_ms", MILLIS, nullable=False),
        sa.Column("online_ms", MILLIS, nullable=False),
        sa.Column("degraded_ms", MILLIS, nullable=False),
        sa.Column("offline_ms", MILLIS, nullable=False),
        sa.Column("unknown_ms", MILLIS, nullable=False),
        sa.Column("maintenance_ms", MILLIS, nullable=False),
        sa.Column("excluded_ms", MILLIS, nullable=False),
        sa.Column("excluded_online_ms", MILLIS, nullable=False),
        sa.Column("excluded_offline_ms", MILLIS, nullable=False),
        sa.Column("head_total", sa.Integer(), nullable=False),
        sa.Column("head_online", sa.Integer(), nullable=False),
        sa.Column("head_degraded", sa.Integer(), nullable=False),
        sa.Column("head_offline", sa.Integer(), nullable=False),
        sa.Column("head_unknown", sa.Integer(), nullable=False),
        sa.Column("head_maintenance", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "started_ms", "key", name=op.f("pk_group_day")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "exclusion",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("applicant", sa.Text(), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=True),
        sa.Column("applied_ms", MILLIS, nullable=False),
        sa.Column("decider", sa.Text(), nullable=True),
        sa.Column("decided_ms", MILLIS, nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("revoker", sa.Text(), nullable=True),
        sa.Column("revoked_ms", MILLIS, nullable=True),
        sa.CheckConstraint("(stage = 'pending') = (decider IS NULL)", name=op.f("ck_exclusion_decided")),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_exclusion_not_empty")),
        sa.CheckConstraint("decider <> applicant", name=op.f("ck_exclusion_two_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusion")),
    )
    op.create_index(op.f("ix_exclusion_ended_ms"), "exclusion", ["ended_ms"], unique=False)
    op.create_table(
        "exclusion_subject",
        sa.Column("exclusion", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["exclusion"], ["exclusion.id"], name=op.f("fk_exclusion_subject_exclusion_exclusion")
        ),
        sa.PrimaryKeyConstraint("exclusion", "subject", name=op.f("pk_exclusion_subject")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contest",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answered_ms", MILLIS, nullable=True),
        sa.CheckConstraint("(answer IS NULL) = (answered_ms IS NULL)", name=op.f("ck_contest_answered")),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_contest_camera_id_camera")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contest")),
    )
    op.create_index(op.f("ix_contest_at_ms"), "contest", ["at_ms"], unique=False)
    op.create_index(op.f("ix_contest_department"), "contest", ["department"], unique=False)
    op.create_index(op.f("ix_contest_interval"), "contest", ["camera_id", "started_ms"], unique=False)
    op.create_table(
        "report_issued",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("manifest", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_report_issued")),
    )
    op.create_index(op.f("ix_report_issued_at_ms"), "report_issued", ["at_ms"], unique=False)
    op.create_table(
        "archived",
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.Column("until_ms", MILLIS, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_archived")),
    )
    op.create_index(op.f("ix_archived_until_ms"), "archived", ["until_ms"], unique=False)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
