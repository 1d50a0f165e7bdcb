"""Reports that were made stand on a list with their files, and schedules are kept beside the settings."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "report_made",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("every", sa.String(length=32), nullable=False),
        sa.Column("dimension", sa.String(length=32), nullable=False),
        sa.Column("lang", sa.String(length=32), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("asked_ms", MILLIS, nullable=False),
        sa.Column("made_ms", MILLIS, nullable=True),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("formats", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("files", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("mailed", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_made")),
    )
    op.create_index(op.f("ix_report_made_asked_ms"), "report_made", ["asked_ms"], unique=False)
    op.create_table(
        "report_schedule",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("every", sa.String(length=32), nullable=False),
        sa.Column("dimension", sa.String(length=32), nullable=False),
        sa.Column("lang", sa.String(length=32), nullable=False),
        sa.Column("formats", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recipients", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_schedule")),
    )


def downgrade() -> None:
    op.drop_table("report_schedule")
    op.drop_table("report_made")
