"""Tables of faults: what the loop remembers, what hangs from what, tickets, and the outbox."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from sharpeyes.store.schema import ID, WORD, Document, Millis, metadata

fault_watch = Table(
    # What the loop knows of each camera; a copy of camera_state with a memory.
    "fault_watch",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("state", WORD, nullable=False, index=True),
    Column("since_ms", Millis, nullable=False),
    Column("cause", Text),
    Column("at_ms", Millis, nullable=False),
    Column("history", String(21), nullable=False),
    Column("sampled_ms", Millis, nullable=False),
    Column("flapping", Boolean, nullable=False),
    Column("upstream", ID, index=True),
    Column("released_ms", Millis),
    sqlite_with_rowid=False,
)

cause_node = Table(
    "cause_node",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", WORD, nullable=False),
    Column("name", Text, nullable=False),
    Column("parent", ID),  # a node, or device:<id> for a recorder of the registry
    Column("department", ID, ForeignKey("department.id")),
    Column("origin", WORD, nullable=False),
    Column("changed_ms", Millis, nullable=False),
    Column("retired_ms", Millis),
)

cause_edge = Table(
    # What a camera hangs from. A declared edge goes before the camera's device, that before a learned one.
    "cause_edge",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("origin", WORD, primary_key=True),
    Column("node", ID, nullable=False, index=True),
    Column("changed_ms", Millis, nullable=False),
    sqlite_with_rowid=False,
)

cause_episode = Table(
    # Cameras that fell together: what learning learns from.
    "cause_episode",
    metadata,
    Column("zone", ID, ForeignKey("zone.id"), primary_key=True),
    Column("at_ms", Millis, primary_key=True, autoincrement=False),
    Column("cameras", Document, nullable=False),
    sqlite_with_rowid=False,
)

own_outage = Table(
    # When we could not see a zone: not its cameras' fault, unless somebody says that it was real.
    "own_outage",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("zone", ID, ForeignKey("zone.id"), nullable=False),
    Column("reason", WORD, nullable=False),
    Column("since_ms", Millis, nullable=False, index=True),
    Column("noticed_ms", Millis, nullable=False),
    Column("ended_ms", Millis),
    Column("fallen", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("branches", Integer, nullable=False),
    Column("real_ms", Millis),
    Column("real_by", Text),
    Column("remark", Text),
    CheckConstraint("(real_ms IS NULL) = (real_by IS NULL)", name="decided"),
)
Index(
    "uq_own_outage_open",  # one at a time
    own_outage.c.zone,
    unique=True,
    sqlite_where=own_outage.c.ended_ms.is_(None),
    postgresql_where=own_outage.c.ended_ms.is_(None),
)

ticket = Table(
    "ticket",
    metadata,
    Column("id", Millis, primary_key=True),
    Column("scope", WORD, nullable=False),
    Column("subject", ID, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("name", Text, nullable=False),
    Column("severity", WORD, nullable=False),
    Column("stage", WORD, nullable=False),
    Column("cause", Text),
    Column("started_ms", Millis, nullable=False),
    Column("raised_ms", Millis, nullable=False, index=True),
    Column("acknowledge_by_ms", Millis, nullable=False),
    Column("due_ms", Millis, nullable=False),
    Column("tier", WORD),
    Column("department", ID),
    Column("area", ID),
    Column("zone", ID),
    Column("unit", ID, index=True),
    Column("rule", Text),
    Column("acknowledged_ms", Millis),
    Column("handled_ms", Millis),
    Column("recovered_ms", Millis),
    Column("closed_ms", Millis),
    Column("resume", WORD),
    Column("level", Integer, nullable=False),
    Column("overdue_ms", Millis),
    Column("cycle", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("children", Integer, nullable=False),
    Column("evidence", Document),
    CheckConstraint("(closed_ms IS NULL) = (stage NOT IN ('closed', 'voided'))", name="ended"),
    CheckConstraint("stage <> 'closed' OR evidence IS NOT NULL", name="proven"),
)
Index("ix_ticket_closed", ticket.c.closed_ms, ticket.c.id)  # those that are open, in their order
Index("ix_ticket_key", ticket.c.scope, ticket.c.subject, ticket.c.kind, ticket.c.closed_ms)
Index(
    "uq_ticket_open",  # one open ticket for each thing and kind of fault
    ticket.c.scope,
    ticket.c.subject,
    ticket.c.kind,
    unique=True,
    sqlite_where=ticket.c.closed_ms.is_(None),
    postgresql_where=ticket.c.closed_ms.is_(None),
)

ticket_entry = Table(
    # The history of tickets: rows are added, never changed.
    "ticket_entry",
    metadata,
    Column("id", Millis, primary_key=True),
    Column("ticket", Millis, ForeignKey("ticket.id"), nullable=False, index=True),
    Column("at_ms", Millis, nullable=False, index=True),
    Column("move", WORD, nullable=False),
    Column("actor", ID, nullable=False),  # empty for the loop itself
    Column("text", Text, nullable=False),
    Column("attachment", String(512)),
    Column("detail", Document),
)

silence = Table(
    "silence",
    metadata,
    Column("id", ID, primary_key=True),
    Column("scope", WORD),  # null: everything
    Column("subject", ID),
    Column("started_ms", Millis, nullable=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("actor", ID, nullable=False),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
)

outbox = Table(
    # What is to be said, written together with what it is about.
    "outbox",
    metadata,
    Column("seq", Millis, primary_key=True),
    Column("key", String(36), nullable=False, unique=True),
    Column("once", String(300), nullable=False, unique=True),
    Column("recipient", ID, nullable=False),
    Column("ticket", Millis, ForeignKey("ticket.id"), nullable=False, index=True),
    Column("notice", Document, nullable=False),
    Column("created_ms", Millis, nullable=False),
    Column("due_ms", Millis, nullable=False),
    Column("digest", Boolean, nullable=False),
    Column("batch", String(36), index=True),
    Column("state", WORD, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("leased_ms", Millis),
    Column("error", Text),
    Column("sent_ms", Millis, index=True),
)
Index("ix_outbox_state", outbox.c.state, outbox.c.seq)  # those that wait, and the dead, in their order
