"""What happens now: one glance at the service, and a stream of the same for pages that stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Annotated, Self

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field

from sharpeyes import __version__
from sharpeyes.api.auth import AnyCaller, Caller, Reader, holds
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.schemas import Instant, Shape, StateCount
from sharpeyes.domain.errors import LimitError
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import iso
from sharpeyes.health.board import StateChange, Subscription
from sharpeyes.health.quality import Quality

router = APIRouter(prefix="/api/v1", tags=["states"], dependencies=[Reader])

TICK_S = 1.0
"""Changes are gathered for this long, so that an outage of a district is not thousands of messages."""
STILL_S = 10.0
"""A word at least this often: proxies keep the stream open, and the page knows that it lives."""
MOST_CHANGES = 100
"""In one message; a page that needs all of them reads the cameras."""


MOST_STREAMS = 32
"""Of one person or token: a page has one."""


class ProberShape(Shape):
    """How the monitor itself does: to be looked at before any other figure is believed."""

    blind: Annotated[bool, Field(description="Most probes fail for the prober's own reasons.")]
    telemetry_failing: Annotated[bool, Field(description="The store cannot be written.")]
    probes: Annotated[int, Field(description="Ended since the service started.")]
    in_flight: int
    lateness_s: Annotated[float, Field(description="How long after its slot the latest probe began.")]
    ready: bool
    reasons: Annotated[tuple[str, ...], Field(description="Why it is not ready.")]


class PicturesShape(Shape):
    """How the looks at pictures keep up."""

    looks: Annotated[int, Field(description="Begun since the service started.")]
    failed: Annotated[int, Field(description="Of these, for a reason of the monitor's own.")]
    in_flight: Annotated[int, Field(description="Places taken by keyframes and pictures under way.")]
    places: Annotated[int, Field(description="That there are. Looks begin while less than half are taken.")]
    waiting: Annotated[int, Field(description="Cameras whose look waits for a place.")]
    waited_s: Annotated[float, Field(description="How long the one has waited that has waited longest.")]

    @classmethod
    def of(cls, quality: Quality) -> Self:
        stats, places = quality.stats, quality.places
        return cls(
            looks=stats.looks,
            failed=stats.failed,
            in_flight=places.taken,
            places=places.limit,
            waiting=places.waiting,
            waited_s=places.waited_s(asyncio.get_running_loop().time()),
        )


class Status(Shape):
    at: Instant
    site: Annotated[str, Field(description="Name of the city or district.")]
    timezone: Annotated[str, Field(description="IANA name of the site's time zone.")]
    version: str
    prober: ProberShape
    pictures: Annotated[PicturesShape | None, Field(description="None if no pictures are looked at.")]
    tiers: Annotated[tuple[StateCount, ...], Field(description="Cameras by tier and present state.")]

    @classmethod
    def of(cls, rooms: Context) -> Self:
        stats = rooms.fleet.stats
        by_tier = rooms.board.tally().by_tier
        reasons = tuple(rooms.readiness())
        tiers = []
        for tier in Tier:
            counts = {state.value: by_tier.get((tier, state), 0) for state in State}
            tiers.append(StateCount(key=tier, cameras=sum(counts.values()), **counts))
        return cls(
            at=iso(rooms.clock()),
            site=rooms.site,
            timezone=rooms.timezone,
            version=__version__,
            prober=ProberShape(
                blind=stats.blind,
                telemetry_failing=rooms.telemetry_failing(),
                probes=stats.probes,
                in_flight=rooms.fleet.turns.in_flight,
                lateness_s=max(0.0, stats.late_s),
                ready=not reasons,
                reasons=reasons,
            ),
            pictures=None if rooms.quality is None else PicturesShape.of(rooms.quality),
            tiers=tuple(tiers),
        )


class ChangeShape(Shape):
    camera: str
    before: str
    after: str
    at: Annotated[Instant, Field(description="The first sign of it, which may lie back.")]
    cause: str | None

    @classmethod
    def of(cls, change: StateChange) -> Self:
        return cls(
            camera=change.camera,
            before=change.before,
            after=change.after,
            at=iso(change.at),
            cause=change.cause,
        )


class News(Shape):
    """One message of the stream."""

    status: Status
    changes: Annotated[tuple[ChangeShape, ...], Field(description="Since the message before, oldest first.")]
    missed: Annotated[int, Field(description="Changes that are not among these: there were too many.")]


@router.get("/status")
async def status(rooms: Rooms) -> Status:
    """The site, how many cameras of each tier stand how, and how the monitor itself does."""
    return Status.of(rooms)


@router.get(
    "/live",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events named 'news'."}},
)
async def live(rooms: Rooms, caller: AnyCaller) -> StreamingResponse:
    """The same as a stream of server-sent events: a `news` at once, at every change, and every ten seconds.

    Its data is an object of `status`, `changes` (camera, before, after, at, cause) and `missed`. The stream
    ends when the session or the token ends. 429 for more of them at a time than anybody has pages.
    """
    if rooms.listeners[caller.name] >= MOST_STREAMS:
        raise LimitError(f"{MOST_STREAMS} streams are open already", mend="Close pages that nobody looks at")
    return StreamingResponse(
        _counted(rooms, caller),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _counted(rooms: Context, caller: Caller) -> AsyncIterator[str]:
    """Counted when it is begun, since one that nobody waits for any more never is."""
    if rooms.listeners[caller.name] >= MOST_STREAMS:
        return
    rooms.listeners[caller.name] += 1
    try:
        async with aclosing(news(rooms, lambda: holds(rooms, caller))) as stream:
            async for message in stream:
                yield message
    finally:
        rooms.listeners[caller.name] -= 1
        if not rooms.listeners[caller.name]:
            del rooms.listeners[caller.name]


async def news(rooms: Context, allowed: Callable[[], Awaitable[bool]]) -> AsyncGenerator[str]:
    """The stream's text, for as long as the service runs and whoever listens is allowed to."""
    with rooms.board.subscribe(MOST_CHANGES) as subscription:
        missed = 0
        while not rooms.stopping.is_set() and await allowed():
            changes = subscription.taken()
            message = News(
                status=Status.of(rooms),
                changes=tuple(ChangeShape.of(change) for change in changes),
                missed=subscription.missed - missed,
            )
            missed = subscription.missed
            yield f"event: news\ndata: {message.model_dump_json()}\n\n"
            await _until_changed(rooms, subscription)


async def _until_changed(rooms: Context, subscription: Subscription) -> None:
    for _ in range(int(STILL_S / TICK_S)):
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await rooms.stopping.wait()
        if rooms.stopping.is_set() or subscription.waiting:
            return
