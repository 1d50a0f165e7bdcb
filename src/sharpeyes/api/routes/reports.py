"""Reports to download, each with a signed manifest by which a copy can be checked; the list of those that
were made, and the schedules that make them."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Self, cast
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.register.entry import Detail, Entry
from sharpeyes.api.auth import MANAGE, SCHEDULE, AnyCaller, Caller, Reader, ReportMaker, Scheduler, refusals
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.domain.errors import ForbiddenError, InvalidInputError, NotFoundError
from sharpeyes.domain.time import Ms, iso
from sharpeyes.rates.report.files import file_name
from sharpeyes.rates.report.manifest import NotGenuineError, Signer, check
from sharpeyes.rates.report.period import Period
from sharpeyes.rates.report.render import MEDIA_TYPES, Format, render
from sharpeyes.rates.report.report import check_scope, gather
from sharpeyes.rates.report.words import Lang
from sharpeyes.store import reports
from sharpeyes.store.events import Event, record
from sharpeyes.store.reports import File, Made, ReportStage, Schedule, get_manifest, put_manifest
from sharpeyes.store.state_time import Dimension

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])

OF_ONE = "On this department alone: its sum (by department) or its cameras (by camera)."
_one_at_a_time = asyncio.Semaphore(1)
"""A report over a city takes seconds of a core: they queue."""


@router.get(
    "",
    dependencies=[Reader],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}},
)
async def report(
    rooms: Rooms,
    period: Annotated[str, Query(max_length=10, description="2026-10-05, 2026-W41 or 2026-10.")],
    by: Dimension = "tier",
    form: Annotated[Format, Query(alias="format")] = Format.JSON,
    lang: Lang = Lang.ZH,
    department: Annotated[str | None, Query(max_length=64, description=OF_ONE)] = None,
) -> Response:
    """The report on a day, week or month of the site's time zone, as far as it is over.

    The header Repr-Digest (RFC 9530) has its SHA-256; /reports/manifests/{sha256} gives its manifest.
    """
    zone, now = ZoneInfo(rooms.timezone), rooms.clock()
    asked = Period.begun(period, zone, now)
    async with _one_at_a_time:
        found = await rooms.database.aread(
            partial(
                gather,
                period=asked,
                by=by,
                department=department,
                site=rooms.site,
                timezone=rooms.timezone,
                zone=zone,
                now=now,
            )
        )
        data = await asyncio.to_thread(render, found, form, lang)
    signer = await asyncio.to_thread(Signer, rooms.reports_key)
    told = signer.manifest(found, form, lang, data)
    await rooms.database.awrite(partial(put_manifest, manifest=told, now=now))
    return _file(data, file_name(asked.label, by, lang, form, department), told["sha256"])


def _file(data: bytes, name: str, sha256: str) -> Response:
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=MEDIA_TYPES[Format(name.rpartition(".")[2])], headers=headers)


@router.get("/manifests/{sha256}", dependencies=[Reader])
async def manifest(rooms: Rooms, sha256: Annotated[str, Path(pattern="^[0-9a-fA-F]{64}$")]) -> dict[str, Any]:
    """The manifest of a report that was given out, by the SHA-256 of its bytes."""
    return await rooms.database.aread(partial(get_manifest, sha256=sha256))


# --- those that were made -------------------------------------------------------------------------------

Key = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Formats = Annotated[tuple[Format, ...], Field(min_length=1, max_length=len(Format))]


class NewReport(Body):
    period: Annotated[
        str, Field(max_length=10, description="2026-10-05, 2026-W41 or 2026-10.", examples=["2026-10"])
    ]
    by: Dimension = "tier"
    formats: Formats = (Format.PDF,)
    lang: Lang = Lang.ZH
    department: Annotated[str | None, Field(max_length=64, description=OF_ONE)] = None


class ReportFile(Shape):
    format: Format
    bytes: int
    sha256: Annotated[str, Field(description="By which /reports/manifests/{sha256} gives its manifest.")]


class MadeReport(Shape):
    """A report on the list."""

    id: str
    period: str
    every: str
    by: str
    department: Annotated[str | None, Field(description="Null: of the whole site.")]
    lang: str
    author: Annotated[str | None, Field(description="Who asked for it; null: a schedule.")]
    asked: Instant
    made: Annotated[Instant | None, Field(description="Null while it is not made.")]
    stage: Annotated[
        ReportStage,
        Field(
            description="Under way while it is waiting, gathering or writing. Of those that are removed, "
            "copies can still be checked."
        ),
    ]
    formats: Annotated[tuple[str, ...], Field(description="All that were asked for.")]
    files: Annotated[tuple[ReportFile, ...], Field(description="Those that are written so far.")]
    mailed: Annotated[tuple[str, ...], Field(description="Recipients that got it by e-mail.")]
    problem: Annotated[str | None, Field(description="Why it failed, or could not be mailed.")]

    @classmethod
    def of(cls, made: Made) -> Self:
        return cls(
            id=made.id,
            period=made.label,
            every=made.every,
            by=made.by,
            department=made.department,
            lang=made.lang,
            author=made.author,
            asked=iso(made.asked),
            made=None if made.made is None else iso(made.made),
            stage=made.stage,
            formats=tuple(made.formats),
            files=tuple(
                ReportFile(format=Format(file["form"]), bytes=file["bytes"], sha256=file["sha256"])
                for file in made.files
            ),
            mailed=tuple(made.mailed),
            problem=made.problem,
        )


class MadeReports(Shape):
    items: Annotated[tuple[MadeReport, ...], Field(description="Newest first.")]
    total: int
    most: Annotated[int, Field(description="Reports that are kept; the oldest go first.")]
    most_each: Annotated[int, Field(description="Of those that one person asked for.")]
    most_bytes: Annotated[int, Field(description="Of all files.")]


class ReportProof(Shape):
    """Whether the file that is kept is the one that was signed."""

    genuine: bool
    reason: Annotated[str | None, Field(description="Why it is not.")]
    manifest: dict[str, Any] | None


@router.get("/made", dependencies=[Reader])
async def made_reports(
    rooms: Rooms,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> MadeReports:
    """Reports that were made or are under way."""
    found, total = await rooms.database.aread(
        lambda connection: (
            reports.list_made(connection, limit=limit, offset=offset),
            reports.count_made(connection),
        )
    )
    room = rooms.reporter.room
    return MadeReports(
        items=tuple(MadeReport.of(one) for one in found),
        total=total,
        most=room.reports,
        most_each=room.each,
        most_bytes=room.bytes,
    )


@router.post("/made", status_code=202)
async def make(rooms: Rooms, caller: ReportMaker, wanted: NewReport) -> MadeReport:
    """Have a report made now and kept. It is under way when this answers: ask the list how far it is."""
    made = await rooms.reporter.ask(
        wanted.period, wanted.by, wanted.lang, wanted.formats, caller.name, wanted.department
    )
    return MadeReport.of(made)


@router.get("/made/{key}", dependencies=[Reader])
async def made_report(rooms: Rooms, key: Key) -> MadeReport:
    """One of the list."""
    return MadeReport.of(await rooms.database.aread(partial(reports.get_made, key=key)))


@router.get(
    "/made/{key}/files/{form}",
    dependencies=[Reader],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}},
)
async def made_file(rooms: Rooms, key: Key, form: Format) -> Response:
    """A file of a report, as it was made and signed; one that was changed since is not given out."""
    made, file = await _kept(rooms, key, form)
    data = await asyncio.to_thread(rooms.reporter.read, file)
    return _file(data, file_name(made.label, made.by, Lang(made.lang), form, made.department), file["sha256"])


@router.get("/made/{key}/files/{form}/proof", dependencies=[Reader])
async def made_proof(rooms: Rooms, key: Key, form: Format) -> ReportProof:
    """Read the file again, and check it by its signed manifest and this installation's key."""
    _, file = await _kept(rooms, key, form)
    told: dict[str, Any] | None = None
    try:
        told = await rooms.database.aread(partial(get_manifest, sha256=file["sha256"]))
        data = await asyncio.to_thread(rooms.reporter.read, file)
        signer = await asyncio.to_thread(Signer, rooms.reports_key)
        check(data, told, key=signer.public)
    except (NotFoundError, NotGenuineError) as error:
        return ReportProof(genuine=False, reason=error.message, manifest=told)
    return ReportProof(genuine=True, reason=None, manifest=told)


