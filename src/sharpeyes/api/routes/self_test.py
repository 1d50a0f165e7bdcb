"""The monitor's own sight: canaries, times in which it could not see a zone, and what is put down to what."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection

from sharpeyes.access import entries
from sharpeyes.access.register.entry import Entry
from sharpeyes.api.auth import OperatorCaller, Reader
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, iso
from sharpeyes.selfwatch.canaries import Canary
from sharpeyes.selfwatch.own_outages import Change
from sharpeyes.selfwatch.reckoner import EXPECTED
from sharpeyes.selfwatch.schedule import FAULTS, Show
from sharpeyes.store import own_outages
from sharpeyes.store.own_outages import StoredOutage

router = APIRouter(prefix="/api/v1", tags=["self-test"])

TEXT = 2000


class CanaryFault(Shape):
    """How one kind of fault has fared since the service started."""

    kind: Show
    words: Annotated[tuple[str, ...], Field(description="Any of these names it.")]
    detected: int
    missed: int


class CanaryShape(Shape):
    zone: str
    shows: Show
    until: Annotated[Instant, Field(description="When it shows the next thing.")]
    state: State
    cause: str | None
    faults: Annotated[tuple[str, ...], Field(description="What is said of its picture and its clock.")]
    seen: Annotated[Instant, Field(description="When it was last seen as what it shows.")]
    failing: Annotated[
        Instant | None, Field(description="Since when the zone is not seen; null while it is.")
    ]
    found: Annotated[tuple[CanaryFault, ...], Field(description="By kind of fault.")]
    false_alarms: Annotated[dict[str, int], Field(description="What was said of it while it was well.")]

    @classmethod
    def of(cls, canary: Canary) -> Self:
        account, said = canary.account, canary.said
        return cls(
            zone=canary.zone,
            shows=canary.shown,
            until=iso(account.phase.end),
            state=said.state,
            cause=said.cause,
            faults=tuple(sorted(said.faults)),
            seen=iso(account.good),
            failing=_instant(account.failing),
            found=tuple(
                CanaryFault(
                    kind=show,
                    words=tuple(sorted(EXPECTED[show])),
                    detected=canary.detected[show],
                    missed=canary.missed[show],
                )
                for show in FAULTS
            ),
            false_alarms=dict(sorted(canary.false_alarms.items())),
        )


class CanariesShape(Shape):
    enabled: bool
    trouble: Annotated[str | None, Field(description="Why none performs, or one does not; null if all do.")]
    items: tuple[CanaryShape, ...]


class OwnOutageShape(Shape):
    id: int
    zone: str
    reason: Annotated[str, Field(description="'canary', or 'mass': many unrelated cameras fell at once.")]
    since: Instant
    noticed: Instant
    ended: Annotated[Instant | None, Field(description="When the zone was seen again; null while it is not.")]
    fallen: int
    seen: Annotated[int, Field(description="Cameras of the zone that could be seen, those fallen included.")]
    branches: Annotated[int, Field(description="Unrelated things that the fallen hang from.")]
    real: Annotated[Instant | None, Field(description="When somebody said that the cameras did fail.")]
    real_by: str | None
    remark: str | None

    @classmethod
    def of(cls, outage: StoredOutage) -> Self:
        return cls(
            id=outage.id,
            zone=outage.zone,
            reason=outage.reason,
            since=iso(outage.since),
            noticed=iso(outage.noticed),
            ended=_instant(outage.ended),
            fallen=outage.fallen,
            seen=outage.seen,
            branches=outage.branches,
            real=_instant(outage.real),
            real_by=outage.real_by,
            remark=outage.remark,
        )


class OwnOutagePage(Shape):
    items: tuple[OwnOutageShape, ...]
    next: int | None


class ItWasReal(Body):
    remark: Annotated[str, Field(min_length=1, max_length=TEXT, description="How it is known.")]


class UpstreamNode(Shape):
    node: str
    cameras: Annotated[int, Field(description="Offline because of it, and counted as offline.")]


class Upstream(Shape):
    cameras: int
    items: tuple[UpstreamNode, ...]


@router.get("/canaries", dependencies=[Reader])
async def canaries(rooms: Rooms) -> CanariesShape:
    """Cameras of our own, one a zone, that show faults to a timetable: what they show, and what is said."""
    if rooms.canaries is None:
        return CanariesShape(enabled=False, trouble=None, items=())
    performing = rooms.canaries.performing
    return CanariesShape(
        enabled=True,
        trouble=rooms.canaries.trouble,
        items=tuple(CanaryShape.of(performing[zone]) for zone in sorted(performing)),
    )


@router.get("/own-outages", dependencies=[Reader])
async def outages(
    rooms: Rooms,
    before: Annotated[int | None, Query(ge=1, le=1 << 53, description="'next' of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> OwnOutagePage:
    """Times in which we could not see a zone, newest first: its cameras are unknown meanwhile."""
    found = await rooms.database.aread(
        lambda connection: own_outages.list_outages(connection, before=before, limit=limit + 1)
    )
    page = found[:limit]
    return OwnOutagePage(
        items=tuple(OwnOutageShape.of(one) for one in page),
        next=page[-1].id if len(found) > limit else None,
    )


@router.post("/own-outages/{key}/real")
async def real(
    rooms: Rooms, caller: OperatorCaller, key: Annotated[int, Path(ge=1, le=1 << 53)], form: ItWasReal
) -> OwnOutageShape:
    """Say that it was real: the cameras did stand as they were seen, and it counts. The register has it."""
    if rooms.own_outages is None:
        raise UnavailableError("outages of our own are not looked for here")
    now, register = rooms.clock(), rooms.access.register

    async def commit(change: Change) -> StoredOutage:
        def within(connection: Connection) -> tuple[list[Entry], StoredOutage]:
            outage = change(connection)
            entry = entries.policy_changed(
                now,
                caller.subject,
                "own_outage",
                outage=outage.id,
                zone=outage.zone,
                verdict="real",
                caller=caller.name,
                remark=form.remark,
            )
            return [entry], outage

        return await register.record(within)

    outage = await rooms.own_outages.say_real(key, by=caller.name, remark=form.remark, at=now, commit=commit)
    return OwnOutageShape.of(outage)


@router.get("/upstream", dependencies=[Reader])
async def upstream(rooms: Rooms) -> Upstream:
    """How many cameras are offline because of a recorder, switch, link or site above them."""
    counts = rooms.faults.loop.outcome.suppressed
    items = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Upstream(
        cameras=sum(counts.values()),
        items=tuple(UpstreamNode(node=node, cameras=number) for node, number in items),
    )


def _instant(at: Ms | None) -> str | None:
    return None if at is None else iso(at)
