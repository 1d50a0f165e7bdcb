"""The register: read by auditors, proven to anybody; and its figures, which name nobody."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, tzinfo
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.grants import count_against
from sharpeyes.access.register import proof
from sharpeyes.access.register.entry import Kind, decode
from sharpeyes.access.register.figures import Figures, count
from sharpeyes.access.register.figures_public import PublicMonth, coarse, publish
from sharpeyes.api.auth import READ, AnyCaller, Auditor, Presented, identify, needs, session_cookie
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.register_shapes import (
    CheckpointShape,
    ConsistencyShape,
    FiguresRow,
    FiguresShape,
    InclusionShape,
    NewExport,
    PublicFiguresRow,
    PublicFiguresShape,
    RegisterEntry,
    RegisterPage,
)
from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.domain.time import Ms, Span, from_datetime, iso
from sharpeyes.store.grants import list_overrides
from sharpeyes.store.register import (
    find_entries,
    find_span,
    last_checkpoint,
    read_entries,
    read_entry,
    read_prunings,
)

router = APIRouter(prefix="/api/v1", tags=["register"])

Seq = Annotated[int, Path(ge=1, le=1 << 53)]
Size = Annotated[int, Query(ge=1, le=1 << 53)]
LARGEST_EXPORT = 200_000
"""Entries; more are taken in several spans, or by the command on the machine."""
IN_MEMORY = 1 << 20
PIECE = 64 * 1024


@router.get("/register/entries")
async def search(
    rooms: Rooms,
    caller: Auditor,  # noqa: ARG001
    kind: Kind | None = None,
    user: Annotated[str | None, Query(max_length=64)] = None,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    start: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    before: Annotated[int | None, Query(ge=1, le=1 << 53, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RegisterPage:
    """Search the register, newest first. For auditors."""
    rows = await rooms.database.aread(
        lambda connection: find_entries(
            connection,
            kind=kind,
            user=user,
            camera=camera,
            start=None if start is None else from_datetime(start),
            end=None if end is None else from_datetime(end),
            before=before,
            limit=limit + 1,
        )
    )
    page = rows[:limit]
    return RegisterPage(
        items=tuple(RegisterEntry.of(row) for row in page), next=page[-1].seq if len(rows) > limit else None
    )


@router.get("/register/entries/{seq}")
async def entry(rooms: Rooms, caller: Auditor, seq: Seq) -> RegisterEntry:  # noqa: ARG001
    """One entry. For auditors."""
    row = await rooms.database.aread(lambda connection: read_entry(connection, seq))
    if row is None:
        raise NotFoundError(f"the register has no entry {seq}")
    proof.check_said(row)
    return RegisterEntry.of(row)


@router.get("/register/entries/{seq}/proof")
async def inclusion(rooms: Rooms, caller: Auditor, seq: Seq) -> InclusionShape:  # noqa: ARG001
    """Proof that the register, as last signed, holds this entry. 404 until a checkpoint covers it, which
    takes a minute at most. For auditors."""
    found = await rooms.database.aread(lambda connection: proof.prove_inclusion(connection, seq))
    return InclusionShape(**found.as_json())


@router.get("/register/checkpoint")
async def checkpoint(rooms: Rooms, caller: AnyCaller) -> CheckpointShape:  # noqa: ARG001
    """The last signed checkpoint and the public keys. Keep copies elsewhere: against them, nobody can
    rewrite the register unseen."""
    keys = rooms.access.keys
    row = await rooms.database.aread(last_checkpoint)
    if row is None:
        raise NotFoundError("the register has no checkpoint yet", mend="One is signed every minute")
    return CheckpointShape(size=row.size, at=iso(row.at_ms), note=row.note, keys=keys)


@router.get("/register/consistency")
async def consistency(rooms: Rooms, caller: AnyCaller, old: Size, new: Size) -> ConsistencyShape:  # noqa: ARG001
    """Proof that the register of `old` entries is the beginning of that of `new`: nothing was rewritten."""
    found = await rooms.database.aread(lambda connection: proof.prove_consistency(connection, old, new))
    return ConsistencyShape(
        old=found.old, new=found.new, hashes=tuple(base64.b64encode(item).decode() for item in found.hashes)
    )


@router.post("/register/exports", response_class=StreamingResponse)
async def export(rooms: Rooms, caller: Auditor, form: NewExport) -> StreamingResponse:
    """A copy of a span with a proof that nothing in it was changed or left out, as JSON lines; check it with
    `sharpeyes audit check`. That it was taken goes into the register first. For auditors."""
    since, until = from_datetime(form.start), from_datetime(form.end)
    first, last = await rooms.database.aread(lambda connection: find_span(connection, since, until))
    if not first:
        raise NotFoundError("the register has no entry in this span")
    if last - first >= LARGEST_EXPORT:
        raise InvalidInputError(
            f"from, to: {last - first + 1} entries lie in this span, and {LARGEST_EXPORT} are given at once",
            mend="Take several spans, or `sharpeyes audit export` on the machine",
        )
    await rooms.access.register.append(entries.exported(rooms.clock(), caller.person, first=first, last=last))

    def write(connection: Connection) -> IO[bytes]:
        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed once it is sent)
        try:
            for line in proof.export(connection, first, last):
                file.write(line.encode())
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    file = await rooms.database.aread(write)
    return StreamingResponse(
        _pieces(file),
        media_type="application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="register-{first}-{last}.jsonl"'},
    )


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


Month = Annotated[str, Query(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", examples=["2026-10"])]


async def figures_reader(
    request: Request,
    rooms: Rooms,
    presented: Presented,
    cookie: Annotated[str | None, Depends(session_cookie)],
) -> bool:
    """Whether somebody known asks. Anybody may, where the site publishes its figures."""
    if rooms.public_figures is not None and presented is None and cookie is None:
        return False
    await needs(READ)(request, rooms, await identify(request, rooms, presented, cookie))
    return True


@router.get("/transparency")
async def figures(
    response: Response, rooms: Rooms, known: Annotated[bool, Depends(figures_reader)], month: Month
) -> FiguresShape | PublicFiguresShape:
    """How much was asked, granted, refused and watched in a month of the site's calendar, by department and
    purpose. No person, camera or case is in it.

    Where the site publishes its figures, whoever has not logged in gets those of months that are over, each
    count rounded down to a multiple of 5, and null for 1 to 4.
    """
    zone = rooms.access.zone
    span = _span(month, zone)
    if known or rooms.public_figures is None:
        return await _figures(rooms, month, span)
    if rooms.clock() < span.end:
        raise NotFoundError(f"{month} is not over yet", mend="Figures are published when a month is over")

    async def count_once() -> PublicMonth:
        found, against, _ = await rooms.database.aread(lambda c: _count(c, span, rooms.clock()))
        return PublicMonth(
            rows=publish(found), against={name: coarse(number) for name, number in sorted(against.items())}
        )

    published = await rooms.public_figures.of(month, count_once)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return PublicFiguresShape(
        month=month,
        zone=str(zone),
        public=tuple(
            PublicFiguresRow(
                department=row.department, purpose=row.purpose, counts=row.counts, view_hours=row.view_hours
            )
            for row in published.rows
        ),
        against=published.against,
    )


async def _figures(rooms: Context, month: str, span: Span) -> FiguresShape:
    found, against, complete = await rooms.database.aread(lambda c: _count(c, span, rooms.clock()))
    return FiguresShape(
        month=month,
        zone=str(rooms.access.zone),
        complete=complete,
        items=tuple(
            FiguresRow(department=department, purpose=purpose, **item.as_json())
            for (department, purpose), item in sorted(found.items())
        ),
        against=against,
    )


def _count(
    connection: Connection, span: Span, now: Ms
) -> tuple[dict[tuple[str, str], Figures], dict[str, int], bool]:
    """The figures, the overrides that count against departments, and whether all entries are still there."""
    first, last = find_span(connection, span.start, span.end)
    chunks = read_entries(connection, first - 1, last) if first else ()
    found = count((decode(row.body) for rows in chunks for row in rows), span)
    removed = max((row.before_ms for row in read_prunings(connection)), default=0)
    against = count_against(list_overrides(connection, span=span), now)
    return found, against, removed <= span.start


def _span(month: str, zone: tzinfo) -> Span:
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
    after = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return Span(from_datetime(start), from_datetime(after))
