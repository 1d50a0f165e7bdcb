"""What old entries of the register said may be removed, once that was announced on the register itself."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REFUSE = "BEGIN SELECT RAISE(ABORT, 'the register is append-only'); END"
RAISE = "RAISE EXCEPTION 'the register is append-only'; END$$"
FUNCTION = "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
FORGETS = (
    "NEW.seq = OLD.seq AND NEW.leaf = OLD.leaf AND NEW.link = OLD.link AND length(NEW.body) = 0 "
    "AND NEW.at_ms = 0 AND NEW.kind = 'pruned' AND NEW.user_id IS NULL AND NEW.camera_id IS NULL "
    "AND EXISTS (SELECT 1 FROM register_pruning WHERE upto >= OLD.seq AND before_ms > OLD.at_ms)"
)
ANNOUNCED = (
    "NEW.upto < NEW.seq "
    "AND NOT EXISTS (SELECT 1 FROM register_pruning WHERE seq >= NEW.seq OR upto >= NEW.upto) "
    "AND EXISTS (SELECT 1 FROM register_entry WHERE seq = NEW.seq AND kind = 'retention' "
    "AND at_ms - NEW.before_ms >= 15897600000) "
    "AND EXISTS (SELECT 1 FROM register_checkpoint WHERE size >= NEW.seq)"
)


def upgrade() -> None:
    op.create_table(
        "register_pruning",
        sa.Column("seq", MILLIS, autoincrement=False, nullable=False),
        sa.Column("upto", MILLIS, nullable=False),
        sa.Column("before_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_register_pruning")),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER register_entry_no_update")
        op.execute(
            "CREATE TRIGGER register_entry_no_update BEFORE UPDATE ON register_entry "
            f"WHEN NOT ({FORGETS}) {REFUSE}"
        )
        table = "register_pruning"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {REFUSE}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {REFUSE}")
        op.execute(
            f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} WHEN NOT ({ANNOUNCED}) {REFUSE}"
        )
    else:
        postgresql()


def postgresql() -> None:
    forget = f"IF TG_OP = 'UPDATE' THEN IF {FORGETS} THEN RETURN NEW; END IF; END IF; "
    op.execute(FUNCTION.format("register_forget") + forget + RAISE)
    op.execute(FUNCTION.format("register_announced") + f"IF {ANNOUNCED} THEN RETURN NEW; END IF; " + RAISE)
    op.execute("DROP TRIGGER register_entry_no_change ON register_entry")
    for table, change in (
        ("register_entry", "register_forget"),
        ("register_pruning", "register_append_only"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {change}()"
        )
    op.execute(
        "CREATE TRIGGER register_pruning_no_truncate BEFORE TRUNCATE ON register_pruning "
        "FOR EACH STATEMENT EXECUTE FUNCTION register_append_only()"
    )
    op.execute(
        "CREATE TRIGGER register_pruning_in_order BEFORE INSERT ON register_pruning "
        "FOR EACH ROW EXECUTE FUNCTION register_announced()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER register_entry_no_update")
        op.execute(f"CREATE TRIGGER register_entry_no_update BEFORE UPDATE ON register_entry {REFUSE}")
        op.drop_table("register_pruning")
        return
    op.execute("DROP TRIGGER register_entry_no_change ON register_entry")
    op.execute(
        "CREATE TRIGGER register_entry_no_change BEFORE UPDATE OR DELETE ON register_entry "
        "FOR EACH ROW EXECUTE FUNCTION register_append_only()"
    )
    op.drop_table("register_pruning")
    op.execute("DROP FUNCTION register_forget()")
    op.execute("DROP FUNCTION register_announced()")
