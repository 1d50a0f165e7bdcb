"""Dossier files: uploaded, previewed with a map, applied by the preview's digest."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from sharpeyes.api.auth import ManagingCaller
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.api.uploads import Upload
from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.time import iso
from sharpeyes.registry import imports, staged
from sharpeyes.registry.import_map import HEADINGS, ImportMap, heading_key
from sharpeyes.registry.imports import Outcome, Plan, Problem, RowPlan, Step, Told
from sharpeyes.registry.sheet import MAX_BYTES, Table, read_table
from sharpeyes.store.dossiers import StoredMap, forget_map, list_maps, put_map

router = APIRouter(prefix="/api/v1", tags=["imports"])

UploadId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
MapName = Annotated[str, Path(min_length=1, max_length=64)]
Words = dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=200)]]
SAMPLE_ROWS = 5
MAPS = 200


class MapBody(Body):
    """How a file is read. All of it may be left out: the 27 headings are known."""

    columns: Words = Field(
        default_factory=dict, max_length=200, description="Heading -> field, '' to pass a column over."
    )
    codes: dict[str, Words] = Field(
        default_factory=dict,
        max_length=40,
        description="Field -> what stands in the file -> what it means here.",
    )
    defaults: Words = Field(default_factory=dict, max_length=20, description="Field -> value of empty cells.")
    keys: tuple[str, ...] = Field(
        default=(), max_length=6, description="Fields that name a camera without a number."
    )
    encoding: str | None = Field(default=None, max_length=20)
    sheet: str | None = Field(default=None, max_length=100)

    def map(self) -> ImportMap:
        return ImportMap.of(self.model_dump())


class UploadColumn(Shape):
    heading: str
    field: Annotated[str | None, Field(description="What it seems to mean; null if it is not known.")]
    sample: tuple[str, ...]


class UploadShape(Shape):
    id: str
    name: str
    form: Annotated[str, Field(examples=["xlsx"])]
    encoding: str | None
    rows: int
    columns: tuple[UploadColumn, ...]
    expires: Instant


class ProblemShape(Shape):
    field: str
    column: Annotated[str, Field(description="The heading, as the file has it.")]
    value: str
    message: str
    mend: str
    fatal: Annotated[bool, Field(description="The row is rejected for it; else it is a warning.")]

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(
            field=problem.field,
            column=problem.column,
            value=problem.value,
            message=problem.message,
            mend=problem.mend,
            fatal=problem.fatal,
        )


class ChangedField(Shape):
    field: str
    before: str
    after: str


class RowShape(Shape):
    row: Annotated[int, Field(description="As a spreadsheet counts.")]
    outcome: Outcome
    camera: str | None
    name: str
    changes: tuple[ChangedField, ...]
    problems: tuple[ProblemShape, ...]

    @classmethod
    def of(cls, row: RowPlan) -> Self:
        return cls(
            row=row.number,
            outcome=row.outcome,
            camera=row.camera,
            name=row.name,
            changes=tuple(ChangedField(field=d.field, before=d.before, after=d.after) for d in row.changes),
            problems=tuple(ProblemShape.of(problem) for problem in row.problems),
        )


class Counts(Shape):
    new: int
    changed: int
    unchanged: int
    rejected: int
    warnings: Annotated[int, Field(description="Rows with something to look at that are not rejected.")]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        counts = {outcome.value: number for outcome, number in plan.counts.items()}
        warned = sum(bool(row.problems) and row.outcome is not Outcome.REJECTED for row in plan.rows)
        return cls(**counts, warnings=warned)


class PreviewShape(Shape):
    digest: Annotated[str, Field(description="Of what would change: to be sent back to apply exactly that.")]
    counts: Counts
    columns: Annotated[dict[str, str], Field(description="Heading -> field.")]
    ignored: Annotated[tuple[str, ...], Field(description="Headings that mean nothing here.")]
    encoding: str | None
    rows: tuple[RowShape, ...]
    next: Annotated[int | None, Field(description="'after' of the next page of rows; null on the last.")]


class Apply(Body):
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    partial: Annotated[bool, Field(description="Leave out the rejected rows; else nothing is done.")] = False


class Applied(Shape):
    counts: Counts
    rejected: Annotated[tuple[RowShape, ...], Field(description="The rows left out, at most 1000.")]


class ImportProgress(Shape):
    step: Annotated[Step | None, Field(description="Null: nothing of this caller's is under way.")]
    done: Annotated[int, Field(description="Rows read or checked; cameras written.")]
    of: Annotated[int | None, Field(description="Null while the file is read: its end is not known.")]


class MapShape(Shape):
    name: str
    map: dict[str, Any]
    changed_by: str
    changed: Instant


@router.post("/imports", status_code=201)
async def upload(
    request: Request,
    rooms: Rooms,
    caller: ManagingCaller,
    name: Annotated[str, Query(max_length=200, description="Of the file, to be shown.")] = "",
    encoding: Annotated[str | None, Query(max_length=20)] = None,
) -> UploadShape:
    """Upload a CSV or XLSX file (the body, as it is): what its columns seem to be. It is kept for an hour."""
    data = await _body(request)
    with rooms.uploads.working(caller.name) as told:
        read = partial(read_table, data, encoding=encoding, told=partial(_rows_read, told))
        table = await asyncio.to_thread(read)
    kept = rooms.uploads.add(caller.name, name, data, rooms.clock())
    known = [sum(heading_key(cell) in HEADINGS for cell in cells) for _, cells in table.rows[:20]]
    head = known.index(max(known)) if known else 0
    headings = table.rows[head][1] if table.rows else ()
    below = table.rows[head + 1 : head + 1 + SAMPLE_ROWS]
    return UploadShape(
        id=kept.id,
        name=name,
        form=table.form,
        encoding=table.encoding,
        rows=max(0, len(table.rows) - head - 1),
        columns=tuple(
            UploadColumn(
                heading=heading,
                field=HEADINGS.get(heading_key(heading)),
                sample=tuple(cells[n][:80] for _, cells in below if n < len(cells)),
            )
            for n, heading in enumerate(headings)
            if heading
        ),
        expires=iso(kept.expires),
    )


@router.get("/imports/progress")
async def progress(rooms: Rooms, caller: ManagingCaller) -> ImportProgress:
    """How far the upload, preview or import is that this caller has under way."""
    work = rooms.uploads.work(caller.name)
    if work is None:
        return ImportProgress(step=None, done=0, of=None)
    return ImportProgress(step=work.step, done=work.done, of=work.of)


@router.post("/imports/{key}/preview")
async def preview(
    rooms: Rooms,
    caller: ManagingCaller,
    key: UploadId,
    how: MapBody,
    outcome: Outcome | None = None,
    after: Annotated[int, Query(ge=0, description="'next' of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> PreviewShape:
    """What the file would change, row by row. Nothing is changed."""
    kept = rooms.uploads.get(key, caller.name, rooms.clock())
    wanted = how.map()
    plan = kept.plan
    if plan is None or kept.how != wanted or after == 0:
        with rooms.uploads.working(caller.name) as told:
            plan = await _plan(rooms, kept, wanted, told)
        rooms.uploads.previewed(kept, wanted, plan)
    rows = [row for row in plan.rows if row.number > after and (outcome is None or row.outcome is outcome)]
    return PreviewShape(
        digest=plan.digest,
        counts=Counts.of(plan),
        columns=dict(plan.columns),
        ignored=plan.ignored,
        encoding=plan.encoding,
        rows=tuple(RowShape.of(row) for row in rows[:limit]),
        next=rows[limit - 1].number if len(rows) > limit else None,
    )


@router.post("/imports/{key}/apply")
async def apply(rooms: Rooms, caller: ManagingCaller, key: UploadId, wanted: Apply) -> Applied:
    """Do what was previewed, all of it or nothing; 409 `conflict` if the registry has changed since, or while
    another import is written. It is written in short steps; nobody else changes the registry meanwhile."""
    kept = rooms.uploads.get(key, caller.name, rooms.clock())
    if kept.how is None:
        raise ConflictError("this file was not previewed", mend="POST it to .../preview first")
    writing = rooms.uploads.writing(kept, rooms.clock())
    with writing, rooms.uploads.working(caller.name) as told:
        plan = await staged.take(
            rooms.database,
            await _table(kept, kept.how, told),
            kept.how,
            digest=wanted.digest,
            partial=wanted.partial,
            source=kept.name or "a file",
            by=caller.name,
            clock=rooms.clock,
            told=told,
            stopping=rooms.stopping,
        )
    rooms.uploads.forget(kept)
    await rooms.reload()
    rejected = [row for row in plan.rows if row.outcome is Outcome.REJECTED]
    return Applied(counts=Counts.of(plan), rejected=tuple(RowShape.of(row) for row in rejected[:1000]))


@router.delete("/imports/{key}", status_code=204)
async def forget(rooms: Rooms, caller: ManagingCaller, key: UploadId) -> None:
    """Drop an upload."""
    rooms.uploads.forget(rooms.uploads.get(key, caller.name, rooms.clock()))


@router.get("/import-maps")
async def maps(rooms: Rooms, _: ManagingCaller) -> tuple[MapShape, ...]:
    """The saved maps, one for each source that files come from."""
    return tuple(
        MapShape(name=one.name, map=dict(one.map), changed_by=one.changed_by, changed=iso(one.changed))
        for one in await rooms.database.aread(list_maps)
    )


@router.put("/import-maps/{name}")
async def save_map(rooms: Rooms, caller: ManagingCaller, name: MapName, how: MapBody) -> MapShape:
    """Save a map under a name, or change it."""
    item = StoredMap(name, how.map().document(), caller.name, rooms.clock())

    def write(connection: Any) -> None:
        names = {one.name for one in list_maps(connection)}
        if name not in names and len(names) >= MAPS:
            raise ConflictError(f"there are {MAPS} maps already", mend="Remove one that is not used")
        put_map(connection, item)

    await rooms.database.awrite(write)
    return MapShape(name=name, map=dict(item.map), changed_by=item.changed_by, changed=iso(item.changed))


@router.delete("/import-maps/{name}", status_code=204)
async def remove_map(rooms: Rooms, _: ManagingCaller, name: MapName) -> None:
    """Remove a saved map."""
    if not await rooms.database.awrite(partial(forget_map, name=name)):
        raise NotFoundError(f"there is no map {name}")


async def _plan(rooms: Rooms, kept: Upload, how: ImportMap, told: Told) -> Plan:
    table = await _table(kept, how, told)
    now = rooms.clock()
    return await rooms.database.aread(
        lambda c: imports.plan(table, how, imports.snapshot(c), now=now, told=told)
    )


async def _table(kept: Upload, how: ImportMap, told: Told) -> Table:
    read = partial(_rows_read, told)
    return await asyncio.to_thread(
        partial(read_table, kept.data, encoding=how.encoding, sheet=how.sheet, told=read)
    )


def _rows_read(told: Told, rows: int) -> None:
    told(Step.READ, rows, None)


async def _body(request: Request) -> bytes:
    """All of the body, if it is not too large; it is not read on beyond that."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise InvalidInputError(f"the file is larger than {MAX_BYTES >> 20} MiB", mend="Split it")
    if not data:
        raise InvalidInputError("the body is empty", mend="Send the file as the body of the request")
    return bytes(data)
