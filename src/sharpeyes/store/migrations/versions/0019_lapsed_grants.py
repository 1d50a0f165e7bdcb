"""That a grant's end was seen to pass is kept, whatever the clock says later."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("view_grant", sa.Column("lapsed_ms", MILLIS, nullable=True))
    op.create_index("ix_view_grant_lapsed_ms_ends_ms", "view_grant", ["lapsed_ms", "ends_ms"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_view_grant_lapsed_ms_ends_ms", table_name="view_grant")
    with op.batch_alter_table("view_grant") as view_grant:
        view_grant.drop_column("lapsed_ms")
