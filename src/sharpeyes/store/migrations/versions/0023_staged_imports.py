"""Large imports are staged before they are written."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "staged_import",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staged_import")),
    )
    op.create_table(
        "staged_row",
        sa.Column("import_id", sa.String(length=64), nullable=False),
        sa.Column("seq", MILLIS, autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["staged_import.id"], name=op.f("fk_staged_row_import_id_staged_import")
        ),
        sa.PrimaryKeyConstraint("import_id", "seq", name=op.f("pk_staged_row")),
    )


def downgrade() -> None:
    op.drop_table("staged_row")
    op.drop_table("staged_import")
