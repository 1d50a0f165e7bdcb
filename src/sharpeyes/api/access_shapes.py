"""The shapes of requests, grants, rules and tickets. Instants are RFC 3339 in UTC, lengths of time are
seconds, hours of the day are on the site's wall clock."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sharpeyes.access.grants import counts_against, ended
from sharpeyes.access.policy import ViewPolicy
from sharpeyes.access.requests import LONGEST_CASE_NUMBER, LONGEST_REASON
from sharpeyes.api.schemas import Body, Id, Instant, Shape, example
from sharpeyes.domain.access import (
    MINUTES_A_DAY,
    Action,
    Grant,
    Override,
    Part,
    Place,
    Purpose,
    Reason,
    Request,
    Schedule,
    Stage,
    Terms,
    Vote,
)
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.masks import MOST_MASKS, MOST_POINTS, SCALE, Mask
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, iso

Ids = Annotated[tuple[Id, ...], Field(max_length=1000)]
Text = Annotated[str, Field(max_length=LONGEST_REASON)]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[
    str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$", description="On the site's wall clock.")
]


# --- requests and grants --------------------------------------------------------------------------------


class ScheduleShape(BaseModel):
    """Daily hours; an end that is not after the start is on the next day."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"example": {"start": "07:00", "end": "09:30", "days": ["mon", "fri"]}},
    )

    start: Clock = "00:00"
    end: Clock = "24:00"
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = WEEKDAYS

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        return cls(
            start=f"{schedule.start // 60:02}:{schedule.start % 60:02}",
            end=f"{schedule.end // 60:02}:{schedule.end % 60:02}",
            days=tuple(WEEKDAYS[day] for day in sorted(schedule.days)),
        )

    def schedule(self) -> Schedule:
        try:
            return Schedule(
                start=_minutes(self.start) % MINUTES_A_DAY,
                end=_minutes(self.end) or MINUTES_A_DAY,
                days=frozenset(WEEKDAYS.index(day) for day in self.days),
            )
        except ValueError as error:
            raise InvalidInputError(str(error)) from None


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


_TERMS: dict[str, Any] = {
    "department": "traffic",
    "users": ["u-0b7d3f6a91c2"],
    "actions": ["live"],
    "start": "2026-10-01T08:00:00.000Z",
    "end": "2026-10-01T12:00:00.000Z",
    "schedule": None,
    "purpose": "traffic",
    "purpose_text": "Jam at the crossing",
    "case_number": None,
}


class TermsShape(Shape):
    model_config = example(**_TERMS)

    department: str
    users: tuple[str, ...]
    actions: tuple[Action, ...]
    start: Instant
    end: Instant
    schedule: ScheduleShape | None
    purpose: Purpose
    purpose_text: str
    case_number: str | None

    @classmethod
    def of(cls, terms: Terms) -> Self:
        return cls(
            department=terms.department,
            users=tuple(sorted(terms.users)),
            actions=tuple(sorted(terms.actions)),
            start=iso(terms.period.start),
            end=iso(terms.period.end),
            schedule=ScheduleShape.of(terms.schedule) if terms.schedule else None,
            purpose=terms.purpose,
            purpose_text=terms.purpose_text,
            case_number=terms.case_number,
        )


class NewRequest(Body):
    model_config = example(
        cameras=["gate-3-north"],
        users=["u-0b7d3f6a91c2"],
        actions=["live"],
        purpose="traffic",
        purpose_text="Jam at the crossing",
        end="2026-10-01T12:00:00Z",
    )

    cameras: Ids = ()
    areas: Annotated[Ids, Field(description="With every area below them.")] = ()
    tags: Ids = ()
    users: Annotated[Ids, Field(description="Ids of colleagues who will watch; none: whoever asks.")] = ()
    actions: Annotated[frozenset[Action], Field(min_length=1)] = frozenset({Action.LIVE})
    purpose: Purpose
    purpose_text: Text
    case_number: Annotated[str | None, Field(max_length=LONGEST_CASE_NUMBER)] = None
    start: Annotated[AwareDatetime | None, Field(description="None: at once.")] = None
    end: Annotated[AwareDatetime | None, Field(description="None: as policy has it.")] = None
    schedule: ScheduleShape | None = None


class VoteShape(Shape):
    model_config = example(by="u-77aa02bb13cc", at="2026-10-01T08:04:00.000Z", reason="")

    by: str
    at: Instant
    reason: str

    @classmethod
    def of(cls, vote: Vote) -> Self:
        return cls(by=vote.by, at=iso(vote.at), reason=vote.reason)


