"""Authorised views: people, requests, grants, overrides, and the append-only register."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)
HASH = sa.LargeBinary(length=32)

REFUSE = "BEGIN SELECT RAISE(ABORT, 'the register is append-only'); END"
IN_ORDER = {
    "register_entry": "NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM register_entry)",
    "register_node": (
        "EXISTS (SELECT 1 FROM register_node WHERE level = NEW.level AND position = NEW.position)"
    ),
    "register_checkpoint": "EXISTS (SELECT 1 FROM register_checkpoint WHERE size >= NEW.size)",
}


def upgrade() -> None:
    people()
    requests()
    register()
    (append_only_sqlite if op.get_bind().dialect.name == "sqlite" else append_only_postgresql)()


def people() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("roles", DOCUMENT, nullable=False),
        sa.Column("password", sa.String(length=300), nullable=True),
        sa.Column("totp", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", MILLIS, nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.Column("disabled_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_user_account_department_department")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("username", name=op.f("uq_user_account_username")),
    )
    op.create_index(op.f("ix_user_account_department"), "user_account", ["department"], unique=False)
    op.create_table(
        "user_session",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("seen_ms", MILLIS, nullable=False),
        sa.Column("expires_ms", MILLIS, nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_user_session_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_session")),
        sa.UniqueConstraint("hash", name=op.f("uq_user_session_hash")),
    )
    op.create_index(op.f("ix_user_session_user_id"), "user_session", ["user_id"], unique=False)


def requests() -> None:
    op.create_table(
        "view_policy",
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("settings", DOCUMENT, nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("tier", name=op.f("pk_view_policy")),
    )
    op.create_table(
        "view_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("applicant", sa.String(length=64), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("terms", DOCUMENT, nullable=False),
        sa.Column("parts", DOCUMENT, nullable=False),
        sa.Column("submitted_ms", MILLIS, nullable=False),
        sa.Column("decide_by_ms", MILLIS, nullable=False),
        sa.Column("undecided", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["applicant"], ["user_account.id"], name=op.f("fk_view_request_applicant_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_view_request_department_department")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_view_request")),
    )
    op.create_index(op.f("ix_view_request_applicant"), "view_request", ["applicant"], unique=False)
    op.create_index(op.f("ix_view_request_department"), "view_request", ["department"], unique=False)
    op.create_index(op.f("ix_view_request_submitted_ms"), "view_request", ["submitted_ms"], unique=False)
    op.create_index(
        "ix_view_request_undecided",
        "view_request",
        ["decide_by_ms"],
        unique=False,
        sqlite_where=sa.text("undecided"),
        postgresql_where=sa.text("undecided"),
    )
    op.create_table(
        "camera_place",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_place_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_place")),
    )
    op.create_table(
        "view_grant",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("applicant", sa.String(length=64), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=True),
        sa.Column("terms", DOCUMENT, nullable=False),
        sa.Column("cameras", DOCUMENT, nullable=False),
        sa.Column("issued_ms", MILLIS, nullable=False),
        sa.Column("starts_ms", MILLIS, nullable=False),
        sa.Column("ends_ms", MILLIS, nullable=False),
        sa.Column("longest_ms", MILLIS, nullable=False),
        sa.Column("revoked_ms", MILLIS, nullable=True),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.Column("revoke_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["applicant"], ["user_account.id"], name=op.f("fk_view_grant_applicant_user_account")
        ),
        sa.ForeignKeyConstraint(["owner"], ["department.id"], name=op.f("fk_view_grant_owner_department")),
        sa.ForeignKeyConstraint(
            ["request"], ["view_request.id"], name=op.f("fk_view_grant_request_view_request")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_view_grant")),
    )
    op.create_index(op.f("ix_view_grant_ends_ms"), "view_grant", ["ends_ms"], unique=False)
    op.create_index(op.f("ix_view_grant_owner"), "view_grant", ["owner"], unique=False)
    op.create_index(op.f("ix_view_grant_request"), "view_grant", ["request"], unique=False)
    op.create_table(
        "grant_user",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_grant_user_user_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["view_grant.id"], name=op.f("fk_grant_user_grant_id_view_grant")
        ),
        sa.PrimaryKeyConstraint("user_id", "grant_id", name=op.f("pk_grant_user")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "view_override",
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("review_by_ms", MILLIS, nullable=False),
        sa.Column("reviewed_by", sa.String(length=64), nullable=True),
        sa.Column("reviewed_ms", MILLIS, nullable=True),
        sa.Column("justified", sa.Boolean(), nullable=True),
        sa.Column("review", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_view_override_department_department")
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["view_grant.id"], name=op.f("fk_view_override_grant_id_view_grant")
        ),
        sa.ForeignKeyConstraint(["owner"], ["department.id"], name=op.f("fk_view_override_owner_department")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_view_override_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_view_override")),
    )
    op.create_index(op.f("ix_view_override_at_ms"), "view_override", ["at_ms"], unique=False)
    op.create_index(op.f("ix_view_override_department"), "view_override", ["department"], unique=False)


def register() -> None:
    op.create_table(
        "register_checkpoint",
        sa.Column("size", MILLIS, autoincrement=False, nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_register_checkpoint")),
    )
    op.create_table(
        "register_entry",
        sa.Column("seq", MILLIS, autoincrement=False, nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("camera_id", sa.String(length=64), nullable=True),
        sa.Column("leaf", HASH, nullable=False),
        sa.Column("link", HASH, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_register_entry_counted")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_register_entry")),
    )
    op.create_index(op.f("ix_register_entry_at_ms"), "register_entry", ["at_ms"], unique=False)
    op.create_index(op.f("ix_register_entry_camera_id"), "register_entry", ["camera_id"], unique=False)
    op.create_index(op.f("ix_register_entry_user_id"), "register_entry", ["user_id"], unique=False)
    op.create_table(
        "register_node",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", MILLIS, autoincrement=False, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_register_node")),
        sqlite_with_rowid=False,
    )


def append_only_sqlite() -> None:
    for table, taken in IN_ORDER.items():
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {REFUSE}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {REFUSE}")
        op.execute(f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} WHEN {taken} {REFUSE}")


def append_only_postgresql() -> None:
    run = "EXECUTE FUNCTION register_append_only()"
    op.execute(
        "CREATE OR REPLACE FUNCTION register_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'the register is append-only'; END$$"
    )
    for table in IN_ORDER:
        op.execute(f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {run}")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {run}")


def downgrade() -> None:
    op.drop_table("view_override")
    op.drop_table("grant_user")
    op.drop_table("view_grant")
    op.drop_table("camera_place")
    op.drop_table("view_request")
    op.drop_table("user_session")
    op.drop_table("user_account")
    op.drop_table("view_policy")
    op.drop_table("register_node")
    op.drop_table("register_entry")
    op.drop_table("register_checkpoint")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION register_append_only()")
