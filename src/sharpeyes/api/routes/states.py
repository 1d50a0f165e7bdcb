"""States: how many cameras stand how, now, and the intervals that led here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from sqlalchemy import Connection

from sharpeyes.api.auth import Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import IntervalPage, IntervalShape, StateCount, StateCounts
from sharpeyes.api.spans import span_of
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import from_datetime, iso
from sharpeyes.store.cameras import get_camera
from sharpeyes.store.telemetry import intervals as closed_intervals

router = APIRouter(prefix="/api/v1", tags=["states"])


@router.get("/states", dependencies=[Reader])
async def states(rooms: Rooms, by: Literal["tier", "department", "area", "zone"] = "tier") -> StateCounts:
    """Cameras counted by their present state. An area is counted by itself, without those below it."""
    tally = rooms.board.tally()
    numbers: Mapping[tuple[str, State], int] = {
        "tier": {(tier.value, state): number for (tier, state), number in tally.by_tier.items()},
        "department": tally.by_department,
        "area": tally.by_area,
        "zone": tally.by_zone,
    }[by]
    counts: dict[str, dict[State, int]] = {}
    for (key, state), number in numbers.items():
        counts.setdefault(key, dict.fromkeys(State, 0))[state] = number
    return StateCounts(
        at=iso(rooms.clock()),
        by=by,
        items=tuple(
            StateCount(
                key=key,
                cameras=sum(by_state.values()),
                **{state.value: number for state, number in by_state.items()},
            )
            for key, by_state in sorted(counts.items())
        ),
    )


@router.get("/intervals", dependencies=[Reader])
async def intervals(
    rooms: Rooms,
    camera: Annotated[str, Query(max_length=64, description="Id of the camera.")],
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Default: 24 hours ago.")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
    after: Annotated[AwareDatetime | None, Query(description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> IntervalPage:
    """The states of one camera over time, oldest first, unclipped: closed intervals, then the open one."""
    now = rooms.clock()
    span = span_of(start, end, now=now)
    since = None if after is None else from_datetime(after)

    def read(connection: Connection) -> list[Interval]:
        get_camera(connection, camera)
        return closed_intervals(connection, camera, span, after=since, limit=limit + 1)

    # The open interval is taken first: one that closes meanwhile is then seen twice rather than never.
    entry = rooms.board.get(camera)
    found = await rooms.database.aread(read)
    page = found[:limit]
    more = len(found) > limit
    if entry is not None and not more:
        standing = entry.standing
        open_one = Interval(
            camera=camera, state=standing.state, start=standing.since, end=None, cause=standing.cause
        )
        if standing.since < span.end and not any(i.start == open_one.start for i in page):
            page.append(open_one)
    return IntervalPage(
        items=tuple(IntervalShape.of(interval) for interval in page),
        next=iso(page[-1].start) if more else None,
    )
