"""Reports: the list of those that were made, the schedules beside the settings, and the manifests of all that
were given out, by the digest of their bytes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from sharpeyes.domain.errors import ConflictError, LimitError, NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.database import upsert
from sharpeyes.store.rates_schema import report_issued, report_made, report_schedule
from sharpeyes.store.schema import chunks

MOST_SCHEDULES = 50
MOST_WAITING = 3
"""Reports of one person, or token, that are not made yet."""
MOST_WAITING_ALL = 20
CUT_SHORT = "the service stopped while this was made"
CLOCK_AHEAD = "our own clock was ahead: it is made anew when its time is over"


def put_manifest(connection: Connection, manifest: Mapping[str, Any], *, now: Ms) -> None:
    row = {"sha256": manifest["sha256"], "at_ms": now, "manifest": dict(manifest)}
    connection.execute(upsert(connection, report_issued, ("sha256",)), row)


def get_manifest(connection: Connection, sha256: str) -> dict[str, Any]:
    """NotFoundError if no report of these bytes was given out."""
    found: dict[str, Any] | None = connection.scalar(
        select(report_issued.c.manifest).where(report_issued.c.sha256 == sha256.lower())
    )
    if found is None:
        raise NotFoundError(
            "no report with this digest was given out here",
            mend="One that was given out longer ago than the register reaches back is forgotten",
        )
    return found


def forget_manifests(connection: Connection, before: Ms) -> int:
    """Those of reports that were given out before and are not on the list any more; how many."""
    old = list(connection.scalars(select(report_issued.c.sha256).where(report_issued.c.at_ms < before)))
    if not old:
        return 0
    listed = {file["sha256"] for made in list_made(connection) for file in made.files}
    gone = [digest for digest in old if digest not in listed]
    for some in chunks(gone):
        connection.execute(delete(report_issued).where(report_issued.c.sha256.in_(some)))
    return len(gone)


# --- the list -------------------------------------------------------------------------------------------


class ReportStage(StrEnum):
    """How far a report is."""

    WAITING = "waiting"
    GATHERING = "gathering"
    """Its figures are read."""
    WRITING = "writing"
    """Its files are written, one after another."""
    MADE = "made"
    FAILED = "failed"
    REMOVED = "removed"
    """There were too many: its files are gone, their manifests are not."""


UNDER_WAY = (ReportStage.WAITING, ReportStage.GATHERING, ReportStage.WRITING)


class File(TypedDict):
    """One format of a report; ``name`` is a file of the reports' folder."""

    form: str
    name: str
    bytes: int
    sha256: str


class Made(NamedTuple):
    """A report on the list; its columns in their order."""

    id: str
    label: str
    every: str
    by: str
    lang: str
    author: str | None
    """Who asked for it; None: a schedule."""
    asked: Ms
    made: Ms | None
    stage: ReportStage
    formats: Sequence[str]
    files: Sequence[File]
    mailed: Sequence[str]
    problem: str | None
    department: str | None = None
    """The one that it is on; None: the whole site."""

    @property
    def bytes(self) -> int:
        return sum(file["bytes"] for file in self.files)


def _made(row: Any) -> Made:
    found = Made(*row)
    return found._replace(stage=ReportStage(found.stage))


def ask_for(
    connection: Connection,
    *,
    label: str,
    every: str,
    by: str,
    lang: str,
    formats: Sequence[str],
    author: str | None,
    now: Ms,
    department: str | None = None,
) -> Made:
    """Put a report on the list, to be made. LimitError if too many wait already."""
    r = report_made.c
    if author is not None:
        query = select(r.author, func.count()).where(r.stage.in_(UNDER_WAY), r.author.is_not(None))
        waiting = {str(row[0]): int(row[1]) for row in connection.execute(query.group_by(r.author))}
        if waiting.get(author, 0) >= MOST_WAITING or sum(waiting.values()) >= MOST_WAITING_ALL:
            raise LimitError(
                f"{waiting.get(author, 0)} reports of yours wait to be made, {sum(waiting.values())} in all",
                mend="Wait until one of them is made",
            )
    made = Made(
        id=secrets.token_hex(8),
        label=label,
        every=every,
        by=by,
        lang=lang,
        author=author,
        asked=now,
        made=None,
        stage=ReportStage.WAITING,
        formats=list(formats),
        files=[],
        mailed=[],
        problem=None,
        department=department,
    )
    put_made(connection, made)
    return made


def put_made(connection: Connection, made: Made) -> None:
    connection.execute(insert(report_made).values(made))


def get_made(connection: Connection, key: str) -> Made:
    """NotFoundError if there is none of this id."""
    row = connection.execute(select(report_made).where(report_made.c.id == key)).first()
    if row is None:
        raise NotFoundError(
            "there is no such report", mend="Reports that were removed long ago are forgotten"
        )
    return _made(row)


def scheduled(connection: Connection, label: str, by: str, lang: str, department: str | None) -> Made | None:
    """The report of a schedule on this period, if there is one on the list."""
    r = report_made.c
    row = connection.execute(
        select(report_made).where(
            r.label == label,
            r.dimension == by,
            r.lang == lang,
            r.department.is_not_distinct_from(department),
            r.author.is_(None),
        )
    ).first()
    return None if row is None else _made(row)


def list_made(
    connection: Connection, *, scheduled: bool = False, limit: int | None = None, offset: int = 0
) -> list[Made]:
    """Newest first. ``scheduled``: only those that no person asked for."""
    r = report_made.c
    query = select(report_made).order_by(r.asked_ms.desc(), r.id).limit(limit).offset(offset)
    if scheduled:
        query = query.where(r.author.is_(None))
    return [_made(row) for row in connection.execute(query)]


