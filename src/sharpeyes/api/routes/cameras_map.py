"""Cameras as a table and a map want them: all in little, the nearest to a point, where none works."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.api.auth import Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.packed import packed_json
from sharpeyes.api.schemas import Shape
from sharpeyes.api.table import COLUMNS
from sharpeyes.domain.health import State
from sharpeyes.store.cameras import get_cameras
from sharpeyes.store.dossiers import Near, list_boundaries
from sharpeyes.store.dossiers import near as nearest
from sharpeyes.store.organisation import list_areas

router = APIRouter(prefix="/api/v1", tags=["cameras"], dependencies=[Reader])

WORKING = frozenset({State.ONLINE, State.DEGRADED})


class CameraTable(Shape):
    """All cameras in service, by id: a row each, its values in the order of ``columns``."""

    columns: Annotated[tuple[str, ...], Field(examples=[list(COLUMNS)])]
    rows: Annotated[
        tuple[tuple[Any, ...], ...],
        Field(
            description="'maintenance' is 0 or 1, 'tags' are joined by spaces, 'since' is in ms of UTC; "
            "what is not known is null."
        ),
    ]


class NearCamera(Shape):
    id: str
    name: str
    code: str | None
    tier: str
    department: str
    area: str
    state: Annotated[str | None, Field(description="Null while nothing is known of it.")]
    metres: Annotated[float, Field(description="Along the ground.")]
    longitude: float
    latitude: float


class NearCameras(Shape):
    items: Annotated[tuple[NearCamera, ...], Field(description="The nearest first.")]


class AreaCover(Shape):
    """How an area is covered, with all areas below it."""

    area: str
    name: str
    cameras: int
    working: Annotated[int, Field(description="Online or degraded.")]
    unknown: Annotated[int, Field(description="Not seen by us: neither working nor not.")]
    blind: Annotated[bool, Field(description="No camera works there, or there is none.")]


class AreaCovers(Shape):
    items: tuple[AreaCover, ...]


@router.get("/cameras/table", response_model=CameraTable)
async def table(request: Request, rooms: Rooms) -> Response:
    """Everything that a table and a map show, in one answer: 4,000 cameras are some 150 kB compressed.

    Whoever sends its ETag in `If-None-Match` gets 304 while it is the same.
    """
    return (await rooms.table.get()).response(request)


@router.get("/cameras/near")
async def near(
    rooms: Rooms,
    latitude: Annotated[float, Query(ge=-90, le=90)],
    longitude: Annotated[float, Query(ge=-180, le=180)],
    radius: Annotated[float, Query(gt=0, le=50_000, description="In metres.")] = 500,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> NearCameras:
    """Cameras around an incident, by distance. Those whose dossier has no position are not among them."""

    def read(connection: Connection) -> tuple[list[Near], dict[str, Any]]:
        found = nearest(connection, latitude, longitude, radius_m=radius, limit=limit)
        return found, dict(get_cameras(connection, [one.camera for one in found]))

    found, cameras = await rooms.database.aread(read)
    items = []
    for one in found:
        camera, entry = cameras[one.camera], rooms.board.get(one.camera)
        items.append(
            NearCamera(
                id=camera.id,
                name=camera.name,
                code=camera.code,
                tier=camera.tier,
                department=camera.department,
                area=camera.area,
                state=entry.standing.state if entry else None,
                metres=round(one.metres, 1),
                longitude=one.longitude,
                latitude=one.latitude,
            )
        )
    return NearCameras(items=tuple(items))


@router.get("/areas/boundaries")
async def boundaries(request: Request, rooms: Rooms) -> Response:
    """The boundaries of areas that cameras.yaml gives, as a GeoJSON FeatureCollection: a feature's id is the
    area's, its properties are `name` and `parent`."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        known = {area.id: area for area in list_areas(connection)}
        return [
            {
                "type": "Feature",
                "id": key,
                "properties": {"name": known[key].name, "parent": known[key].parent},
                "geometry": geometry,
            }
            for key, geometry in sorted(list_boundaries(connection).items())
            if key in known
        ]

    features = await rooms.database.aread(read)
    return packed_json(request, {"type": "FeatureCollection", "features": features})


@router.get("/areas/cover")
async def cover(rooms: Rooms, blind: bool | None = None) -> AreaCovers:
    """Each area in service with all below it: how many cameras it has and how many work. `blind=true`: only
    areas in which none does."""
    areas = await rooms.database.aread(list_areas)
    parents = {area.id: area.parent for area in areas}
    counts: Counter[tuple[str, State]] = Counter()
    for (key, state), number in rooms.board.tally().by_area.items():
        node: str | None = key
        while node is not None:
            counts[node, state] += number
            node = parents.get(node)
    items = []
    for area in areas:
        working = sum(counts[area.id, state] for state in WORKING)
        item = AreaCover(
            area=area.id,
            name=area.name,
            cameras=sum(counts[area.id, state] for state in State),
            working=working,
            unknown=counts[area.id, State.UNKNOWN],
            blind=working == 0,
        )
        if blind is None or item.blind is blind:
            items.append(item)
    return AreaCovers(items=tuple(items))
