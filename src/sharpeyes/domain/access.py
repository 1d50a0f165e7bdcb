"""Who may see which camera, for what, and until when: the words of authorised views.

A *request* asks for cameras on behalf of named users of one department. Each department that owns some of
the cameras decides on its own *part* of the request; a part that is approved becomes a *grant*, which is a
lease: it begins, keeps to a daily schedule, and ends. A *decision* is the answer to "may this subject do
this with this camera now?", and the same value reaches the API, the console, the gateway and the register.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.errors import ForbiddenError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, Span

MINUTES_A_DAY = 24 * 60


class Role(StrEnum):
    """What a user may do. A person can hold several; deciding and asking are kept apart case by case."""

    OPERATOR = "operator"
    """Works in the monitoring room of a department: watches its own cameras, and others by grant."""
    REQUESTER = "requester"
    """Asks for views on behalf of a department, and may be named in grants."""
    APPROVER = "approver"
    """Decides on requests for the cameras that the department owns."""
    AUDITOR = "auditor"
    """Reads the register and reviews overrides. Never watches."""
    MAINTAINER = "maintainer"
    """Keeps cameras working: sees their health, not their video."""
    ADMIN = "admin"
    """Manages users, policy and cameras. Watches nothing by that right."""


WATCHING_ROLES = frozenset({Role.OPERATOR, Role.REQUESTER})
"""Roles under which a picture may be seen at all."""


class Action(StrEnum):
    """What can be done with a camera's picture."""

    LIVE = "live"
    SNAPSHOT = "snapshot"


class Purpose(StrEnum):
    """Why somebody asks. The code is what transparency figures count; the text beside it says the rest."""

    INVESTIGATION = "investigation"
    PUBLIC_ORDER = "public_order"
    TRAFFIC = "traffic"
    EMERGENCY = "emergency"
    FIRE_RESCUE = "fire_rescue"
    CITY_MANAGEMENT = "city_management"
    ENVIRONMENT = "environment"
    EVENT = "event"
    INSPECTION = "inspection"
    OTHER = "other"


class Place(StrEnum):
    """Kinds of place where a camera may stand; ``OPEN`` is everything that the law does not single out."""

    OPEN = "open"
    DORMITORY = "dormitory"
    HOTEL_ROOM = "hotel_room"
    BATH = "bath"
    TOILET = "toilet"
    CHANGING_ROOM = "changing_room"
    NURSING_ROOM = "nursing_room"
    FITTING_ROOM = "fitting_room"


