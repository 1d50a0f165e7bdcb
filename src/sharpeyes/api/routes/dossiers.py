"""Dossiers: one camera's, how full all of them are, and all of them as a file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.api.auth import ADDRESSES, AnyCaller, ManagingCaller, Reader, needs
from sharpeyes.api.context import Rooms
from sharpeyes.api.routes.cameras import CameraId
from sharpeyes.api.schemas import Body, Ratio, Shape
from sharpeyes.domain.access import forbids
from sharpeyes.domain.dossier import (
    BY_FIELD,
    CODES,
    COLUMNS,
    DUTIES,
    EMPTY,
    PERSONAL,
    SHOWN,
    place_of,
    read,
    shown,
)
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.registry.completeness import Total, totals
from sharpeyes.registry.dossiers import Sheet, sheets
from sharpeyes.registry.export import export
from sharpeyes.registry.imports import DISMANTLED
from sharpeyes.store.cameras import CameraFilter, get_camera
from sharpeyes.store.dossiers import get_dossiers, put_dossiers
from sharpeyes.store.events import Event, record
from sharpeyes.store.organisation import list_areas, subtree

router = APIRouter(prefix="/api/v1", tags=["dossiers"])

MEDIA = {
    "csv": "text/csv; charset={}",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ColumnShape(Shape):
    field: str
    heading: str
    mandatory: bool
    duty: Annotated[bool, Field(description="One of what Order 799 wants, beyond the 27.")]
    codes: Annotated[dict[str, str] | None, Field(description="Value -> as it is shown; null for free text.")]


class CellShape(Shape):
    field: str
    value: Annotated[str, Field(description="As it is shown; empty if nothing is known.")]
    stated: Annotated[bool, Field(description="By the dossier itself; else the registry knows it.")]
    hidden: Annotated[bool, Field(description="There is one, for who mends cameras.")]


class CompletenessShape(Shape):
    mandatory: Annotated[int, Field(description="Mandatory columns that are filled.")]
    mandatory_of: int
    filled: int
    filled_of: int
    missing: Annotated[tuple[str, ...], Field(description="Mandatory columns that are empty.")]
    duties: Annotated[tuple[str, ...], Field(description="Filing number, date or sign, if missing.")]


class DossierShape(Shape):
    camera: str
    cells: Annotated[tuple[CellShape, ...], Field(description="The 27 columns, then the duties.")]
    completeness: CompletenessShape

    @classmethod
    def of(cls, sheet: Sheet, *, addresses: bool) -> Self:
        done = sheet.completeness
        values = dict(sheet.values) | {duty.field: getattr(sheet.dossier, duty.field) for duty in DUTIES}
        cells = []
        for field, value in values.items():
            hidden = not addresses and field in PERSONAL and value is not None
            cells.append(
                CellShape(
                    field=field,
                    value="" if hidden else shown(field, value),
                    stated=getattr(sheet.dossier, field, None) is not None,
                    hidden=hidden,
                )
            )
        return cls(
            camera=sheet.camera.id,
            cells=tuple(cells),
            completeness=CompletenessShape(
                mandatory=done.mandatory,
                mandatory_of=sum(column.mandatory for column in COLUMNS),
                filled=done.filled,
                filled_of=len(COLUMNS),
                missing=done.missing,
                duties=done.duties,
            ),
        )


class DossierChange(Body):
    """Cells to set, by field; null empties one. The number and the name are the camera's own."""

    cells: Annotated[dict[str, Annotated[str, Field(max_length=200)] | None], Field(max_length=40)]


class TotalShape(Shape):
    key: str
    cameras: int
    whole: Annotated[int, Field(description="Cameras with every mandatory column.")]
    mandatory: Annotated[Ratio, Field(description="Share of mandatory cells that are filled.")]
    filled: Annotated[Ratio, Field(description="Share of all 27 columns' cells that are filled.")]
    filed: Annotated[int, Field(description="Cameras with filing number, date and sign.")]
    missing: Annotated[dict[str, int], Field(description="Mandatory column -> cameras that lack it.")]

    @classmethod
    def of(cls, key: str, total: Total) -> Self:
        return cls(
            key=key,
            cameras=total.cameras,
            whole=total.whole,
            mandatory=total.mandatory,
            filled=total.filled,
            filed=total.filed,
            missing=dict(total.missing),
        )


class Totals(Shape):
    by: str
    items: tuple[TotalShape, ...]


