"""Accounts whose user somebody else vouches for."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("user_account") as user:
        user.add_column(sa.Column("issuer", sa.Text()))
        user.add_column(sa.Column("issuer_subject", sa.Text()))
        user.create_unique_constraint(
            op.f("uq_user_account_issuer_issuer_subject"), ["issuer", "issuer_subject"]
        )


def downgrade() -> None:
    with op.batch_alter_table("user_account") as user:
        user.drop_constraint(op.f("uq_user_account_issuer_issuer_subject"), type_="unique")
        user.drop_column("issuer_subject")
        user.drop_column("issuer")
