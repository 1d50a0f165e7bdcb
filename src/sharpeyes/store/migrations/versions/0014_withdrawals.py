"""Exclusions and contests may be withdrawn by whoever brought them, before anybody has decided."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("exclusion") as exclusion:
        exclusion.add_column(sa.Column("withdrawn_ms", MILLIS))
        exclusion.add_column(sa.Column("withdrawal", sa.Text()))
        exclusion.drop_constraint(op.f("ck_exclusion_decided"), type_="check")
        exclusion.create_check_constraint(
            op.f("ck_exclusion_decided"), "(stage = 'pending' OR stage = 'withdrawn') = (decider IS NULL)"
        )
        exclusion.create_check_constraint(
            op.f("ck_exclusion_withdrawn"), "(stage = 'withdrawn') = (withdrawn_ms IS NOT NULL)"
        )
    with op.batch_alter_table("contest") as contest:
        contest.add_column(sa.Column("withdrawn_ms", MILLIS))
        contest.add_column(sa.Column("withdrawal", sa.Text()))
        contest.create_check_constraint(op.f("ck_contest_one_end"), "answer IS NULL OR withdrawn_ms IS NULL")


def downgrade() -> None:
    op.execute("DELETE FROM contest WHERE withdrawn_ms IS NOT NULL")
    op.execute(
        "DELETE FROM exclusion_subject WHERE exclusion IN "
        "(SELECT id FROM exclusion WHERE stage = 'withdrawn')"
    )
    op.execute("DELETE FROM exclusion WHERE stage = 'withdrawn'")
    with op.batch_alter_table("contest") as contest:
        contest.drop_constraint(op.f("ck_contest_one_end"), type_="check")
        contest.drop_column("withdrawal")
        contest.drop_column("withdrawn_ms")
    with op.batch_alter_table("exclusion") as exclusion:
        exclusion.drop_constraint(op.f("ck_exclusion_withdrawn"), type_="check")
        exclusion.drop_constraint(op.f("ck_exclusion_decided"), type_="check")
        exclusion.create_check_constraint(
            op.f("ck_exclusion_decided"), "(stage = 'pending') = (decider IS NULL)"
        )
        exclusion.drop_column("withdrawal")
        exclusion.drop_column("withdrawn_ms")