@router.delete("/made/{key}", status_code=204)
async def remove_made(rooms: Rooms, caller: ReportMaker, key: Key) -> None:
    """Delete the files of a report: for whoever asked for it, and for administrators. Copies can still be
    checked, for its manifests stay; a schedule's report is not made again."""
    made = await rooms.database.aread(partial(reports.get_made, key=key))
    if made.author != caller.name and not caller.may(MANAGE):
        async with refusals(rooms, caller, "remove_report", key):
            raise ForbiddenError(
                "this report was asked for by somebody else", mend="Ask them, or an administrator"
            )

    def step(connection: Connection) -> tuple[list[Entry], None]:
        reports.remove_made(connection, key)
        _journal(connection, rooms, caller, "report_removed", made.label, made)
        details: dict[str, Detail] = {
            "of": _about(made.label, made),
            "change": "removed",
            "sha256": [file["sha256"] for file in made.files],
        }
        return [
            entries.policy_changed(rooms.clock(), caller.subject, "report", caller=caller.name, **details)
        ], None

    # The files first: if they cannot go, the report stays on the list and can be removed again.
    if made.stage not in reports.UNDER_WAY:
        await asyncio.to_thread(rooms.reporter.remove_files, made)
    if rooms.accountable:
        await rooms.access.register.record(step)
    else:
        await rooms.database.awrite(step)


