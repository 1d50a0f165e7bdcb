"""Every table of SharpEyes, once for SQLite and PostgreSQL.

Columns that end in ``_ms`` are integer milliseconds of UTC (:data:`sharpeyes.domain.time.Ms`). Columns that
name another row (``department``, ``device``, ...) hold its id under the word that the domain uses for it, so
that a row and its frozen value read alike. Enums are stored by their value.

Nothing that history refers to is ever deleted: what has gone is marked with ``retired_ms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

T = TypeVar("T")

CHUNK = 500
"""Values in one ``IN``: within every database's limit of bound parameters."""


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of at most :data:`CHUNK`."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name on every database, so that a migration can change it."""

metadata = MetaData(naming_convention=NAMES)

Millis = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere; on SQLite an ``INTEGER`` holds them, and only that word makes a rowid key."""

Document = JSON(none_as_null=True)

ID = String(64)
NAME = Text()
"""Words of people and devices: whoever reads them in bounds them."""
WORD = String(32)
"""The value of an enum."""


# --- who owns cameras and where they stand ------------------------------------------------------------

tier_policy = Table(
    "tier_policy",
    metadata,
    Column("tier", WORD, primary_key=True),
    Column("target", Float, nullable=False),
    Column("liveness_s", Float, nullable=False),
    Column("quality_s", Float, nullable=False, default=300.0),
)

department = Table(
    "department",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("industry", String(2)),
    Column("retired_ms", Millis),
    Column("name_en", Text),
    Column("contact", Text),
)

area = Table(
    "area",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("parent", ID, ForeignKey("area.id")),
    Column("code", String(8)),
    Column("retired_ms", Millis),
    Column("name_en", Text),
    Column("target", Float),
)

online_target = Table(
    # From when on which rate was to be reached: past periods are held to the target of their time.
    "online_target",
    metadata,
    Column("dimension", WORD, primary_key=True),  # tier, area
    Column("subject", ID, primary_key=True),
    Column("since_ms", Millis, primary_key=True, autoincrement=False),
    Column("target", Float),  # null: none of its own from then on
)

setting = Table(
    # What the console says beside cameras.yaml or instead of it: see registry/settings.py.
    "setting",
    metadata,
    Column("kind", WORD, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("said", Document, nullable=False),  # field -> value
    Column("made", Boolean, nullable=False),  # in the console; else it changes what the file declares
    Column("version", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sealed", LargeBinary),  # its secrets, see store/vault.py
)

zone = Table(
    "zone",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("network", String(1), nullable=False),
    Column("retired_ms", Millis),
)

# --- cameras and what they sit in ---------------------------------------------------------------------

credential = Table(
    "credential",
    metadata,
    Column("id", ID, primary_key=True),
    Column("username", Text, nullable=False),
    Column("allow_basic", Boolean, nullable=False, server_default=false()),
    Column("sealed", LargeBinary),  # see store/vault.py; null: declared, but no password was given yet
    Column("changed_ms", Millis, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("id", ID, primary_key=True),
    Column("mac", Text, index=True),
    Column("manufacturer", Text),
    Column("model", Text),
    Column("serial", Text),
    Column("endpoint", Text),
    Column("address", Text, index=True),  # host:port of the device service
    Column("xaddr", Text),
    Column("firmware", Text),
    Column("session_limit", Integer, nullable=False),
    Column("fingerprint", String(64)),  # SHA-256 of its TLS certificate, pinned on first use
    Column("credential", ID, ForeignKey("credential.id")),
    Column("created_ms", Millis, nullable=False),
    Column("changed_ms", Millis, nullable=False),
    Column("retired_ms", Millis),
)

camera = Table(
    "camera",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tier", WORD, nullable=False, index=True),
    Column("department", ID, ForeignKey("department.id"), nullable=False, index=True),
    Column("area", ID, ForeignKey("area.id"), nullable=False, index=True),
    Column("zone", ID, ForeignKey("zone.id"), nullable=False, index=True),
    Column("origin", WORD, nullable=False),
    Column("code", String(20), unique=True),  # of a retired camera too: a number is never given twice
    Column("device", ID, ForeignKey("device.id"), index=True),
    Column("channel", Text),
    Column("snapshot_url", Text),
    Column("credential", ID, ForeignKey("credential.id"), index=True),
    Column("transport", WORD, nullable=False),
    Column("liveness_s", Float),
    Column("quality_s", Float),
    Column("maintenance", Boolean, nullable=False),
    Column("tags", Document, nullable=False),
    Column("created_ms", Millis, nullable=False),
    Column("changed_ms", Millis, nullable=False),
    Column("retired_ms", Millis),
)

stream = Table(
    "stream",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("role", WORD, primary_key=True),
    Column("url", Text, nullable=False),
    Column("codec", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("fps", Float),
    Column("profile", Text),
    sqlite_with_rowid=False,
)

membership = Table(
    # The history of a camera's dimensions: where it counted, and when. Half-open [started_ms, ended_ms).
    "membership",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis),  # null while it lasts
    Column("tier", WORD, nullable=False),
    Column("department", ID, ForeignKey("department.id"), nullable=False),
    Column("area", ID, ForeignKey("area.id"), nullable=False),
    Column("zone", ID, ForeignKey("zone.id"), nullable=False),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    sqlite_with_rowid=False,
)
Index(
    "uq_membership_open",  # a camera counts in one place at a time
    membership.c.camera_id,
    unique=True,
    sqlite_where=membership.c.ended_ms.is_(None),
    postgresql_where=membership.c.ended_ms.is_(None),
)

# --- what was observed --------------------------------------------------------------------------------

camera_state = Table(
    # The open interval of each camera, and what the judge remembers between two probes.
    "camera_state",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("state", WORD, nullable=False),
    Column("since_ms", Millis, nullable=False),
    Column("cause", WORD),
    Column("seen_state", WORD),  # what the probes alone say, where we know better: see store/own_outages.py
    Column("seen_cause", WORD),
    Column("observed_ms", Millis),
    Column("fails", Integer, nullable=False, default=0),
    Column("passes", Integer, nullable=False, default=0),
    Column("streak_ms", Millis),
    Column("last_probe", Document),
    sqlite_with_rowid=False,
)

state_interval = Table(
    # Closed intervals, half-open [started_ms, ended_ms).
    "state_interval",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("state", WORD, nullable=False),
    Column("cause", WORD),
    Column("seen_state", WORD),  # what the probes alone said, where we know better
    Column("seen_cause", WORD),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    sqlite_with_rowid=False,  # clustered by camera and time, as it is read
)

heartbeat = Table(
    # When each role of the service was last seen alive: the gap after a crash is unknown, not offline.
    "heartbeat",
    metadata,
    Column("role", WORD, primary_key=True),
    Column("at_ms", Millis, nullable=False),
)

# --- who may ask, and what happened -------------------------------------------------------------------

api_token = Table(
    "api_token",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of the token; the token is not kept
    Column("scopes", Document, nullable=False),
    Column("owner", ID),  # the user who made it, or whose token did; none: that of the first start
    Column("created_ms", Millis, nullable=False),
    Column("expires_ms", Millis),
    Column("last_used_ms", Millis),
    Column("revoked_ms", Millis),
    Column("lapsed_ms", Millis),  # when it was first seen that it has expired
)

event = Table(
    # The journal of the registry: rows are added, never changed.
    "event",
    metadata,
    Column("id", Millis, primary_key=True),
    Column("at_ms", Millis, nullable=False, index=True),
    Column("kind", WORD, nullable=False),
    Column("subject", ID, nullable=False, index=True),
    Column("message", Text, nullable=False),
    Column("detail", Document),
)
Index("ix_event_kind", event.c.kind, event.c.id)  # a kind's lines, the newest first