_PART: dict[str, Any] = {
    "owner": "psb",
    "cameras": ["gate-3-north"],
    "needed": 2,
    "stage": "submitted",
    "approvals": [{"by": "u-77aa02bb13cc", "at": "2026-10-01T08:04:00.000Z", "reason": ""}],
    "rejection": None,
}


class PartShape(Shape):
    model_config = example(**_PART)

    owner: Annotated[str, Field(description="The department that decides on this part.")]
    cameras: tuple[str, ...]
    needed: Annotated[int, Field(description="Approvals that it takes.")]
    stage: Stage
    approvals: tuple[VoteShape, ...]
    rejection: VoteShape | None

    @classmethod
    def of(cls, part: Part) -> Self:
        return cls(
            owner=part.owner,
            cameras=tuple(sorted(part.cameras)),
            needed=part.needed,
            stage=part.stage,
            approvals=tuple(VoteShape.of(vote) for vote in part.approvals),
            rejection=VoteShape.of(part.rejection) if part.rejection else None,
        )


_REQUEST: dict[str, Any] = {
    "id": "r-1f0e2d3c4b5a6978",
    "applicant": "u-0b7d3f6a91c2",
    "submitted": "2026-10-01T08:00:00.000Z",
    "decide_by": "2026-10-01T12:00:00.000Z",
    "open": True,
    "terms": _TERMS,
    "parts": [_PART],
}


class RequestShape(Shape):
    model_config = example(**_REQUEST)

    id: str
    applicant: str
    submitted: Instant
    decide_by: Annotated[Instant, Field(description="What is undecided then expires.")]
    open: bool
    terms: TermsShape
    parts: tuple[PartShape, ...]

    @classmethod
    def of(cls, request: Request) -> Self:
        return cls(
            id=request.id,
            applicant=request.applicant,
            submitted=iso(request.submitted),
            decide_by=iso(request.decide_by),
            open=request.open,
            terms=TermsShape.of(request.terms),
            parts=tuple(PartShape.of(part) for part in request.parts),
        )


class RequestPage(Shape):
    model_config = example(items=[_REQUEST], next=None)

    items: tuple[RequestShape, ...]
    next: Annotated[str | None, Field(description="'before' of the next page; null on the last.")]


class Approval(Body):
    model_config = example(reason="As agreed in the morning meeting")

    owner: Annotated[Id | None, Field(description="Whose part; by default one's own department's.")] = None
    reason: Text = ""


class Rejection(Body):
    model_config = example(reason="No jam is known there")

    owner: Annotated[Id | None, Field(description="Whose part; by default one's own department's.")] = None
    reason: Text


class Reasoned(Body):
    model_config = example(reason="The road is clear again")

    reason: Text


_GRANT: dict[str, Any] = {
    "id": "g-9a8b7c6d5e4f3021",
    "owner": "psb",
    "cameras": ["gate-3-north"],
    "applicant": "u-0b7d3f6a91c2",
    "request": "r-1f0e2d3c4b5a6978",
    "emergency": False,
    "issued": "2026-10-01T08:05:00.000Z",
    "terms": _TERMS,
    "ended": False,
    "revoked": None,
    "revoked_by": None,
    "revoke_reason": None,
}


class GrantShape(Shape):
    model_config = example(**_GRANT)

    id: str
    owner: str
    cameras: tuple[str, ...]
    applicant: str
    request: str | None
    emergency: bool
    issued: Instant
    terms: TermsShape
    ended: bool
    revoked: Instant | None
    revoked_by: str | None
    revoke_reason: str | None

    @classmethod
    def of(cls, grant: Grant, now: Ms) -> Self:
        revoked = grant.revocation
        return cls(
            id=grant.id,
            owner=grant.owner,
            cameras=tuple(sorted(grant.cameras)),
            applicant=grant.applicant,
            request=grant.request,
            emergency=grant.emergency,
            issued=iso(grant.issued),
            terms=TermsShape.of(grant.terms),
            ended=ended(grant, now),
            revoked=iso(revoked.at) if revoked else None,
            revoked_by=revoked.by if revoked else None,
            revoke_reason=revoked.reason if revoked else None,
        )


class GrantPage(Shape):
    model_config = example(items=[_GRANT], next=None)

    items: tuple[GrantShape, ...]
    next: Annotated[str | None, Field(description="'before' of the next page; null on the last.")]


