"""What the console says beside cameras.yaml; targets with the time from which they hold; more of departments
and areas."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("department", sa.Column("name_en", sa.Text()))
    op.add_column("department", sa.Column("contact", sa.Text()))
    op.add_column("area", sa.Column("name_en", sa.Text()))
    op.add_column("area", sa.Column("target", sa.Float()))
    op.create_table(
        "setting",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_setting")),
    )
    op.create_table(
        "online_target",
        sa.Column("dimension", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("since_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("target", sa.Float()),
        sa.PrimaryKeyConstraint("dimension", "subject", "since_ms", name=op.f("pk_online_target")),
    )
    # What holds now is all that is known of the time before.
    op.execute(
        "INSERT INTO online_target (dimension, subject, since_ms, target) "
        "SELECT 'tier', tier, 0, target FROM tier_policy"
    )


def downgrade() -> None:
    op.drop_table("online_target")
    op.drop_table("setting")
    for table, columns in (("area", ("target", "name_en")), ("department", ("contact", "name_en"))):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
