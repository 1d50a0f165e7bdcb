"""The search for cameras in the configured networks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import Field

from sharpeyes.api.auth import Admin, Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Instant, Shape
from sharpeyes.discovery.enrolment import Run
from sharpeyes.domain.time import iso

router = APIRouter(prefix="/api/v1/discovery", tags=["discovery"])


class RunError(Shape):
    where: Annotated[str, Field(description="Address of the device, or the network.")]
    message: str


class RunShape(Shape):
    """One search of all networks."""

    started: Instant
    ended: Annotated[Instant | None, Field(description="Null while it goes on.")]
    step: Annotated[str | None, Field(description="'probe', 'sweep' or 'enrol'.")]
    done: int
    total: Annotated[int, Field(description="Of the step; 0 if that is not known.")]
    found: Annotated[int, Field(description="Devices.")]
    enrolled: Annotated[int, Field(description="Of those, the ones that told their channels.")]
    added: Annotated[int, Field(description="Cameras that are new in the registry.")]
    errors: tuple[RunError, ...]

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(
            started=iso(run.started),
            ended=None if run.ended is None else iso(run.ended),
            step=run.step,
            done=run.done,
            total=run.total,
            found=run.found,
            enrolled=run.enrolled,
            added=run.added,
            errors=tuple(RunError(where=where, message=message) for where, message in run.errors),
        )


class Discovery(Shape):
    last: Annotated[RunShape | None, Field(description="The latest search, if there was one.")]


@router.get("", dependencies=[Reader])
async def latest(rooms: Rooms) -> Discovery:
    """How the latest search for cameras went, or goes."""
    run = rooms.enrolment.last
    return Discovery(last=None if run is None else RunShape.of(run))


@router.post("", status_code=HTTPStatus.ACCEPTED, dependencies=[Admin])
async def begin(rooms: Rooms) -> Discovery:
    """Search all configured networks now; follow it with GET."""
    rooms.enrolment.begin()
    return await latest(rooms)
