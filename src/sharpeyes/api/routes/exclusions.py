"""Exclusions: asked for by one person, decided by another; the adjusted rate alone leaves them out."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from sharpeyes.api import auth
from sharpeyes.api.auth import AnyCaller, Disputer, Reader, Settler
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.api.spans import span_of
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms, Span, from_datetime, iso
from sharpeyes.store import exclusions
from sharpeyes.store.exclusions import SUBJECTS, TEXT, Exclusion, ExclusionScope, ExclusionStage

router = APIRouter(prefix="/api/v1/exclusions", tags=["exclusions"])

LIMIT = 1000


class Application(Body):
    scope: ExclusionScope
    subjects: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(min_length=1, max_length=SUBJECTS, description="Ids of cameras, areas, departments or tiers."),
    ]
    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]
    reason: Annotated[str, Field(min_length=1, max_length=TEXT)]
    evidence: Annotated[
        str, Field(min_length=1, max_length=TEXT, description="What proves it: a notice, a work order.")
    ]


class Decision(Body):
    approve: bool
    remark: Annotated[str, Field(max_length=TEXT)] = ""


class Withdrawal(Body):
    reason: Annotated[str, Field(min_length=1, max_length=TEXT, pattern=r"\S")]


class ExclusionShape(Shape):
    id: str
    stage: ExclusionStage
    scope: str
    subjects: tuple[str, ...]
    start: Annotated[Instant, Field(alias="from", serialization_alias="from")]
    end: Annotated[Instant, Field(alias="to", serialization_alias="to")]
    reason: str
    evidence: str
    applicant: str
    department: str | None
    applied: Instant
    retroactive: Annotated[bool, Field(description="Asked for when it had begun already.")]
    decider: str | None
    decided: Instant | None
    remark: str | None
    revoker: str | None
    revoked: Instant | None
    withdrawn: Instant | None
    withdrawal: Annotated[str | None, Field(description="Why its applicant withdrew it.")]

    @classmethod
    def of(cls, item: Exclusion) -> Self:
        return cls.model_validate(
            {
                "id": item.id,
                "stage": item.stage,
                "scope": item.scope,
                "subjects": item.subjects,
                "from": iso(item.span.start),
                "to": iso(item.span.end),
                "reason": item.reason,
                "evidence": item.evidence,
                "applicant": item.applicant,
                "department": item.department,
                "applied": iso(item.applied),
                "retroactive": item.retroactive,
                "decider": item.decider,
                "decided": _instant(item.decided),
                "remark": item.remark,
                "revoker": item.revoker,
                "revoked": _instant(item.revoked),
                "withdrawn": _instant(item.withdrawn),
                "withdrawal": item.withdrawal,
            }
        )


class Exclusions(Shape):
    items: tuple[ExclusionShape, ...]


@router.get("")
async def listed(
    rooms: Rooms,
    caller: AnyCaller,
    start: Annotated[AwareDatetime | None, Query(alias="from", description="Default: 24 hours ago.")] = None,
    end: Annotated[
        AwareDatetime | None, Query(alias="to", description="Default: 400 days ahead of 'from'.")
    ] = None,
    stage: ExclusionStage | None = None,
    camera: Annotated[
        str | None, Query(max_length=64, description="Those that touch this camera where it is now.")
    ] = None,
    department: Annotated[str | None, Query(max_length=64, description="That applied for it.")] = None,
    retroactive: bool | None = None,
    mine: Annotated[bool, Query(description="Only what this caller applied for.")] = False,
) -> Exclusions:
    """Exclusions that touch the span, planned ones included, by their start; at most 1000."""
    now = rooms.clock()
    since = span_of(start, None, now=now).start if start is None else from_datetime(start)
    until = Ms(since + exclusions.LONGEST_MS) if end is None else from_datetime(end)
    if until <= since:
        raise InvalidInputError("from: is not before 'to'")
    found = await rooms.database.aread(
        partial(
            exclusions.overlapping,
            span=Span(since, until),
            stage=stage,
            camera_id=camera,
            department=department,
            retroactive=retroactive,
            applicant=caller.name if mine else None,
            limit=LIMIT,
        )
    )
    return Exclusions(items=tuple(ExclusionShape.of(item) for item in found))


@router.post("", status_code=201)
async def apply(rooms: Rooms, caller: Disputer, asked: Application) -> ExclusionShape:
    """Ask for time to be left out of the adjusted rate. It counts once another person has approved it."""
    span_start, span_end = from_datetime(asked.start), from_datetime(asked.end)
    if span_end <= span_start:
        raise InvalidInputError("to: must be after 'from'")
    item = Exclusion(
        id="",
        scope=asked.scope,
        subjects=asked.subjects,
        span=Span(span_start, span_end),
        reason=asked.reason,
        evidence=asked.evidence,
        applicant=caller.name,
        department=caller.subject.department if caller.subject else None,
        applied=rooms.clock(),
    )
    return ExclusionShape.of(await rooms.database.awrite(partial(exclusions.apply, item=item)))


@router.get("/{key}", dependencies=[Reader])
async def one(rooms: Rooms, key: str) -> ExclusionShape:
    """One exclusion."""
    return ExclusionShape.of(await rooms.database.aread(partial(exclusions.get, key=key)))


@router.post("/{key}/decision")
async def decide(rooms: Rooms, caller: Settler, key: str, decision: Decision) -> ExclusionShape:
    """Approve or refuse an application of somebody else."""
    decided = partial(
        exclusions.decide,
        key=key,
        by=caller.name,
        approve=decision.approve,
        remark=decision.remark,
        now=rooms.clock(),
    )
    async with auth.refusals(rooms, caller, "decide", f"exclusion {key}"):
        return ExclusionShape.of(await rooms.database.awrite(decided))


@router.post("/{key}/revocation")
async def revoke(rooms: Rooms, caller: Settler, key: str) -> ExclusionShape:
    """Take an approved exclusion back; it stays on the record."""
    revoked = partial(exclusions.revoke, key=key, by=caller.name, now=rooms.clock())
    return ExclusionShape.of(await rooms.database.awrite(revoked))


@router.post("/{key}/withdrawal")
async def withdraw(rooms: Rooms, caller: Disputer, key: str, withdrawal: Withdrawal) -> ExclusionShape:
    """Take one's own application back, before anybody has decided; it stays on the record."""
    withdrawn = partial(
        exclusions.withdraw, key=key, by=caller.name, reason=withdrawal.reason, now=rooms.clock()
    )
    return ExclusionShape.of(await rooms.database.awrite(withdrawn))


def _instant(at: Ms | None) -> str | None:
    return None if at is None else iso(at)