async def _kept(rooms: Context, key: str, form: Format) -> tuple[Made, File]:
    made = await rooms.database.aread(partial(reports.get_made, key=key))
    if made.stage is ReportStage.REMOVED:
        raise NotFoundError("the files of this report were removed", mend="Have it made again")
    for file in made.files:
        if file["form"] == form:
            return made, file
    raise NotFoundError(f"this report has no file in {form}", mend="Have it made in that format")


# --- schedules ------------------------------------------------------------------------------------------


class NewReportSchedule(Body):
    every: Literal["day", "week", "month"]
    by: Annotated[Dimension, Field(description="camera: of one department only.")] = "tier"
    department: Annotated[str | None, Field(max_length=64, description=OF_ONE)] = None
    formats: Formats = (Format.XLSX, Format.PDF)
    lang: Lang = Lang.ZH
    recipients: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(max_length=20, description="Who gets them by e-mail, of 'mailboxes'."),
    ] = ()


class ReportSchedule(Shape):
    """Reports that are made once their period is over and its days are added up."""

    id: Annotated[str | None, Field(description="Null: of the service's settings, and changed there.")]
    every: str
    by: str
    department: Annotated[str | None, Field(description="Null: of the whole site.")]
    formats: tuple[str, ...]
    lang: str
    recipients: tuple[str, ...]
    author: str | None
    since: Instant | None
    last: Annotated[str, Field(description="The last period that is over.")]
    made: Annotated[MadeReport | None, Field(description="The report on it; null: not made yet.")]
    next: Annotated[Instant, Field(description="When the next period is over.")]


class Mailbox(Shape):
    id: str
    name: str


class ReportSchedules(Shape):
    items: Annotated[tuple[ReportSchedule, ...], Field(description="Those of the settings first.")]
    mailboxes: Annotated[
        tuple[Mailbox, ...], Field(description="Who can get reports; for those who may schedule.")
    ]


_Name = tuple[str, str, str, str | None]


def _told(rooms: Context, item: Schedule, made: dict[_Name, Made]) -> ReportSchedule:
    last, ends = rooms.reporter.last_over(item.every)
    found = made.get((last.label, item.by, item.lang, item.department))
    return ReportSchedule(
        id=item.id or None,
        every=item.every,
        by=item.by,
        department=item.department,
        formats=tuple(item.formats),
        lang=item.lang,
        recipients=tuple(item.recipients),
        author=item.author or None,
        since=iso(item.at) if item.id else None,
        last=last.label,
        made=None if found is None else MadeReport.of(found),
        next=iso(ends),
    )