FORBIDDEN_PLACES = frozenset(Place) - {Place.OPEN}
"""State Council Order 799 (2025), article 8: no camera here, whoever asks and whatever for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Somebody who asks, as known at this moment."""

    id: str
    name: str
    department: str
    roles: frozenset[Role]
    enabled: bool = True

    def has(self, role: Role) -> bool:
        return role in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A user's log-in on one client. Its id may be shown; only its token opens anything."""

    id: str
    user: str
    created: Ms
    seen: Ms
    """Last use, to the minute."""
    expires: Ms
    address: str
    client: str
    """What the client says it is, cut to 200 characters."""
    ended: Ms | None = None
    lapsed: Ms | None = None
    """When it was first seen that its time is over: from then on it is, whatever the clock says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What matters of a camera when access to it is decided."""

    camera: str
    owner: str
    """Department that owns the camera."""
    tier: Tier
    area: str = ""
    tags: tuple[str, ...] = ()
    place: Place = Place.OPEN
    retired: bool = False

    @classmethod
    def of(cls, camera: Camera, *, place: Place = Place.OPEN, retired: bool = False) -> Target:
        return cls(
            camera=camera.id,
            owner=camera.department,
            tier=camera.tier,
            area=camera.area,
            tags=camera.tags,
            place=place,
            retired=retired,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Hours of the day, on the site's wall clock. A window with ``end <= start`` runs past midnight and
    belongs to the day on which it begins."""

    start: int = 0
    """Minute of the day, 0..1439."""
    end: int = MINUTES_A_DAY
    """Minute of the day, 1..1440, exclusive."""
    days: frozenset[int] = frozenset(range(7))
    """Weekdays, 0 = Monday."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < MINUTES_A_DAY or not 1 <= self.end <= MINUTES_A_DAY:
            raise ValueError(f"schedule {self.start}-{self.end}: minutes of the day go from 0 to 1440")
        if self.start == self.end:
            raise ValueError("schedule begins and ends at the same minute; 0-1440 is the whole day")
        if not self.days or not self.days <= frozenset(range(7)):
            raise ValueError("schedule needs weekdays from 0 (Monday) to 6 (Sunday)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Cameras by name, by area (with every area below it) and by tag: the union of the three."""

    cameras: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked for, and, once granted, what is allowed."""

    department: str
    """The department that asks; every named user belongs to it."""
    users: frozenset[str]
    actions: frozenset[Action]
    period: Span
    schedule: Schedule | None = None
    """None: at any hour."""
    purpose: Purpose
    purpose_text: str
    case_number: str | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One approver's word on one part of a request; a rejection always has its reason."""

    by: str
    at: Ms
    reason: str = ""


class Stage(StrEnum):
    """Where a part of a request stands."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """Nobody decided before the period asked for was over, or within the time that policy gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The share of a request that one owner decides on."""

    owner: str
    cameras: frozenset[str]
    needed: int
    """Approvals needed: the most that the policy of any of these cameras' tiers wants."""
    stage: Stage = Stage.SUBMITTED
    approvals: tuple[Vote, ...] = ()
    rejection: Vote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An application for views, with the state of each owner's part."""

    id: str
    applicant: str
    terms: Terms
    parts: tuple[Part, ...]
    submitted: Ms
    decide_by: Ms
    """Undecided parts expire at this instant."""

    @property
    def open(self) -> bool:
        return any(part.stage is Stage.SUBMITTED for part in self.parts)

    def part(self, owner: str) -> Part | None:
        return next((part for part in self.parts if part.owner == owner), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The early end of a grant."""

    by: str
    at: Ms
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A lease on one owner's cameras."""

    id: str
    owner: str
    cameras: frozenset[str]
    applicant: str
    terms: Terms
    issued: Ms
    longest_ms: int
    """No extension goes beyond ``terms.period.start + longest_ms``."""
    request: str | None = None
    """The request that it came from; None for an emergency override."""
    revocation: Revocation | None = None
    lapsed: Ms | None = None
    """When it was first seen that its end is past: from then on it is over, also for a clock put back."""

    @property
    def emergency(self) -> bool:
        return self.request is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Another person's judgement of an override."""

    by: str
    at: Ms
    justified: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Somebody opened cameras without asking, for a reason that another person must look at."""

    grant: str
    """One override opens one grant and shares its id."""
    by: str
    department: str
    owner: str
    at: Ms
    reason: str
    review_by: Ms
    review: Review | None = None


class Reason(StrEnum):
    """Why access is refused. Stable: the API, metrics and the register use these words."""

    USER_DISABLED = "user_disabled"
    CAMERA_UNKNOWN = "camera_unknown"
    CAMERA_RETIRED = "camera_retired"
    PLACE_FORBIDDEN = "place_forbidden"
    AUDITOR = "auditor"
    MAINTAINER = "maintainer"
    ROLE = "role"
    NO_GRANT = "no_grant"
    OTHER_DEPARTMENT = "other_department"
    OTHER_USER = "other_user"
    OTHER_CAMERA = "other_camera"
    OTHER_OWNER = "other_owner"
    ACTION = "action"
    REVOKED = "revoked"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    SCHEDULE = "schedule"
    POLICY = "policy"
    TICKET_INVALID = "ticket_invalid"
    TICKET_EXPIRED = "ticket_expired"
    TICKET_USED = "ticket_used"
    TICKET_CLIENT = "ticket_client"
    LOGGED_OUT = "logged_out"


class Basis(StrEnum):
    """By what right access is allowed."""

    OWN = "own"
    """An operator of the department that owns the camera."""
    GRANT = "grant"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Yes, by this right."""

    basis: Basis
    grant: str | None
    until: Ms | None
    """The next instant at which the answer may change with time alone; None: never. Revocation, a disabled
    user and the like come as events, not by the clock."""
    watermark: bool
    """Policy wants who, unit, time and grant burned into the picture, not just drawn over it."""
    transcode: bool = True
    """Policy lets a stream be coded anew for a browser that cannot show it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, because. The message is for the person refused and names nothing that they may not know."""

    reason: Reason
    message: str
    until: Ms | None = None
    """The next instant at which the answer may change with time alone; None: it will not."""


Decision = Allowed | Refused


def forbids(place: Place) -> Refused | None:
    """Why no camera may stand in a place of this kind; None if one may."""
    if place not in FORBIDDEN_PLACES:
        return None
    return Refused(
        reason=Reason.PLACE_FORBIDDEN, message=f"The law allows no camera in a place of this kind: {place}"
    )


class OneHandError(ForbiddenError):
    """Two accounts, and perhaps one person: the one gave the other its password, or may know it by others."""

    kind = "one_hand"

    def __init__(self, own: str) -> None:
        """``own``: what nobody does to their own."""
        super().__init__(
            f"{own}: one of the two accounts has its password from the other, and one person may act as both",
            mend="Have another administrator confirm that account, or `sharpeyes user confirm` on the "
            "machine; or have another person do it",
        )


class RefusedError(ForbiddenError):
    """A decision's no on its way to whoever asked: its kind is the reason that the register has too."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.kind = refused.reason.value
        self.refused = refused
