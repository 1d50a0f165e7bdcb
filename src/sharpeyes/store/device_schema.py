"""Tables of what devices tell besides their streams: their clocks, and what they report of their scenes."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Table, Text

from sharpeyes.store.schema import ID, WORD, Millis, metadata

device_clock = Table(
    # The open interval of each device's clock, and its last reading.
    "device_clock",
    metadata,
    Column("device_id", ID, ForeignKey("device.id"), primary_key=True),
    Column("state", WORD, nullable=False),
    Column("since_ms", Millis, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Column("read_ms", Millis),
    Column("offset_ms", Millis),  # a clock may be decades off
    Column("uncertainty_ms", Millis),
    Column("why", Text),
    Column("against_ms", Millis),
    sqlite_with_rowid=False,
)

clock_interval = Table(
    # Closed intervals, half-open [started_ms, ended_ms). Those of a camera are those of its device.
    "clock_interval",
    metadata,
    Column("device_id", ID, ForeignKey("device.id"), primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("state", WORD, nullable=False),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    sqlite_with_rowid=False,
)

device_events = Table(
    # How it stands between us and a device's events, so that one without them is left alone after a restart.
    "device_events",
    metadata,
    Column("device_id", ID, ForeignKey("device.id"), primary_key=True),
    Column("status", WORD, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Column("detail", Text),
    Column("retry_ms", Millis),
    sqlite_with_rowid=False,
)

camera_report = Table(
    # What cameras reported of their own scenes: when it began and when it ended, each with an end of its own.
    "camera_report",
    metadata,
    Column("id", Millis, primary_key=True),
    Column("camera_id", ID, ForeignKey("camera.id"), nullable=False, index=True),
    Column("at_ms", Millis, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("topic", Text, nullable=False),
    Column("expires_ms", Millis, nullable=False, index=True),
)