@router.get("/dossiers/columns", dependencies=[Reader])
async def columns() -> tuple[ColumnShape, ...]:
    """The 27 columns in the order of the form, then what Order 799 wants besides."""
    return tuple(
        ColumnShape(
            field=column.field,
            heading=column.heading,
            mandatory=column.mandatory,
            duty=column in DUTIES,
            codes={code: SHOWN[column.field][code] for code in dict.fromkeys(CODES[column.field].values())}
            if column.field in CODES
            else None,
        )
        for column in (*COLUMNS, *DUTIES)
    )


@router.get("/dossiers/completeness", dependencies=[Reader])
async def completeness(
    rooms: Rooms, by: Literal["all", "tier", "department", "area", "zone"] = "department"
) -> Totals:
    """How full the dossiers are. An area is counted by itself, without those below it."""
    found = await rooms.database.aread(sheets)
    groups = totals(
        ("all" if by == "all" else str(getattr(sheet.camera, by)), sheet.completeness) for sheet in found
    )
    return Totals(by=by, items=tuple(TotalShape.of(key, total) for key, total in groups.items()))


@router.get("/dossiers/export", dependencies=[Depends(needs(ADDRESSES))])
async def export_file(
    rooms: Rooms,
    form: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "xlsx",
    encoding: Literal["utf-8", "gb18030"] = "utf-8",
    tier: Tier | None = None,
    department: Annotated[str | None, Query(max_length=64)] = None,
    area: Annotated[str | None, Query(max_length=64, description="This area and all below it.")] = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
    placing: Annotated[
        bool, Query(description="Also id, tier, department, area, zone and streams, to import it elsewhere.")
    ] = False,
) -> Response:
    """The dossiers as a file with the 27 columns, filing and sign. No cell of it is taken for a formula."""

    def read_all(connection: Connection) -> list[Sheet]:
        areas = None if area is None else subtree(list_areas(connection, include_retired=True), area)
        return sheets(connection, CameraFilter(tier=tier, department=department, areas=areas, text=q))

    found = await rooms.database.aread(read_all)
    body = await asyncio.to_thread(export, found, form, encoding=encoding, placing=placing)
    return Response(
        body,
        media_type=MEDIA[form].format(encoding),
        headers={
            "Content-Disposition": f'attachment; filename="dossiers.{form}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.get("/cameras/{camera_id}/dossier")
async def one(rooms: Rooms, caller: AnyCaller, camera_id: CameraId) -> DossierShape:
    """The dossier of a camera, with what the registry knows where the dossier is silent."""
    return DossierShape.of(
        await rooms.database.aread(partial(_one, key=camera_id)), addresses=caller.may(ADDRESSES)
    )


@router.patch("/cameras/{camera_id}/dossier")
async def change(
    rooms: Rooms, caller: ManagingCaller, camera_id: CameraId, wanted: DossierChange
) -> DossierShape:
    """Set cells of a dossier."""
    values: dict[str, Any] = {}
    for field, text in wanted.cells.items():
        if field not in BY_FIELD or not hasattr(EMPTY, field):
            raise InvalidInputError(
                f"{field[:40]}: is not a cell of a dossier", mend="See GET /api/v1/dossiers/columns"
            )
        try:
            values[field] = read(field, text) if text and text.strip() else None
        except InvalidInputError as error:
            raise InvalidInputError(f"{field}: {error.message}", mend=error.mend) from None
    if (refusal := forbids(place_of(values.get("place_type")))) is not None:
        raise InvalidInputError(f"place_type: {refusal.message}", mend="A camera there is to be taken down")
    if values.get("status") == DISMANTLED:
        raise InvalidInputError(
            "status: a dismantled camera is taken out of the registry, not out of its dossier",
            mend="Import a dossier that says so, or remove it from cameras.yaml",
        )
    now = rooms.clock()

    def write(connection: Connection) -> Sheet:
        get_camera(connection, camera_id)
        before = get_dossiers(connection, [camera_id]).get(camera_id, EMPTY)
        after = replace(before, **values)
        if after != before:
            put_dossiers(connection, {camera_id: after}, now=now)
            message = f"set by {caller.name}: {', '.join(sorted(values))}"
            record(connection, [Event(at=now, kind="dossier_changed", subject=camera_id, message=message)])
        return _one(connection, key=camera_id)

    return DossierShape.of(await rooms.database.awrite(write), addresses=True)


def _one(connection: Connection, key: str) -> Sheet:
    get_camera(connection, key)
    return sheets(connection, ids=[key])[0]