class Approved(Shape):
    model_config = example(request=_REQUEST, grant=None)

    request: RequestShape
    grant: Annotated[GrantShape | None, Field(description="If this was the last approval it took.")]


class Extension(Body):
    model_config = example(end="2026-10-01T16:00:00Z")

    end: AwareDatetime


class Narrowing(Body):
    """What is left out stays; nothing may grow."""

    model_config = example(users=["u-0b7d3f6a91c2"], end="2026-10-01T10:00:00Z")

    cameras: Annotated[frozenset[Id] | None, Field(min_length=1, max_length=1000)] = None
    users: Annotated[frozenset[Id] | None, Field(min_length=1, max_length=1000)] = None
    actions: Annotated[frozenset[Action] | None, Field(min_length=1)] = None
    end: AwareDatetime | None = None
    schedule: ScheduleShape | None = None


class NewOverride(Body):
    model_config = example(
        cameras=["gate-3-north"], actions=["live"], reason="Child missing at the north gate", life_s=900
    )

    cameras: Annotated[frozenset[Id], Field(min_length=1, max_length=1000)]
    actions: Annotated[frozenset[Action], Field(min_length=1)] = frozenset({Action.LIVE})
    reason: Text
    life_s: Annotated[int | None, Field(ge=1, le=86_400, description="None: as policy has it.")] = None


_OVERRIDE: dict[str, Any] = {
    "grant": "e-9a8b7c6d5e4f3021",
    "by": "u-0b7d3f6a91c2",
    "department": "traffic",
    "owner": "psb",
    "at": "2026-10-01T08:00:00.000Z",
    "reason": "Child missing at the north gate",
    "review_by": "2026-10-02T08:00:00.000Z",
    "reviewed": None,
    "reviewed_by": None,
    "justified": None,
    "review": None,
    "counts_against": False,
}


class OverrideShape(Shape):
    model_config = example(**_OVERRIDE)

    grant: Annotated[str, Field(description="The grant that it opened.")]
    by: str
    department: str
    owner: str
    at: Instant
    reason: str
    review_by: Instant
    reviewed: Instant | None
    reviewed_by: str | None
    justified: bool | None
    review: str | None
    counts_against: Annotated[
        bool, Field(description="Against the department: found unjustified, or not reviewed in time.")
    ]

    @classmethod
    def of(cls, opened: Override, now: Ms) -> Self:
        review = opened.review
        return cls(
            grant=opened.grant,
            by=opened.by,
            department=opened.department,
            owner=opened.owner,
            at=iso(opened.at),
            reason=opened.reason,
            review_by=iso(opened.review_by),
            reviewed=iso(review.at) if review else None,
            reviewed_by=review.by if review else None,
            justified=review.justified if review else None,
            review=review.reason if review else None,
            counts_against=counts_against(opened, now),
        )


class Overridden(Shape):
    model_config = example(override=_OVERRIDE, grant={**_GRANT, "emergency": True, "request": None})

    override: OverrideShape
    grant: GrantShape


class NewReview(Body):
    model_config = example(justified=True, reason="The child was found by these cameras")

    justified: bool
    reason: Text


# --- rules ----------------------------------------------------------------------------------------------

