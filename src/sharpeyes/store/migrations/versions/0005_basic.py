"""Accounts say whether their password may go over the wire readable."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("credential") as credential:
        credential.add_column(
            sa.Column("allow_basic", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("credential") as credential:
        credential.drop_column("allow_basic")
