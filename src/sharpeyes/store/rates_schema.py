"""Tables of the rates: roll-ups of days, exclusions, contested intervals, reports given out, the archive."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from sharpeyes.store.schema import ID, WORD, Document, Millis, metadata

rollup_day = Table(
    # The days of the site's time zone that were added up, half-open. What changes a day afterwards counts its
    # revision up and takes computed_ms away: until it is added up anew, its figures are not used.
    "rollup_day",
    metadata,
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("computed_ms", Millis),
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
)

day_rollup = Table(
    # One camera on one day. They stay for ever, so there is no more in them than is needed.
    "day_rollup",
    metadata,
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("camera_id", ID, primary_key=True),
    Column("member_ms", Millis, nullable=False),
    Column("online_ms", Millis, nullable=False),
    Column("degraded_ms", Millis, nullable=False),
    Column("offline_ms", Millis, nullable=False),
    Column("unknown_ms", Millis, nullable=False),
    Column("maintenance_ms", Millis, nullable=False),
    Column("excluded_ms", Millis, nullable=False),
    Column("excluded_online_ms", Millis, nullable=False),
    Column("excluded_offline_ms", Millis, nullable=False),
    Column("present", Boolean, nullable=False),  # a member at the end of the day
    Column("last", WORD),  # its state then, null for none
    sqlite_with_rowid=False,
)

group_day = Table(
    # All cameras of one key on one day. Areas by themselves, without those below them.
    "group_day",
    metadata,
    Column("dimension", WORD, primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("key", ID, primary_key=True),
    Column("cameras", Integer, nullable=False),
    Column("member_ms", Millis, nullable=False),
    Column("online_ms", Millis, nullable=False),
    Column("degraded_ms", Millis, nullable=False),
    Column("offline_ms", Millis, nullable=False),
    Column("unknown_ms", Millis, nullable=False),
    Column("maintenance_ms", Millis, nullable=False),
    Column("excluded_ms", Millis, nullable=False),
    Column("excluded_online_ms", Millis, nullable=False),
    Column("excluded_offline_ms", Millis, nullable=False),
    Column("head_total", Integer, nullable=False),  # at the end of the day
    Column("head_online", Integer, nullable=False),
    Column("head_degraded", Integer, nullable=False),
    Column("head_offline", Integer, nullable=False),
    Column("head_unknown", Integer, nullable=False),
    Column("head_maintenance", Integer, nullable=False),
    sqlite_with_rowid=False,
)

rung_day = Table(
    # How far up the ladder one camera came on one day: only what there was, mostly one row. ``untried``:
    # above ``rung`` nobody tried. ``clock``: how its own clock went meanwhile (store/rungs.py).
    "rung_day",
    metadata,
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("camera_id", ID, primary_key=True),
    Column("rung", Integer, primary_key=True, autoincrement=False),
    Column("untried", Boolean, primary_key=True),
    Column("clock", WORD, primary_key=True),
    Column("ms", Millis, nullable=False),
    sqlite_with_rowid=False,
)

group_rung_day = Table(
    # The same of all cameras of one key.
    "group_rung_day",
    metadata,
    Column("dimension", WORD, primary_key=True),
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("key", ID, primary_key=True),
    Column("rung", Integer, primary_key=True, autoincrement=False),
    Column("untried", Boolean, primary_key=True),
    Column("clock", WORD, primary_key=True),
    Column("ms", Millis, nullable=False),
    sqlite_with_rowid=False,
)

rollup_month = Table(
    # Months whose days were added up by camera, so far: from the first day to ``ended_ms``. They hold while
    # the revisions of these days still come to the same sum.
    "rollup_month",
    metadata,
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("ended_ms", Millis, nullable=False),
    Column("revisions", Integer, nullable=False),
)

camera_month = Table(
    # What cameras are put in order by, worst first, without reading each of their days.
    "camera_month",
    metadata,
    Column("started_ms", Millis, primary_key=True, autoincrement=False),
    Column("camera_id", ID, primary_key=True),
    Column("online_ms", Millis, nullable=False),  # degraded time included
    Column("offline_ms", Millis, nullable=False),
    sqlite_with_rowid=False,
)

exclusion = Table(
    # Time that the adjusted rate leaves out. Raw figures know nothing of it.
    "exclusion",
    metadata,
    Column("id", ID, primary_key=True),
    Column("stage", WORD, nullable=False),
    Column("scope", WORD, nullable=False),
    Column("started_ms", Millis, nullable=False),
    Column("ended_ms", Millis, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("applicant", Text, nullable=False),
    Column("department", ID),  # that the applicant belongs to
    Column("applied_ms", Millis, nullable=False),
    Column("decider", Text),
    Column("decided_ms", Millis),
    Column("remark", Text),
    Column("revoker", Text),
    Column("revoked_ms", Millis),
    Column("withdrawn_ms", Millis),  # by the applicant, before anybody decided
    Column("withdrawal", Text),  # why
    CheckConstraint("ended_ms > started_ms", name="not_empty"),
    CheckConstraint("decider <> applicant", name="two_people"),
    CheckConstraint("(stage = 'pending' OR stage = 'withdrawn') = (decider IS NULL)", name="decided"),
    CheckConstraint("(stage = 'withdrawn') = (withdrawn_ms IS NOT NULL)", name="withdrawn"),
)

exclusion_subject = Table(
    "exclusion_subject",
    metadata,
    Column("exclusion", ID, ForeignKey("exclusion.id"), primary_key=True),
    Column("subject", ID, primary_key=True),  # a camera, area, department or tier, by the scope
    sqlite_with_rowid=False,
)

contest = Table(
    # What a department says against an interval, and the answer. Neither is ever changed.
    "contest",
    metadata,
    Column("id", ID, primary_key=True),
    Column("camera_id", ID, ForeignKey("camera.id"), nullable=False),
    Column("started_ms", Millis, nullable=False),  # with the camera it names the interval
    Column("ended_ms", Millis),  # as it was when it was contested; null: it lasted
    Column("state", WORD, nullable=False),
    Column("cause", WORD),
    Column("department", ID, nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at_ms", Millis, nullable=False, index=True),
    Column("outcome", WORD),
    Column("answer", Text),
    Column("answered_by", Text),
    Column("answered_ms", Millis),
    Column("withdrawn_ms", Millis),  # by the author, before anybody answered
    Column("withdrawal", Text),  # why
    CheckConstraint("(answer IS NULL) = (answered_ms IS NULL)", name="answered"),
    CheckConstraint("answer IS NULL OR withdrawn_ms IS NULL", name="one_end"),
)
Index("ix_contest_interval", contest.c.camera_id, contest.c.started_ms)

report_issued = Table(
    # Reports that were given out, by the digest of their bytes.
    "report_issued",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("at_ms", Millis, nullable=False, index=True),
    Column("manifest", Document, nullable=False),
)

report_made = Table(
    # Reports on the list: those that wait, those whose files are here, and those whose files had to go.
    "report_made",
    metadata,
    Column("id", ID, primary_key=True),
    Column("label", WORD, nullable=False),
    Column("every", WORD, nullable=False),
    Column("dimension", WORD, nullable=False),
    Column("lang", WORD, nullable=False),
    Column("author", Text),  # null: by a schedule
    Column("asked_ms", Millis, nullable=False, index=True),
    Column("made_ms", Millis),
    Column("stage", WORD, nullable=False),
    Column("formats", Document, nullable=False),
    Column("files", Document, nullable=False),  # form, name, bytes, sha256 of each that is made
    Column("mailed", Document, nullable=False),  # recipients that got it by e-mail
    Column("problem", Text),
    Column("department", ID),  # null: of the whole site
)

report_schedule = Table(
    # Reports that are to be made again and again, beside those of the settings.
    "report_schedule",
    metadata,
    Column("id", ID, primary_key=True),
    Column("every", WORD, nullable=False),
    Column("dimension", WORD, nullable=False),
    Column("lang", WORD, nullable=False),
    Column("formats", Document, nullable=False),
    Column("recipients", Document, nullable=False),
    Column("author", Text, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Column("department", ID),  # null: of the whole site
)

archived = Table(
    # Files that old intervals went to, and up to when nothing is left here.
    "archived",
    metadata,
    Column("file", String(200), primary_key=True),
    Column("until_ms", Millis, nullable=False, index=True),
    Column("rows", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("at_ms", Millis, nullable=False),
)
