"""Tables of the pictures: how far each camera climbs, what its picture is like, and the evidence."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Table

from sharpeyes.store.schema import ID, WORD, Document, Millis, metadata

rung_interval = Table(
    # How far up the ladder a camera came, half-open [started_ms, ended_ms). Time without a row was not seen.
    # A rung above ``rung`` was not reached, unless ``rung`` = ``asked``: then nobody tried it.
    "rung_interval",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("rung", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    sqlite_with_rowid=False,
)

unsaid_rung = Table(
    # What was seen while an outage of our own is said to have been: it counts if that was real after all.
    "unsaid_rung",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("rung", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    sqlite_with_rowid=False,
)

camera_rung = Table(
    # The open interval of each camera that is seen; it lasts as the one in camera_state does.
    "camera_rung",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("since_ms", Millis, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
    sqlite_with_rowid=False,
)

camera_picture = Table(
    # What the last look at a camera's picture found, and what speaks for or against a fault so far.
    "camera_picture",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("at_ms", Millis, nullable=False),
    Column("found", Document, nullable=False),
    sqlite_with_rowid=False,
)

picture_reference = Table(
    # What is normal for a camera in a mode. Of a version that has been replaced only the row is kept.
    "picture_reference",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("mode", WORD, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("learned_ms", Millis, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("data", LargeBinary),
    Column("retired_ms", Millis),
)

evidence = Table(
    # Files under data_dir/evidence: pictures, hence each with an end.
    "evidence",
    metadata,
    Column("id", ID, primary_key=True),  # the file's name: random, so that it tells nothing
    Column("camera_id", ID, ForeignKey("camera.id"), nullable=False, index=True),
    Column("at_ms", Millis, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("mode", WORD),
    Column("bytes", Integer, nullable=False),
    Column("expires_ms", Millis, nullable=False, index=True),
)

probe_record = Table(
    # Probes worth keeping, with all that was seen on the way.
    "probe_record",
    metadata,
    Column("camera_id", ID, ForeignKey("camera.id"), primary_key=True),
    Column("at_ms", Millis, primary_key=True, autoincrement=False),
    Column("ok", Boolean, nullable=False),
    Column("found", Document, nullable=False),
    Column("still", ID),
    Column("expires_ms", Millis, nullable=False, index=True),
    sqlite_with_rowid=False,
)
