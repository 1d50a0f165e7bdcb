"""An import of any size, in short writes: what probes see, and what somebody revokes, is written in between.

It is planned on a snapshot and staged, some cameras a write; then decided, in one short write that makes sure
that the registry still is what was planned on. Until then nothing of it has changed. From then on all of it
will: it is written from what is staged, some cameras a write, and a service that stops or dies in the middle
goes on with it at its next start, before anything else. Meanwhile nobody else in this process changes the
registry; in no process is another import begun, and two that write at the same one take turns.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import asdict
from functools import partial as bind
from itertools import count
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError, OperationalError

from sharpeyes.domain.camera import Camera, Origin, Stream, StreamRole, Transport
from sharpeyes.domain.dossier import Dossier
from sharpeyes.domain.errors import ConflictError, SharpEyesError, UnavailableError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, iso
from sharpeyes.registry import imports, registry
from sharpeyes.registry.import_map import ImportMap
from sharpeyes.registry.imports import City, Plan, Step, Told, tell_nobody
from sharpeyes.registry.sheet import Table
from sharpeyes.store import schema
from sharpeyes.store.database import FULL, Database
from sharpeyes.store.dossier_schema import camera_edited, dossier
from sharpeyes.store.dossiers import mark_edited, put_dossiers
from sharpeyes.store.events import Event, record
from sharpeyes.store.staged import (
    Staged,
    add_rows,
    add_staged,
    count_rows,
    decide_staged,
    drop_rows,
    drop_staged,
    hold_staged,
    list_staged,
    next_rows,
    one_at_a_time,
)

log = logging.getLogger(__name__)

AT_ONCE = 25
"""Cameras in one write: ten milliseconds of one core. Where several share a core it takes many times as long,
and whoever writes meanwhile is to wait for no more than a tenth of a second."""
LOOKS, LOOK_S = 20, 0.5
"""An import of which nothing more is staged from the first look to the last is nobody's: its process died. No
clock of another machine is gone by; and one that was only slow is planned anew."""
ATTEMPTS = 5
"""Plans made before a registry that changes all the time is said to."""
AGAIN_S = 2.0
"""Until what the disk refused is tried again."""

REFUSALS = (DBAPIError, SharpEyesError, AttributeError, KeyError, TypeError, ValueError)
"""Somebody in another process was faster, or another version has staged it: the others go on."""

WHY = "an import is being written to the registry"
PLANNED_ON = (
    schema.camera,
    schema.stream,
    dossier,
    camera_edited,
    schema.department,
    schema.area,
    schema.zone,
)
"""What a plan rests on, and nobody else changes while one is written."""


async def take(
    database: Database,
    table: Table,
    how: ImportMap,
    *,
    digest: str | None,
    partial: bool,
    source: str,
    by: str,
    clock: Callable[[], Ms],
    told: Told = tell_nobody,
    stopping: asyncio.Event | None = None,
) -> Plan:
    """Do what :func:`sharpeyes.registry.imports.plan` says, with the journal; a second time is nothing.

    ConflictError if the effect is not that of ``digest`` (None: not previewed), if rows are rejected and
    ``partial`` does not leave them out, and while another is under way, whoever's. Once it is decided, a disk
    that refuses is tried again until it takes all of it, or ``stopping`` is set: then UnavailableError, and
    the next start writes the rest.
    """
    with database.reserved(*PLANNED_ON, why=WHY):
        await _finish(database, stopping=stopping)  # one whose asker went away
    for _ in range(ATTEMPTS):
        now = clock()
        city, state = await database.aread(lambda c: (imports.snapshot(c), _state(c)))
        wanted = await asyncio.to_thread(imports.plan, table, how, city, now=now, told=told)
        imports.check(wanted, digest, partial=partial)
        bodies = await asyncio.to_thread(_bodies, wanted, city)
        item = Staged(secrets.token_hex(8), now, f"imported from {source} by {by}", decided=False)
        await _begin(database, item)
        try:
            for at in range(0, len(bodies), AT_ONCE):
                some = bodies[at : at + AT_ONCE]
                if not await database.awrite(bind(_stage, item=item, first=at, bodies=some)):
                    break
            with database.reserved(*PLANNED_ON, why=WHY):
                if await database.awrite(bind(_decide, item=item, state=state)):
                    await _finish(database, told=told, stopping=stopping)
                    return wanted
        finally:
            await database.awrite(bind(_forget, item=item))
    raise ConflictError("the registry changes all the time", mend="Try again when nobody else changes it")


async def finish(database: Database) -> int:
    """What an earlier run left behind: an import that was decided is written to its end, one that was not is
    forgotten. To be called at a start, before anything else; how many steps it took."""
    await database.awrite(_forget_undecided)
    return await _finish(database)


async def _finish(
    database: Database, *, told: Told = tell_nobody, stopping: asyncio.Event | None = None
) -> int:
    """Write what is left of an import that was decided; how many steps it took."""
    item = next((one for one in await database.aread(list_staged) if one.decided), None)
    if item is None:
        return 0
    of = await database.aread(bind(count_rows, import_id=item.id))
    steps, failing, limit = 0, False, AT_ONCE
    while True:
        told(Step.WRITTEN, min(steps * AT_ONCE, of), of)
        try:
            if not await database.awrite(bind(_write, item=item, limit=limit), holder=True):
                return steps
        except OperationalError as error:
            if not failing:
                log.error("an import that was decided cannot be written on: %s. %s", error.orig, FULL)
            failing = True
            if stopping is not None and stopping.is_set():
                raise UnavailableError(
                    "an import was not written to its end",
                    mend="The next start of the service writes the rest",
                ) from None
            await asyncio.sleep(AGAIN_S)
            continue
        except REFUSALS:
            if limit == 1:
                raise
            limit = 1  # one of these; it is left out alone
            continue
        steps += 1
        await asyncio.sleep(0)


def _state(connection: Connection) -> list[tuple[Any, ...]]:
    """Another one after every change of what a plan rests on, whichever process made it."""
    changed = [select(func.count(), func.sum(table.c.changed_ms)) for table in (schema.camera, dossier)]
    small = [select(table).order_by(table.c.id) for table in (schema.department, schema.area, schema.zone)]
    queries = (*changed, select(func.count()).select_from(camera_edited), *small)
    return [tuple(row) for query in queries for row in connection.execute(query)]


async def _begin(database: Database, item: Staged) -> None:
    """Be the only one under way. ConflictError as soon as it is seen that another goes on."""
    first: tuple[Staged, int] | None = None
    for look in count():
        found = await database.awrite(bind(_add, item=item, dead=first if look >= LOOKS else None))
        if found is None:
            return
        other, _ = found
        if other.decided or first not in (None, found):
            raise ConflictError(
                f"another import is under way since {iso(other.at)}: {other.reason}",
                mend="Try again in a minute",
            )
        first = found
        await asyncio.sleep(LOOK_S)


def _add(connection: Connection, item: Staged, dead: tuple[Staged, int] | None) -> tuple[Staged, int] | None:
    """Add it. If there is another that is not as ``dead`` as it was, that one is given instead, with the rows
    of it that are staged."""
    one_at_a_time(connection)
    for other in list_staged(connection):
        found = other, count_rows(connection, other.id)
        if found != dead:
            return found
        _forget(connection, other)
    add_staged(connection, item)
    return None


def _stage(connection: Connection, item: Staged, first: int, bodies: list[str]) -> bool:
    """False if somebody took it for one that nobody goes on with."""
    if not hold_staged(connection, item.id):
        return False
    add_rows(connection, item.id, first, bodies)
    return True


def _decide(connection: Connection, item: Staged, state: list[tuple[Any, ...]]) -> bool:
    """In the writer's turn, when whatever came before is written. False if the registry has changed, or it is
    not there any more."""
    return _state(connection) == state and decide_staged(connection, item.id)


def _forget(connection: Connection, item: Staged) -> None:
    """Unless it was decided."""
    if hold_staged(connection, item.id, decided=False):
        drop_rows(connection, item.id, 1 << 62)
        drop_staged(connection, item.id)


def _forget_undecided(connection: Connection) -> None:
    for item in list_staged(connection):
        _forget(connection, item)


def _leave_out(connection: Connection, item: Staged, body: str, why: str) -> None:
    """One that cannot be written any more."""
    try:
        key = str(json.loads(body)["key"])
    except (KeyError, TypeError, ValueError):
        key = ""
    log.error("camera %s of an import was left out: %s", key, why)
    record(connection, [Event(at=item.at, kind="conflict", subject=key, message=f"left out: {item.reason}")])


def _write(connection: Connection, item: Staged, limit: int) -> bool:
    """The next few of them; False if none was left. If it is one that cannot be written, it is left out."""
    if not hold_staged(connection, item.id):
        return False
    rows = next_rows(connection, item.id, limit)
    if not rows:
        drop_staged(connection, item.id)
        return False
    bodies = [body for _, body in rows]
    if limit > 1:
        _put(connection, item, bodies)
    else:
        try:
            with connection.begin_nested():
                _put(connection, item, bodies)
        except OperationalError:
            raise
        except REFUSALS as error:
            _leave_out(connection, item, bodies[0], str(error))
    drop_rows(connection, item.id, rows[-1][0])
    return True


def _put(connection: Connection, item: Staged, staged: list[str]) -> None:
    bodies = [json.loads(body) for body in staged]
    free = [key for body in bodies for key in body.get("free", ())]
    if free:  # somebody else of this import gets their number, and they another one
        connection.execute(update(schema.camera).where(schema.camera.c.id.in_(free)).values(code=None))
    cameras = [_camera(body["camera"]) for body in bodies if body.get("camera")]
    registry.put(connection, cameras, item.at, item.reason)
    dossiers = {body["key"]: Dossier(**body["dossier"]) for body in bodies if body.get("dossier")}
    put_dossiers(connection, dossiers, now=item.at)
    mark_edited(connection, {body["key"]: frozenset(body["stated"]) for body in bodies if body.get("stated")})
    record(
        connection,
        [
            Event(
                at=item.at,
                kind="dossier_changed",
                subject=body["key"],
                message=item.reason,
                detail=body["changed"],
            )
            for body in bodies
            if body.get("changed") is not None
        ],
    )
    registry.number_cameras(connection, now=item.at, only=[camera.id for camera in cameras])


def _bodies(wanted: Plan, city: City) -> list[str]:
    """What is staged: the numbers that are given up first, then everything of a camera together."""
    cameras = {camera.id: camera for camera in wanted.cameras}
    takers = {camera.code: camera.id for camera in wanted.cameras if camera.code is not None}
    free = [one.id for one in city.cameras if one.code in takers and takers[one.code] != one.id]
    found = [json.dumps({"free": free[at : at + AT_ONCE]}) for at in range(0, len(free), AT_ONCE)]
    changed = {row.camera: row for row in wanted.rows if row.changes and row.camera is not None}
    for key in dict.fromkeys((*cameras, *wanted.dossiers, *wanted.stated)):
        body: dict[str, Any] = {"key": key}
        if key in cameras:
            body["camera"] = asdict(cameras[key])
        if key in wanted.dossiers:
            body["dossier"] = asdict(wanted.dossiers[key])
            if key in changed:
                body["changed"] = imports.detail_of(changed[key].changes)
        if key in wanted.stated:
            body["stated"] = sorted(wanted.stated[key])
        found.append(json.dumps(body, ensure_ascii=False))
    return found


def _camera(body: dict[str, Any]) -> Camera:
    streams = tuple(Stream(**{**stream, "role": StreamRole(stream["role"])}) for stream in body["streams"])
    return Camera(
        **{
            **body,
            "tier": Tier(body["tier"]),
            "origin": Origin(body["origin"]),
            "transport": Transport(body["transport"]),
            "streams": streams,
            "tags": tuple(body["tags"]),
        }
    )
