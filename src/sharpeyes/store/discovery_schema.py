"""Tables of discovery: its runs, and the devices that they found."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, String, Table, Text

from sharpeyes.store.schema import ID, NAME, WORD, Document, Millis, metadata

discovery_run = Table(
    # Who searched where, and what came of it. A row without an end at the start of the service was cut short.
    "discovery_run",
    metadata,
    Column("id", ID, primary_key=True),
    Column("started_ms", Millis, nullable=False, index=True),
    Column("ended_ms", Millis),
    Column("started_by", NAME, nullable=False),
    Column("stopped_by", NAME),
    Column("outcome", WORD),  # null while it goes on
    Column("scope", Document, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("to_ask", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("found", Integer, nullable=False),
    Column("enrolled", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("errors", Document, nullable=False),
)

found_device = Table(
    # One row a device, whatever addresses it had. What it told is kept as long as somebody may approve it.
    "found_device",
    metadata,
    Column("id", ID, primary_key=True),
    Column("address", NAME, nullable=False, index=True),  # host:port of the device service, the last it had
    Column("position", String(40), nullable=False, index=True),  # the address, as it is sorted
    Column("xaddr", Text, nullable=False),
    Column("mac", Text, index=True),
    Column("manufacturer", Text),
    Column("model", Text),
    Column("serial", Text),
    Column("endpoint", Text),
    Column("firmware", Text),
    Column("name", Text),
    Column("location", Text),
    Column("fingerprint", String(64)),
    Column("clock_offset_s", Float),
    Column("channels", Integer, nullable=False),
    Column("streams", Integer, nullable=False),
    Column("status", WORD, nullable=False, index=True),
    Column("kind", WORD),  # of what stands in the way
    Column("reason", Text),
    Column("how", WORD, nullable=False),  # it came to be found
    Column("network", Text),  # the declared one whose defaults apply
    Column("run_id", ID, index=True),  # the last that saw it; runs are forgotten sooner than devices
    Column("first_ms", Millis, nullable=False),
    Column("last_ms", Millis, nullable=False, index=True),
    Column("device", ID, ForeignKey("device.id")),
    Column("credential", ID, ForeignKey("credential.id")),
    Column("decided_by", NAME),
    Column("decided_ms", Millis),
    Column("remark", Text),
    Column("told", Document),
)

discovery_sighting = Table(
    # Which devices a run saw; forgotten with the run, or the device.
    "discovery_sighting",
    metadata,
    Column("run_id", ID, primary_key=True),
    Column("found_id", ID, primary_key=True),
    sqlite_with_rowid=False,
)
