"""What rights go by besides people and grants: policies, and the cameras with their places and masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from sharpeyes.domain.access import Place, Target
from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.masks import Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.store.access_schema import camera_mask, camera_place, view_policy
from sharpeyes.store.schema import area, camera, chunks


def read_policies(connection: Connection) -> dict[Tier, Mapping[str, Any]]:
    """What differs from the defaults, by tier."""
    return {Tier(row.tier): row.settings for row in connection.execute(select(view_policy))}


def put_policy(connection: Connection, tier: Tier, settings: Mapping[str, Any], now: Ms) -> None:
    values = {"settings": dict(settings), "changed_ms": now}
    if not connection.execute(update(view_policy).where(view_policy.c.tier == tier).values(values)).rowcount:
        connection.execute(insert(view_policy).values(tier=tier, **values))


def put_place(connection: Connection, camera_id: str, place: Place) -> None:
    connection.execute(delete(camera_place).where(camera_place.c.camera_id == camera_id))
    if place is not Place.OPEN:
        connection.execute(insert(camera_place).values(camera_id=camera_id, place=place))


def put_masks(connection: Connection, camera_id: str, masks: Sequence[Mask]) -> None:
    """These and no others, for a camera that is in the registry."""
    connection.execute(delete(camera_mask).where(camera_mask.c.camera_id == camera_id))
    if masks:
        document = [{"name": mask.name, "points": [list(point) for point in mask.points]} for mask in masks]
        connection.execute(insert(camera_mask).values(camera_id=camera_id, masks=document))


def get_masks(connection: Connection, camera_id: str) -> tuple[Mask, ...]:
    """What must be painted over in this camera's picture. What cannot be read is an error, never "none"."""
    row = connection.execute(
        select(camera_mask.c.masks).where(camera_mask.c.camera_id == camera_id)
    ).one_or_none()
    if row is None:
        return ()
    return tuple(
        Mask(name=mask["name"], points=tuple((int(x), int(y)) for x, y in mask["points"]))
        for mask in row.masks
    )


def get_target(connection: Connection, camera_id: str) -> Target:
    """NotFoundError if the registry never had such a camera; one that is retired comes out as retired."""
    row = connection.execute(_targets().where(camera.c.id == camera_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no camera {camera_id!r}")
    return _target(row)


def list_targets(connection: Connection, ids: Collection[str] | None = None) -> list[Target]:
    """Every camera, or these."""
    if ids is None:
        return [_target(row) for row in connection.execute(_targets())]
    of = (_targets().where(camera.c.id.in_(some)) for some in chunks(sorted(ids)))
    return [_target(row) for query in of for row in connection.execute(query)]


def read_area_parents(connection: Connection) -> dict[str, str | None]:
    return {row.id: row.parent for row in connection.execute(select(area.c.id, area.c.parent))}


def _targets() -> Select[Any]:
    columns = camera.c
    return select(
        columns.id,
        columns.department,
        columns.tier,
        columns.area,
        columns.tags,
        columns.retired_ms,
        camera_place.c.place,
    ).outerjoin(camera_place, camera_place.c.camera_id == columns.id)


def _target(row: Row[Any]) -> Target:
    return Target(
        camera=row.id,
        owner=row.department,
        tier=Tier(row.tier),
        area=row.area,
        tags=tuple(row.tags),
        place=Place(row.place or Place.OPEN),
        retired=row.retired_ms is not None,
    )
