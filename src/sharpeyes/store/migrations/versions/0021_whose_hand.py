"""That a session or a token has run out is kept, whatever the clock says later; who may know the password of
an account is known; the tokens of disabled accounts end."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("api_token", sa.Column("lapsed_ms", MILLIS, nullable=True))
    op.add_column("user_session", sa.Column("lapsed_ms", MILLIS, nullable=True))
    op.create_index("ix_user_session_lapsed_ms", "user_session", ["lapsed_ms"], unique=False)
    op.add_column("user_account", sa.Column("keyed_by", sa.String(length=64), nullable=True))
    op.execute(
        "UPDATE api_token SET revoked_ms = (SELECT disabled_ms FROM user_account WHERE id = owner) "
        "WHERE revoked_ms IS NULL AND owner IN (SELECT id FROM user_account WHERE disabled_ms IS NOT NULL)"
    )


def downgrade() -> None:
    with op.batch_alter_table("user_account") as user_account:
        user_account.drop_column("keyed_by")
    op.drop_index("ix_user_session_lapsed_ms", table_name="user_session")
    with op.batch_alter_table("user_session") as user_session:
        user_session.drop_column("lapsed_ms")
    with op.batch_alter_table("api_token") as api_token:
        api_token.drop_column("lapsed_ms")