def count_made(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(report_made)) or 0


def next_waiting(connection: Connection) -> Made | None:
    """The one that somebody has waited for longest."""
    r = report_made.c
    row = connection.execute(
        select(report_made)
        .where(r.stage == ReportStage.WAITING, r.author.is_not(None))
        .order_by(r.asked_ms, r.id)
        .limit(1)
    ).first()
    return None if row is None else _made(row)


def tell_stage(
    connection: Connection,
    key: str,
    stage: ReportStage,
    *,
    made: Ms | None = None,
    problem: str | None = None,
) -> None:
    values = {"stage": stage, "problem": problem} | ({} if made is None else {"made_ms": made})
    connection.execute(update(report_made).where(report_made.c.id == key).values(values))


def tell_problem(connection: Connection, key: str, problem: str | None) -> None:
    connection.execute(update(report_made).where(report_made.c.id == key).values(problem=problem))


def add_file(connection: Connection, key: str, file: File) -> None:
    """Another format of a report is written; it takes the place of one of the same format."""
    found = get_made(connection, key)
    files = [*(one for one in found.files if one["form"] != file["form"]), file]
    formats = list(dict.fromkeys((*found.formats, file["form"])))
    connection.execute(
        update(report_made).where(report_made.c.id == key).values(files=files, formats=formats)
    )


def tell_mailed(connection: Connection, key: str, recipients: Sequence[str]) -> None:
    connection.execute(update(report_made).where(report_made.c.id == key).values(mailed=list(recipients)))


def end_cut_short(connection: Connection) -> None:
    """At a start: what was being made when the process ended is over. A schedule's is made anew if it is the
    last one of its schedule; what somebody waits for goes on waiting."""
    r = report_made.c
    begun = r.stage.in_((ReportStage.GATHERING, ReportStage.WRITING))
    connection.execute(
        update(report_made)
        .where(or_(begun, and_(r.stage == ReportStage.WAITING, r.author.is_(None))))
        .values(stage=ReportStage.FAILED, problem=CUT_SHORT)
    )


def retract_early(connection: Connection, now: Ms) -> None:
    """Our own clock was ahead, and it is ``now``: what a schedule made of times to come is not made yet. What
    somebody asked for says itself up to when it is reckoned."""
    r = report_made.c
    connection.execute(
        update(report_made)
        .where(r.author.is_(None), r.asked_ms > now)
        .values(
            stage=ReportStage.FAILED, problem=CLOCK_AHEAD, asked_ms=now, made_ms=None, files=[], mailed=[]
        )
    )


def remove_made(connection: Connection, key: str) -> None:
    """Take a report off the list. A schedule's stays there without its files: it is not made again.
    ConflictError while it is under way."""
    found = get_made(connection, key)
    if found.stage in UNDER_WAY:
        raise ConflictError("this report is being made", mend="Wait until it is made")
    if found.stage is ReportStage.REMOVED:
        raise NotFoundError("the files of this report were removed", mend="Have it made again")
    if found.author is None:
        tell_stage(connection, key, ReportStage.REMOVED)
    else:
        forget_made(connection, [key])


def forget_made(connection: Connection, keys: Sequence[str]) -> None:
    connection.execute(delete(report_made).where(report_made.c.id.in_(keys)))


# --- schedules ------------------------------------------------------------------------------------------


class Schedule(NamedTuple):
    """Reports that are made again and again; its columns in their order."""

    id: str
    every: str
    by: str
    lang: str
    formats: Sequence[str]
    recipients: Sequence[str]
    """Who gets them by e-mail, by their ids."""
    author: str
    at: Ms
    department: str | None = None
    """The one that they are on; None: the whole site."""


_SCHEDULE = [column.name for column in report_schedule.columns]


def list_schedules(connection: Connection) -> list[Schedule]:
    """Oldest first."""
    s = report_schedule.c
    return [Schedule(*row) for row in connection.execute(select(report_schedule).order_by(s.at_ms, s.id))]


def put_schedule(connection: Connection, item: Schedule) -> None:
    """Add a schedule, or change the one of this id. ConflictError if there is the same already, LimitError if
    there are :data:`MOST_SCHEDULES`."""
    others = [one for one in list_schedules(connection) if one.id != item.id]
    if len(others) >= MOST_SCHEDULES:
        raise LimitError(f"there are {MOST_SCHEDULES} schedules", mend="Remove one that nobody needs")
    for one in others:
        if (one.every, one.by, one.lang, one.department) != (item.every, item.by, item.lang, item.department):
            continue
        if set(item.formats) <= set(one.formats) and set(item.recipients) <= set(one.recipients):
            raise ConflictError("a schedule makes these reports already", mend="Remove it first, or use it")
    connection.execute(upsert(connection, report_schedule, ("id",)), dict(zip(_SCHEDULE, item, strict=True)))


def get_schedule(connection: Connection, key: str) -> Schedule:
    """NotFoundError if there is none of this id."""
    row = connection.execute(select(report_schedule).where(report_schedule.c.id == key)).first()
    if row is None:
        raise NotFoundError("there is no such schedule", mend="Those of the settings are removed there")
    return Schedule(*row)


def remove_schedule(connection: Connection, key: str) -> None:
    connection.execute(delete(report_schedule).where(report_schedule.c.id == key))
