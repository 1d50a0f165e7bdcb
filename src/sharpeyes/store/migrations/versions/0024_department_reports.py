"""A report may be on one department."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TABLES = ("report_made", "report_schedule")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("department", sa.String(length=64), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("department")