Seconds = Annotated[int, Field(ge=1, le=10 * 366 * 86_400)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Share = Annotated[float, Field(ge=0, le=1)]

_POLICY: dict[str, Any] = {
    "approvers": 2,
    "default_life_s": 14_400,
    "longest_life_s": 259_200,
    "decide_within_s": 259_200,
    "most_cameras": 20,
    "most_users": 20,
    "operators_watch_own": True,
    "burned_watermark": False,
    "transcode": True,
    "override": True,
    "override_life_s": 1_800,
    "override_cameras": 8,
    "review_within_s": 86_400,
}
_LENGTHS = ("default_life", "longest_life", "decide_within", "override_life", "review_within")


class PolicyBody(Body):
    """All the rules of a tier."""

    model_config = example(**_POLICY)

    approvers: Annotated[int, Field(ge=1, le=10, description="Different people who must approve.")]
    default_life_s: Seconds
    longest_life_s: Seconds
    decide_within_s: Seconds
    most_cameras: Count
    most_users: Count
    operators_watch_own: bool
    burned_watermark: bool
    transcode: Annotated[
        bool, Field(description="Streams that a browser cannot show may be coded anew for it.")
    ] = True
    override: bool
    override_life_s: Seconds
    override_cameras: Count
    review_within_s: Seconds
    version: Annotated[
        str | None,
        Field(max_length=64, description="Of the rules as they were read: others are not overwritten."),
    ] = None

    def policy(self, tier: Tier) -> ViewPolicy:
        """InvalidInputError if the rules contradict each other."""
        values = self.model_dump(exclude={"version"})
        lengths = {f"{name}_ms": values.pop(f"{name}_s") * 1000 for name in _LENGTHS}
        return ViewPolicy(tier=tier, **values, **lengths)


class PolicyShape(Shape):
    model_config = example(tier="public_security", **_POLICY, version="5f0c2c1d9a3b7e44")

    tier: Tier
    approvers: int
    default_life_s: int
    longest_life_s: int
    decide_within_s: int
    most_cameras: int
    most_users: int
    operators_watch_own: bool
    burned_watermark: bool
    transcode: bool
    override: bool
    override_life_s: int
    override_cameras: int
    review_within_s: int
    version: str

    @classmethod
    def of(cls, policy: ViewPolicy) -> Self:
        values: dict[str, Any] = {
            name: getattr(policy, name) for name in cls.model_fields if not name.endswith("_s")
        }
        return cls(**values, **{f"{name}_s": getattr(policy, f"{name}_ms") // 1000 for name in _LENGTHS})


class PlaceShape(Body):
    """Where a camera stands; everything but ``open`` is a place where none may be watched."""

    model_config = example(place="open")

    place: Place


class MaskShape(Body):
    model_config = example(name="Windows", points=[[0.1, 0.1], [0.4, 0.1], [0.4, 0.5]])

    name: Annotated[str, Field(max_length=60)] = ""
    points: Annotated[
        list[tuple[Share, Share]],
        Field(min_length=3, max_length=MOST_POINTS, description="x, y; 0 to 1 from the upper left corner."),
    ]

    @classmethod
    def of(cls, mask: Mask) -> Self:
        return cls(name=mask.name, points=[(x / SCALE, y / SCALE) for x, y in mask.points])

    def mask(self) -> Mask:
        """InvalidInputError if it covers nothing."""
        return Mask(
            name=self.name, points=tuple((round(x * SCALE), round(y * SCALE)) for x, y in self.points)
        )


class MasksBody(Body):
    """What is painted over in every picture of a camera, before anybody sees it."""

    model_config = example(masks=[{"name": "Windows", "points": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.5]]}])

    masks: Annotated[list[MaskShape], Field(max_length=MOST_MASKS)]


# --- tickets --------------------------------------------------------------------------------------------


class NewViewTicket(Body):
    model_config = example(camera="gate-3-north", action="live", grant="g-9a8b7c6d5e4f3021")

    camera: Id
    action: Action = Action.LIVE
    grant: Annotated[Id | None, Field(description="None: by whichever right serves best.")] = None


class Watermark(Shape):
    """What the console draws over the picture."""

    model_config = example(name="Wang Li", unit="traffic", grant="g-9a8b7c6d5e4f3021", burned_in=False)

    name: str
    unit: str
    grant: str | None
    burned_in: Annotated[bool, Field(description="Policy wants it in the picture itself.")]


class WatchableShape(Shape):
    model_config = example(may={"gate-1": "g-9a8b7c6d5e4f3021"}, refused={"no_grant": ["gate-2", "gate-3"]})

    may: Annotated[
        dict[str, str | None],
        Field(description="Camera -> the grant that opens it; null: an operator's right on the own cameras."),
    ]
    refused: Annotated[dict[Reason, tuple[str, ...]], Field(description="Why not -> these cameras.")]


class ViewTicketShape(Shape):
    model_config = example(
        ticket="st1.eyJpZCI6...",
        expires="2026-10-01T08:06:00.000Z",
        camera="gate-3-north",
        action="live",
        basis="grant",
        grant="g-9a8b7c6d5e4f3021",
        until="2026-10-01T12:00:00.000Z",
        watermark={"name": "Wang Li", "unit": "traffic", "grant": "g-9a8b7c6d5e4f3021", "burned_in": False},
    )

    ticket: Annotated[
        str, Field(description="For 'Authorization: Bearer' at the gateway; opens once, from this address.")
    ]
    expires: Instant
    camera: str
    action: Action
    basis: str
    grant: str | None
    until: Annotated[Instant | None, Field(description="When the right is looked at again by itself.")]
    watermark: Watermark
