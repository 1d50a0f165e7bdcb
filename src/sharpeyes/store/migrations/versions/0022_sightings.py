"""Which run of discovery saw which devices, and not the last run alone."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "discovery_sighting",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("found_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "found_id", name=op.f("pk_discovery_sighting")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO discovery_sighting (run_id, found_id) "
        "SELECT f.run_id, f.id FROM found_device f JOIN discovery_run r ON r.id = f.run_id"
    )


def downgrade() -> None:
    op.drop_table("discovery_sighting")
