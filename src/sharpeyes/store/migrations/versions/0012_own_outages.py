"""Own outages: when we could not see a zone, and what its cameras seemed to be meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table in ("camera_state", "state_interval"):
        op.add_column(table, sa.Column("seen_state", sa.String(length=32), nullable=True))
        op.add_column(table, sa.Column("seen_cause", sa.String(length=32), nullable=True))
    op.create_table(
        "own_outage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("since_ms", MILLIS, nullable=False),
        sa.Column("noticed_ms", MILLIS, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.Column("fallen", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("branches", sa.Integer(), nullable=False),
        sa.Column("real_ms", MILLIS, nullable=True),
        sa.Column("real_by", sa.Text(), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.CheckConstraint("(real_ms IS NULL) = (real_by IS NULL)", name=op.f("ck_own_outage_decided")),
        sa.ForeignKeyConstraint(["zone"], ["zone.id"], name=op.f("fk_own_outage_zone_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_outage")),
    )
    op.create_index(op.f("ix_own_outage_since_ms"), "own_outage", ["since_ms"], unique=False)
    op.create_index(
        "uq_own_outage_open",
        "own_outage",
        ["zone"],
        unique=True,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("own_outage")
    for table in ("camera_state", "state_interval"):
        with op.batch_alter_table(table) as altered:
            altered.drop_column("seen_cause")
            altered.drop_column("seen_state")
