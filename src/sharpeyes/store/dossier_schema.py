"""Tables around the registry: dossiers, what was set by hand, boundaries, saved views, the shift log."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from sharpeyes.store.schema import ID, WORD, Document, Millis, metadata

dossier = Table(
    # What is kept of a camera besides what the registry works with: see domain/dossier.py.
    "dossier",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("manufacturer", Text),
    Column("region", Text),
    Column("point_type", WORD),
    Column("model", Text),
    Column("alias", Text),
    Column("ipv4", Text, index=True),
    Column("ipv6", Text),
    Column("mac", Text),
    Column("camera_type", Text),
    Column("function_type", Text),
    Column("fill_light", Text),
    Column("encoding", Text),
    Column("address", Text),
    Column("longitude", Float),
    Column("latitude", Float, index=True),
    Column("place_type", Text),
    Column("direction", Text),
    Column("networked", WORD),
    Column("police_unit", Text),
    Column("installed", String(10)),
    Column("keeper", Text),
    Column("contact", Text),
    Column("retention_days", Integer),
    Column("status", WORD),
    Column("industry", Text),
    Column("filing_number", Text),
    Column("filing_date", String(10)),
    Column("sign", Text),
    Column("changed_ms", Millis, nullable=False),
)

camera_edited = Table(
    # Fields of a camera that somebody set by hand or by a dossier: a network's defaults leave them alone.
    "camera_edited",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("field", WORD, primary_key=True),
    sqlite_with_rowid=False,
)

area_boundary = Table(
    "area_boundary",
    metadata,
    Column("area", ID, ForeignKey("area.id"), primary_key=True),
    Column("geometry", Document, nullable=False),  # a GeoJSON Polygon or MultiPolygon
)

import_map = Table(
    # How the files of one source are read: columns, codes, defaults.
    "import_map",
    metadata,
    Column("name", ID, primary_key=True),
    Column("map", Document, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_ms", Millis, nullable=False),
)

staged_import = Table(
    # An import on its way into the registry: once it is decided, all of it is written, in however many steps.
    "staged_import",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at_ms", Millis, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided", Boolean, nullable=False),
)

staged_row = Table(
    "staged_row",
    metadata,
    Column("import_id", ID, ForeignKey("staged_import.id"), primary_key=True),
    Column("seq", Millis, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON, see registry/staged.py; goes when it is written
)

saved_view = Table(
    # A list's filters, kept under a name by one person.
    "saved_view",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("user_account.id"), nullable=False, index=True),
    Column("page", WORD, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("created_ms", Millis, nullable=False),
)

shift = Table(
    # Duty in a monitoring room: from taking over until somebody else has signed for it.
    "shift",
    metadata,
    Column("id", ID, primary_key=True),
    Column("department", ID, ForeignKey("department.id"), nullable=False),
    Column("started_ms", Millis, nullable=False),
    Column("operators", Document, nullable=False),  # ids of users
    Column("ended_ms", Millis),
    Column("ended_by", ID),
    Column("summary", Document),  # as it was when the shift ended
    Column("signed_ms", Millis),
    Column("signed_by", ID),
    Column("remark", Text),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    CheckConstraint("(ended_ms IS NULL) = (summary IS NULL)", name="summed_up"),
    CheckConstraint("signed_by <> ended_by", name="two_people"),
)
Index("ix_shift_department", shift.c.department, shift.c.started_ms)
Index(
    "uq_shift_open",  # one shift at a time in a room
    shift.c.department,
    unique=True,
    sqlite_where=shift.c.ended_ms.is_(None),
    postgresql_where=shift.c.ended_ms.is_(None),
)

shift_note = Table(
    # Rows are added, never changed.
    "shift_note",
    metadata,
    Column("id", Millis, primary_key=True),
    Column("shift", ID, ForeignKey("shift.id"), nullable=False, index=True),
    Column("at_ms", Millis, nullable=False),
    Column("author", ID, nullable=False),
    Column("text", Text, nullable=False),
)
