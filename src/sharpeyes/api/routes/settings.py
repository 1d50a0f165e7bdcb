"""Tiers, departments and areas, changed in the console beside cameras.yaml.

Whose word holds is told in :mod:`sharpeyes.registry.settings`. A change is in force when its answer comes, is
in the journal with what was before, and in the register.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.register.entry import Entry
from sharpeyes.api.auth import Admin, Caller, ManagingCaller
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.settings_shapes import (
    AreaChange,
    AreaSetting,
    BoundaryChange,
    BoundaryState,
    Change,
    DepartmentChange,
    DepartmentSetting,
    NewArea,
    NewDepartment,
    TierChange,
    TierSetting,
)
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.organisation import Tier
from sharpeyes.faults.notify import kept
from sharpeyes.registry import boundary, declaration, organise
from sharpeyes.registry import settings as store
from sharpeyes.registry.registry import number_cameras
from sharpeyes.registry.settings import Changed, Saying, SettingsEntry
from sharpeyes.store.organisation import retire_area, retire_department, target_history
from sharpeyes.store.settings import Kind

router = APIRouter(prefix="/api/v1/settings", tags=["settings"], dependencies=[Admin])

Key = Annotated[str, Path(max_length=64)]
AsRead = Annotated[str, Query(alias="version", max_length=64)]
Why = Annotated[str, Query(alias="reason", max_length=store.LONGEST_REASON)]
Step = Callable[[Connection, Saying], Changed]
Entered = Callable[[Connection], SettingsEntry]
"""Finds the entry that a change is about, as it stands in its transaction."""


async def settle(rooms: Context, caller: Caller, reason: str, step: Step) -> None:
    """Do it, with its lines in journal and register: all of it or nothing."""
    saying = Saying(by=caller.name, at=rooms.clock(), reason=reason.strip())

    def change(connection: Connection) -> tuple[list[Entry], None]:
        done = step(connection, saying)
        if done.what == "changed" and not done.fields:
            return [], None
        told: dict[str, Any] = {
            name: [store.shown(before), store.shown(after)] for name, (before, after) in done.fields.items()
        }
        entry = entries.policy_changed(
            saying.at,
            caller.subject,
            "settings",
            of=f"{done.kind}:{done.id}",
            change=done.what,
            changed=told,
            reason=saying.reason,
            caller=caller.name,
        )
        return [entry], None

    if rooms.accountable:
        await rooms.access.register.record(change)
    else:
        await rooms.database.awrite(change)


def id_of(wanted: str | None, kind: Kind) -> str:
    key = (wanted or "").strip() or f"{kind}-{secrets.token_hex(4)}"
    organise.check_id(key)
    return key


# --- tiers ----------------------------------------------------------------------------------------------


@router.get("/tiers")
async def tiers(rooms: Rooms) -> tuple[TierSetting, ...]:
    """What each tier is held to and how often its cameras are looked at; what the file says, and since when
    which target has held."""

    def read(connection: Connection) -> tuple[TierSetting, ...]:
        course = target_history(connection, "tier")
        known = organise.tier_entries(connection, rooms.configured.declared)
        return tuple(TierSetting.of(one, course.get(key, [])) for key, one in known.items())

    return await rooms.database.aread(read)


@router.put("/tiers/{tier}", status_code=HTTPStatus.NO_CONTENT)
async def set_tier(rooms: Rooms, caller: ManagingCaller, tier: Tier, form: TierChange) -> None:
    """Another target or other cadences. A target holds from now on: past periods keep theirs. Cadences are
    taken up camera by camera, each in its own slot."""
    values = form.values.model_dump()
    organise.check_tier(values)
    await _set(rooms, caller, form, values, partial(_tier, rooms=rooms, tier=tier))


@router.post("/tiers/{tier}/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_tier(rooms: Rooms, caller: ManagingCaller, tier: Tier, form: Change) -> None:
    """Let cameras.yaml have the word again."""
    await _revert(rooms, caller, form, partial(_tier, rooms=rooms, tier=tier))


def _tier(connection: Connection, rooms: Context, tier: Tier) -> SettingsEntry:
    return organise.tier_entries(connection, rooms.configured.declared)[tier]


async def _set(
    rooms: Context, caller: Caller, form: Change, values: Mapping[str, Any], entry: Entered
) -> None:
    """Have an entry say these values from now on."""
    await _organised(
        rooms,
        caller,
        form.reason,
        lambda c, saying: store.change(c, entry(c), values, saying, version=form.version),
    )


async def _revert(rooms: Context, caller: Caller, form: Change, entry: Entered) -> None:
    """Let cameras.yaml have the word about an entry again."""
    await _organised(
        rooms,
        caller,
        form.reason,
        lambda c, saying: store.revert(c, entry(c), saying, version=form.version),
    )


async def _organised(rooms: Context, caller: Caller, reason: str, step: Step) -> None:
    """A change of tiers, departments or areas: written, put in force, taken up by whoever watches."""

    def whole(connection: Connection, saying: Saying) -> Changed:
        done = step(connection, saying)
        organise.put_in_force(connection, rooms.configured.declared, now=saying.at)
        number_cameras(connection, now=saying.at)
        return done

    await settle(rooms, caller, reason, whole)
    await rooms.reload()


# --- departments ----------------------------------------------------------------------------------------


@router.get("/departments")
async def departments(rooms: Rooms) -> tuple[DepartmentSetting, ...]:
    """Every department in service, and whose word it is."""
    known = await rooms.database.aread(
        lambda connection: organise.department_entries(connection, rooms.configured.declared)
    )
    return tuple(DepartmentSetting.of(one) for one in known.values())


@router.post("/departments", status_code=HTTPStatus.CREATED)
async def add_department(rooms: Rooms, caller: ManagingCaller, form: NewDepartment) -> DepartmentSetting:
    """A department that cameras.yaml does not declare."""
    key, values = id_of(form.id, Kind.DEPARTMENT), form.values.plain()
    organise.check_department(values)
    await _organised(
        rooms,
        caller,
        form.reason,
        lambda connection, saying: store.add(
            connection, _departments(connection, rooms), Kind.DEPARTMENT, key, values, saying
        ),
    )
    return DepartmentSetting.of((await rooms.database.aread(lambda c: _departments(c, rooms)))[key])


@router.put("/departments/{department}", status_code=HTTPStatus.NO_CONTENT)
async def set_department(
    rooms: Rooms, caller: ManagingCaller, department: Key, form: DepartmentChange
) -> None:
    """Other names, another industry code, another contact."""
    values = form.values.plain()
    organise.check_department(values)
    await _set(rooms, caller, form, values, partial(_department, rooms=rooms, key=department))


@router.post("/departments/{department}/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_department(rooms: Rooms, caller: ManagingCaller, department: Key, form: Change) -> None:
    """Let cameras.yaml have the word again."""
    await _revert(rooms, caller, form, partial(_department, rooms=rooms, key=department))


@router.delete("/departments/{department}", status_code=HTTPStatus.NO_CONTENT)
async def remove_department(
    rooms: Rooms, caller: ManagingCaller, department: Key, version: AsRead, reason: Why = ""
) -> None:
    """Take a department out of service that nothing belongs to any more. Its history stays."""

    def step(connection: Connection, saying: Saying) -> Changed:
        entry = _department(connection, rooms, department)
        used = [
            *organise.users_of_department(connection, department, rooms.enrolment.networks),
            *_told_about(rooms, "departments", department),
        ]
        done = store.remove(connection, entry, saying, version=version, used_by=used)
        retire_department(connection, department, now=saying.at)
        return done

    await _organised(rooms, caller, reason, step)


def _departments(connection: Connection, rooms: Context) -> Mapping[str, SettingsEntry]:
    return organise.department_entries(connection, rooms.configured.declared)


def _department(connection: Connection, rooms: Context, key: str) -> SettingsEntry:
    return store.find(_departments(connection, rooms), Kind.DEPARTMENT, key)


def _told_about(rooms: Context, condition: str, key: str) -> list[str]:
    """Recipients and routes that name it."""
    settings = rooms.faults.settings
    found = [
        f"recipient {one.id}"
        for one in settings.recipients
        if condition == "departments" and one.units is not None and key in one.units
    ]
    for number, rule in enumerate(settings.rules, start=1):
        if key in (getattr(rule, condition) or ()) or (condition == "departments" and rule.unit == key):
            found.append(f"route {number}")
    if condition == "departments" and settings.fallback_unit == key:
        found.append("the route of everything else")
    return found


# --- areas ----------------------------------------------------------------------------------------------


@router.get("/areas")
async def areas(rooms: Rooms) -> tuple[AreaSetting, ...]:
    """Every area in service, whose word it is, and how many points its outline has."""

    def read(connection: Connection) -> tuple[AreaSetting, ...]:
        known = _areas(connection, rooms)
        outlines = organise.boundary_entries(connection, rooms.configured.declared, known)
        course = target_history(connection, "area")
        return tuple(
            AreaSetting.of(one, _boundary_state(outlines[key]), course.get(key, []))
            for key, one in known.items()
        )

    return await rooms.database.aread(read)


@router.post("/areas", status_code=HTTPStatus.CREATED)
async def add_area(rooms: Rooms, caller: ManagingCaller, form: NewArea) -> AreaSetting:
    """An area that cameras.yaml does not declare."""
    key, values = id_of(form.id, Kind.AREA), form.values.plain()

    def step(connection: Connection, saying: Saying) -> Changed:
        known = _areas(connection, rooms)
        organise.check_area(values, known, key)
        return store.add(connection, known, Kind.AREA, key, values, saying)

    await _organised(rooms, caller, form.reason, step)
    return next(one for one in await areas(rooms) if one.id == key)


@router.put("/areas/{area}", status_code=HTTPStatus.NO_CONTENT)
async def set_area(rooms: Rooms, caller: ManagingCaller, area: Key, form: AreaChange) -> None:
    """Other names, another code, another place in the tree, a target of its own."""
    values = form.values.plain()

    def step(connection: Connection, saying: Saying) -> Changed:
        known = _areas(connection, rooms)
        entry = store.find(known, Kind.AREA, area)
        organise.check_area(values, known, area)
        return store.change(connection, entry, values, saying, version=form.version)

    await _organised(rooms, caller, form.reason, step)


@router.post("/areas/{area}/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_area(rooms: Rooms, caller: ManagingCaller, area: Key, form: Change) -> None:
    """Let cameras.yaml have the word again."""
    await _revert(rooms, caller, form, partial(_area, rooms=rooms, key=area))


@router.delete("/areas/{area}", status_code=HTTPStatus.NO_CONTENT)
async def remove_area(
    rooms: Rooms, caller: ManagingCaller, area: Key, version: AsRead, reason: Why = ""
) -> None:
    """Take an area out of service that nothing lies in any more. Its history stays."""

    def step(connection: Connection, saying: Saying) -> Changed:
        entry = _area(connection, rooms, area)
        used = [
            *organise.users_of_area(connection, area, rooms.enrolment.networks),
            *_told_about(rooms, "areas", area),
        ]
        done = store.remove(connection, entry, saying, version=version, used_by=used)
        retire_area(connection, area, now=saying.at)
        return done

    await _organised(rooms, caller, reason, step)


@router.put("/areas/{area}/boundary", status_code=HTTPStatus.NO_CONTENT)
async def set_boundary(rooms: Rooms, caller: ManagingCaller, area: Key, form: BoundaryChange) -> None:
    """The outline of an area on the map, from GeoJSON of up to 1 MiB and 50,000 points."""
    try:
        geometry = None if form.geojson is None else boundary.outline(form.geojson)
    except InvalidInputError as error:
        raise InvalidInputError(f"geojson: {error.message}", mend=error.mend) from None
    await _set(rooms, caller, form, {"geometry": geometry}, partial(_outline, rooms=rooms, area=area))


@router.post("/areas/{area}/boundary/revert", status_code=HTTPStatus.NO_CONTENT)
async def revert_boundary(rooms: Rooms, caller: ManagingCaller, area: Key, form: Change) -> None:
    """Let cameras.yaml have the word about the outline again."""
    await _revert(rooms, caller, form, partial(_outline, rooms=rooms, area=area))


def _areas(connection: Connection, rooms: Context) -> Mapping[str, SettingsEntry]:
    return organise.area_entries(connection, rooms.configured.declared)


def _area(connection: Connection, rooms: Context, key: str) -> SettingsEntry:
    return store.find(_areas(connection, rooms), Kind.AREA, key)


def _outline(connection: Connection, rooms: Context, area: str) -> SettingsEntry:
    _area(connection, rooms, area)
    return organise.boundary_entries(connection, rooms.configured.declared, [area])[area]


def _boundary_state(entry: SettingsEntry) -> BoundaryState:
    geometry = entry.values["geometry"]
    return BoundaryState(
        source=entry.source,
        points=0 if geometry is None else boundary.size(geometry),
        version=entry.version,
    )


# --- into the file ----------------------------------------------------------------------------------------


@router.get("/cameras.yaml", response_class=PlainTextResponse)
async def as_file(rooms: Rooms) -> PlainTextResponse:
    """Tiers, departments, areas, recipients and routes as they hold now, as sections of cameras.yaml: to move
    into the file what the console says. Secrets are named, not told."""
    configured = rooms.configured

    def read(connection: Connection) -> str:
        known = organise.area_entries(connection, configured.declared)
        return declaration.written(
            organise.tier_entries(connection, configured.declared),
            _departments(connection, rooms),
            known,
            organise.boundary_entries(connection, configured.declared, known),
            kept.recipient_entries(connection, configured.faults),
            kept.routing_entry(connection, configured.faults),
        )

    return PlainTextResponse(
        await rooms.database.aread(read),
        media_type="application/yaml",
        headers={"Content-Disposition": 'attachment; filename="settings.yaml"'},
    )
