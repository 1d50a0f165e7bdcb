"""Dossiers of cameras, where they stand, and what of a camera was set by hand."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from sharpeyes.domain.access import FORBIDDEN_PLACES
from sharpeyes.domain.dossier import FIELDS, Dossier
from sharpeyes.domain.time import Ms
from sharpeyes.store.access_schema import camera_place
from sharpeyes.store.dossier_schema import area_boundary, camera_edited, dossier, import_map
from sharpeyes.store.schema import camera, chunks

EARTH_M = 6_371_008.8
"""Mean radius of the Earth."""
_SELECT = select(dossier.c.camera_id, *(dossier.c[name] for name in FIELDS))


def get_dossiers(connection: Connection, ids: Iterable[str]) -> dict[str, Dossier]:
    """Those of the cameras that have one."""
    found: dict[str, Dossier] = {}
    for some in chunks(ids):
        found |= _dossiers(connection.execute(_SELECT.where(dossier.c.camera_id.in_(some))))
    return found


def list_dossiers(connection: Connection) -> dict[str, Dossier]:
    """All there are, of retired cameras too."""
    return _dossiers(connection.execute(_SELECT))


def put_dossiers(connection: Connection, items: Mapping[str, Dossier], *, now: Ms) -> None:
    """Insert or replace by camera, which must be stored."""
    known = set(get_dossiers(connection, items))
    rows = [
        {name: getattr(item, name) for name in FIELDS} | {"changed_ms": now, "key": key}
        for key, item in items.items()
    ]
    if old := [row for row in rows if row["key"] in known]:
        values: dict[str, Any] = {name: bindparam(name) for name in (*FIELDS, "changed_ms")}
        connection.execute(update(dossier).where(dossier.c.camera_id == bindparam("key")).values(values), old)
    if new := [row | {"camera_id": row.pop("key")} for row in rows if row["key"] not in known]:
        connection.execute(insert(dossier), new)


# --- where cameras stand --------------------------------------------------------------------------------


class Near(NamedTuple):
    """A camera and how far it is from a point."""

    camera: str
    metres: float
    latitude: float
    longitude: float


def near(
    connection: Connection, latitude: float, longitude: float, *, radius_m: float, limit: int
) -> list[Near]:
    """Cameras in service within ``radius_m`` of a point (degrees), the nearest first."""
    d = dossier.c
    reach = math.degrees(radius_m / EARTH_M)
    query = (
        select(d.camera_id, d.latitude, d.longitude)
        .join(camera, camera.c.id == d.camera_id)
        .where(
            camera.c.retired_ms.is_(None),
            d.longitude.is_not(None),
            d.latitude.between(latitude - reach, latitude + reach),
        )
    )
    if (narrow := math.cos(math.radians(min(abs(latitude) + reach, 90)))) > 0.01:
        wide = reach / narrow
        if longitude - wide >= -180 and longitude + wide <= 180:  # else the box would cross the date line
            query = query.where(d.longitude.between(longitude - wide, longitude + wide))
    found = [
        Near(row.camera_id, distance_m(latitude, longitude, row.latitude, row.longitude), *row[1:])
        for row in connection.execute(query)
    ]
    within = [one for one in found if one.metres <= radius_m]
    return sorted(within, key=lambda one: (one.metres, one.camera))[:limit]


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Along the ground between two points in degrees, on a sphere."""
    a, b = math.radians(lat_a), math.radians(lat_b)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def put_boundaries(connection: Connection, geometries: Mapping[str, Mapping[str, Any]]) -> None:
    """The boundaries of areas as GeoJSON geometries: these and no others."""
    connection.execute(delete(area_boundary))
    if geometries:
        connection.execute(
            insert(area_boundary), [{"area": key, "geometry": g} for key, g in geometries.items()]
        )


def list_boundaries(connection: Connection) -> dict[str, Mapping[str, Any]]:
    return {row.area: row.geometry for row in connection.execute(select(area_boundary))}


# --- what is kept beside ----------------------------------------------------------------------------------


def mark_edited(connection: Connection, fields: Mapping[str, Collection[str]]) -> None:
    """Remember that these fields of these cameras were set by hand or by a dossier."""
    known = edited(connection, fields)
    rows = [
        {"camera_id": key, "field": name}
        for key, names in fields.items()
        for name in sorted(set(names) - known.get(key, set()))
    ]
    if rows:
        connection.execute(insert(camera_edited), rows)


def edited(connection: Connection, ids: Iterable[str]) -> dict[str, set[str]]:
    """The fields of each camera that were set by hand; cameras without any are left out."""
    found: dict[str, set[str]] = {}
    for some in chunks(ids):
        query = select(camera_edited).where(camera_edited.c.camera_id.in_(some))
        for key, name in connection.execute(query):
            found.setdefault(key, set()).add(name)
    return found


def edited_cameras(connection: Connection, field: str) -> set[str]:
    """Cameras whose ``field`` was set by hand or by a dossier."""
    query = select(camera_edited.c.camera_id).where(camera_edited.c.field == field)
    return set(connection.scalars(query))


def forbidden_cameras(connection: Connection) -> dict[str, str]:
    """Cameras that are known to stand where the law allows none, with the kind of place."""
    query = select(camera_place).where(camera_place.c.place.in_([place.value for place in FORBIDDEN_PLACES]))
    return {row.camera_id: row.place for row in connection.execute(query)}


class StoredMap(NamedTuple):
    """How the files of one source are read."""

    name: str
    map: Mapping[str, Any]
    changed_by: str
    changed: Ms


def put_map(connection: Connection, item: StoredMap) -> None:
    forget_map(connection, item.name)
    connection.execute(
        insert(import_map).values(
            name=item.name, map=item.map, changed_by=item.changed_by, changed_ms=item.changed
        )
    )


def list_maps(connection: Connection) -> list[StoredMap]:
    rows = connection.execute(select(import_map).order_by(import_map.c.name))
    return [StoredMap(*row) for row in rows]


def forget_map(connection: Connection, name: str) -> bool:
    """False if there was none."""
    return bool(connection.execute(delete(import_map).where(import_map.c.name == name)).rowcount)


def _dossiers(rows: Iterable[Any]) -> dict[str, Dossier]:
    return {row[0]: Dossier(**dict(zip(FIELDS, row[1:], strict=True))) for row in rows}