@router.get("/schedules")
async def schedules(rooms: Rooms, caller: AnyCaller) -> ReportSchedules:
    """What is made by itself: by the settings, and by whoever scheduled it."""
    stored, listed = await rooms.database.aread(
        lambda c: (reports.list_schedules(c), reports.list_made(c, scheduled=True, limit=500))
    )
    made = {(one.label, one.by, one.lang, one.department): one for one in reversed(listed)}
    boxes = rooms.faults.courier.mailboxes() if caller.may(SCHEDULE) else []
    return ReportSchedules(
        items=tuple(_told(rooms, one, made) for one in (*rooms.reporter.schedules, *stored)),
        mailboxes=tuple(Mailbox(id=one.id, name=one.name or one.id) for one in boxes),
    )


@router.post("/schedules", status_code=201)
async def schedule(rooms: Rooms, caller: Scheduler, wanted: NewReportSchedule) -> ReportSchedule:
    """Have reports made again and again; the one on the last period that is over is made at once."""
    item = _wanted(rooms, wanted, secrets.token_hex(8), caller.name, rooms.clock())
    return await _put(rooms, caller, "schedule_added", lambda _: item)


@router.put("/schedules/{key}")
async def reschedule(rooms: Rooms, caller: Scheduler, key: Key, wanted: NewReportSchedule) -> ReportSchedule:
    """Have other reports made from now on. Whose schedule it is stays."""

    def changed(connection: Connection) -> Schedule:
        was = reports.get_schedule(connection, key)
        return _wanted(rooms, wanted, key, was.author, was.at)

    return await _put(rooms, caller, "schedule_changed", changed)


def _wanted(rooms: Context, wanted: NewReportSchedule, key: str, author: str, at: Ms) -> Schedule:
    known = {one.id for one in rooms.faults.courier.mailboxes()}
    for recipient in wanted.recipients:
        if recipient not in known:
            raise InvalidInputError(
                f"recipients: {recipient!r} is no recipient that gets e-mail",
                mend="Add one in the settings, under messages",
            )
    if wanted.by == "camera" and wanted.department is None:
        raise InvalidInputError(
            "by: a schedule by camera is of one department", mend="Choose the department as well"
        )
    return Schedule(
        key,
        wanted.every,
        wanted.by,
        wanted.lang.value,
        [form.value for form in dict.fromkeys(wanted.formats)],
        list(dict.fromkeys(wanted.recipients)),
        author,
        at,
        wanted.department,
    )


async def _put(
    rooms: Context, caller: Caller, change: str, wanted: Callable[[Connection], Schedule]
) -> ReportSchedule:
    def step(connection: Connection) -> Schedule:
        item = wanted(connection)
        check_scope(connection, cast(Dimension, item.by), item.department)
        reports.put_schedule(connection, item)
        _journal(connection, rooms, caller, change, item.every, item)
        return item

    item = await rooms.database.awrite(step)
    rooms.reporter.wake()
    return _told(rooms, item, {})


@router.delete("/schedules/{key}", status_code=204)
async def unschedule(rooms: Rooms, caller: Scheduler, key: Key) -> None:
    """Make no more of them; what was made stays."""

    def step(connection: Connection) -> None:
        was = reports.get_schedule(connection, key)
        reports.remove_schedule(connection, key)
        _journal(connection, rooms, caller, "schedule_removed", was.every, was)

    await rooms.database.awrite(step)


def _about(label: str, item: Made | Schedule) -> str:
    of = "" if item.department is None else f" of {item.department}"
    return f"{label} by {item.by}{of} ({item.lang})"


def _journal(
    connection: Connection, rooms: Context, caller: Caller, change: str, label: str, item: Made | Schedule
) -> None:
    said = {"dimension": item.by, "department": item.department, "lang": item.lang}
    line = Event(
        at=rooms.clock(),
        kind="report",
        subject=item.id,
        message=f"{change.replace('_', ' ')}: {_about(label, item)}",
        detail={"change": change, "of": label, "by": caller.name, **said},
    )
    record(connection, [line])
