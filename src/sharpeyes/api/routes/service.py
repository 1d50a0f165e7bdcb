"""Health of the service itself, and its metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from prometheus_client import generate_latest
from pydantic import Field

from sharpeyes.api.auth import Reader, metrics_reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.metrics import CONTENT_TYPE, camera_page
from sharpeyes.api.schemas import Shape
from sharpeyes.domain.errors import NotFoundError, UnavailableError

router = APIRouter(tags=["service"])


class MapShape(Shape):
    """What lies under the areas and cameras of a map."""

    tiles: Annotated[str | None, Field(description="With {z}, {x} and {y}; null: nothing.")]
    credit: Annotated[str, Field(description="Whom they are from, to be shown with them.")]


class Alive(Shape):
    status: Literal["ok"] = "ok"


@router.get("/api/v1/map", dependencies=[Reader])
async def map_ground(rooms: Rooms) -> MapShape:
    """The tiles of the site's map, as configured."""
    return MapShape(tiles=rooms.map_tiles, credit=rooms.map_credit)


@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers. Nothing else is checked: a restart would not mend it."""
    return Alive()


@router.get("/readyz")
async def readyz(rooms: Rooms) -> Alive:
    """The service does its work: 503 with the reasons if it does not."""
    if reasons := rooms.readiness():
        raise UnavailableError("; ".join(reasons))
    return Alive()


@router.get("/metrics", dependencies=[Depends(metrics_reader)], response_class=PlainTextResponse)
async def metrics(rooms: Rooms) -> Response:
    """Prometheus metrics: aggregates by tier and state."""
    return Response(generate_latest(rooms.metrics.registry), media_type=CONTENT_TYPE)


@router.get("/metrics/cameras", dependencies=[Depends(metrics_reader)], response_class=PlainTextResponse)
async def camera_metrics(rooms: Rooms) -> StreamingResponse:
    """Prometheus metrics of each camera, if they are switched on."""
    if not rooms.camera_metrics:
        raise NotFoundError(
            "metrics by camera are switched off", mend="Set SHARPEYES_CAMERA_METRICS=true to have them"
        )
    return StreamingResponse(camera_page(rooms.board), media_type=CONTENT_TYPE)
