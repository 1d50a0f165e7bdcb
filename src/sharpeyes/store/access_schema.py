"""Tables of authorised views: people, requests, grants, overrides, and the register of all that was done.

They belong to the one schema (see ``schema``). The register's tables are append-only: triggers, made by the
migration, refuse every update, delete and insertion out of order, but for one: what an entry said may be
taken out once its removal was announced on the register and signed. (A later migration that has SQLite write
one of them anew must make its triggers anew as well.)
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from sharpeyes.store.schema import ID, WORD, Document, Millis, metadata

HASH = LargeBinary(32)
"""A SHA-256 hash."""

ADDRESS = String(45)
"""An IP address in text."""

# --- people -------------------------------------------------------------------------------------------

user = Table(
    "user_account",
    metadata,
    Column("id", ID, primary_key=True),
    Column("username", Text, nullable=False, unique=True),  # case-folded
    Column("name", Text, nullable=False),
    Column("department", ID, ForeignKey("department.id"), nullable=False, index=True),
    Column("roles", Document, nullable=False),
    Column("password", String(300)),  # argon2id in its encoded form; null: this account has no password
    Column("totp", LargeBinary),  # sealed, see store/vault.py
    Column("totp_step", Millis, nullable=False),  # last step used: a code opens once
    Column("issuer", Text),  # who vouches for this user at single sign-on ...
    Column("issuer_subject", Text),  # ... and under which name that never changes
    Column("created_ms", Millis, nullable=False),
    Column("changed_ms", Millis, nullable=False),
    Column("disabled_ms", Millis),
    Column("keyed_by", ID),  # the administrator who gave it its password and may know it; null: nobody else
    UniqueConstraint("issuer", "issuer_subject"),
)

user_session = Table(
    "user_session",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("user_account.id"), nullable=False, index=True),
    Column("hash", HASH, nullable=False, unique=True),  # of the token; the token is not kept
    Column("created_ms", Millis, nullable=False),
    Column("seen_ms", Millis, nullable=False),
    Column("expires_ms", Millis, nullable=False),
    Column("address", ADDRESS, nullable=False),
    Column("client", Text, nullable=False),
    Column("ended_ms", Millis),
    Column("lapsed_ms", Millis, index=True),  # when it was first seen that its time is over
)

# --- rules --------------------------------------------------------------------------------------------

view_policy = Table(
    # What differs from the defaults of access/policy.py, by the names used there.
    "view_policy",
    metadata,
    Column("tier", WORD, primary_key=True),
    Column("settings", Document, nullable=False),
    Column("changed_ms", Millis, nullable=False),
)

camera_place = Table(
    # Where a camera stands, if the law has a word for it; no row: an open place.
    "camera_place",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("place", WORD, nullable=False),
)

camera_mask = Table(
    # Polygons that are painted over before anybody sees the camera's picture; no row: none.
    "camera_mask",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("masks", Document, nullable=False),
)

# --- requests and grants ------------------------------------------------------------------------------

view_request = Table(
    "view_request",
    metadata,
    Column("id", ID, primary_key=True),
    Column("applicant", ID, ForeignKey("user_account.id"), nullable=False, index=True),
    Column("department", ID, ForeignKey("department.id"), nullable=False, index=True),
    Column("terms", Document, nullable=False),
    Column("parts", Document, nullable=False),
    Column("submitted_ms", Millis, nullable=False, index=True),
    Column("decide_by_ms", Millis, nullable=False),
    Column("undecided", Boolean, nullable=False),
)
Index(
    "ix_view_request_undecided",
    view_request.c.decide_by_ms,
    sqlite_where=view_request.c.undecided,
    postgresql_where=view_request.c.undecided,
)

view_grant = Table(
    "view_grant",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", ID, ForeignKey("department.id"), nullable=False, index=True),
    Column("applicant", ID, ForeignKey("user_account.id"), nullable=False),
    Column("request", ID, ForeignKey("view_request.id"), index=True),
    Column("terms", Document, nullable=False),
    Column("cameras", Document, nullable=False),
    Column("issued_ms", Millis, nullable=False),
    Column("starts_ms", Millis, nullable=False),
    Column("ends_ms", Millis, nullable=False, index=True),  # the earlier of its period's end and revocation
    Column("longest_ms", Millis, nullable=False),
    Column("revoked_ms", Millis),
    Column("revoked_by", ID),
    Column("revoke_reason", Text),
    Column("lapsed_ms", Millis),  # when it was first seen that its end is past
    Index("ix_view_grant_lapsed_ms_ends_ms", "lapsed_ms", "ends_ms"),
)

grant_user = Table(
    # Which grants name a user: what an ask to watch looks up.
    "grant_user",
    metadata,
    Column("user_id", ID, ForeignKey("user_account.id"), primary_key=True),
    Column("grant_id", ID, ForeignKey("view_grant.id"), primary_key=True),
    sqlite_with_rowid=False,
)

view_override = Table(
    "view_override",
    metadata,
    Column("grant_id", ID, ForeignKey("view_grant.id"), primary_key=True),
    Column("user_id", ID, ForeignKey("user_account.id"), nullable=False),
    Column("department", ID, ForeignKey("department.id"), nullable=False, index=True),
    Column("owner", ID, ForeignKey("department.id"), nullable=False),
    Column("at_ms", Millis, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("review_by_ms", Millis, nullable=False),
    Column("reviewed_by", ID),
    Column("reviewed_ms", Millis),
    Column("justified", Boolean),
    Column("review", Text),
)

# --- the register -------------------------------------------------------------------------------------

register_entry = Table(
    "register_entry",
    metadata,
    Column("seq", Millis, primary_key=True, autoincrement=False),  # 1, 2, 3, ... without a gap
    Column("at_ms", Millis, nullable=False, index=True),
    Column("kind", WORD, nullable=False),
    Column("user_id", ID, index=True),
    Column("camera_id", ID, index=True),
    Column("leaf", HASH, nullable=False),  # of the body
    Column("link", HASH, nullable=False),  # of the link before and this leaf
    Column(
        "body", LargeBinary, nullable=False
    ),  # canonical JSON, see access/register/entry.py; empty: removed
    CheckConstraint("seq >= 1", name="counted"),
)

register_node = Table(
    # The inner nodes of the Merkle tree; its leaves are register_entry.leaf.
    "register_node",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", Millis, primary_key=True, autoincrement=False),
    Column("hash", HASH, nullable=False),
    sqlite_with_rowid=False,
)

register_checkpoint = Table(
    "register_checkpoint",
    metadata,
    Column("size", Millis, primary_key=True, autoincrement=False),
    Column("at_ms", Millis, nullable=False),
    Column("note", Text, nullable=False),
)

register_pruning = Table(
    # What entries said before an instant is removed, their hashes stay: announced by entry ``seq``.
    "register_pruning",
    metadata,
    Column("seq", Millis, primary_key=True, autoincrement=False),
    Column("upto", Millis, nullable=False),  # number of the last entry that goes
    Column("before_ms", Millis, nullable=False),
)

# What the application never does is refused by the database too: to alter the register, somebody must first
# take the triggers away, and then the hashes still tell.

SHORTEST_KEEP_DAYS = 184
"""Six months, as the law wants them at the least; in ms, the number that the triggers know."""

PRUNED = "pruned"
"""The kind of an entry whose words were removed."""

_FORGETS = (
    "NEW.seq = OLD.seq AND NEW.leaf = OLD.leaf AND NEW.link = OLD.link AND length(NEW.body) = 0 "
    "AND NEW.at_ms = 0 AND NEW.kind = 'pruned' AND NEW.user_id IS NULL AND NEW.camera_id IS NULL "
    "AND EXISTS (SELECT 1 FROM register_pruning WHERE upto >= OLD.seq AND before_ms > OLD.at_ms)"
)
_ANNOUNCED = (
    "NEW.upto < NEW.seq "
    "AND NOT EXISTS (SELECT 1 FROM register_pruning WHERE seq >= NEW.seq OR upto >= NEW.upto) "
    "AND EXISTS (SELECT 1 FROM register_entry WHERE seq = NEW.seq AND kind = 'retention' "
    "AND at_ms - NEW.before_ms >= 15897600000) "
    "AND EXISTS (SELECT 1 FROM register_checkpoint WHERE size >= NEW.seq)"
)


def _sqlite(table: str) -> list[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the register is append-only'); END"
    unless = f"WHEN NOT ({_FORGETS}) " if table == "register_entry" else ""
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {unless}{refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} WHEN {_OUT_OF_ORDER[table]} {refuse}",
    ]


def _postgresql(table: str) -> list[str]:
    run = "EXECUTE FUNCTION register_append_only()"
    change = "EXECUTE FUNCTION register_forget()" if table == "register_entry" else run
    made = [
        _function("register_append_only", ""),
        _function(
            "register_forget", f"IF TG_OP = 'UPDATE' THEN IF {_FORGETS} THEN RETURN NEW; END IF; END IF; "
        ),
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {change}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {run}",
    ]
    if table == "register_pruning":
        made += [
            _function("register_announced", f"IF {_ANNOUNCED} THEN RETURN NEW; END IF; "),
            f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION register_announced()",
        ]
    return made


def _function(name: str, unless: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN {unless}RAISE EXCEPTION 'the register is append-only'; END$$"
    )


# INSERT OR REPLACE removes rows without asking the triggers above, hence one that asks before the insert.
_OUT_OF_ORDER = {
    "register_entry": "NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM register_entry)",
    "register_node": (
        "EXISTS (SELECT 1 FROM register_node WHERE level = NEW.level AND position = NEW.position)"
    ),
    "register_checkpoint": "EXISTS (SELECT 1 FROM register_checkpoint WHERE size >= NEW.size)",
    "register_pruning": f"NOT ({_ANNOUNCED})",
}

for _table in (register_entry, register_node, register_checkpoint, register_pruning):
    for _dialect, _make in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        for _statement in _make(_table.name):
            _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
            event.listen(_table, "after_create", _ddl.execute_if(dialect=_dialect))
