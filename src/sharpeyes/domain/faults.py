"""Faults closed in a loop: the words of tickets, of what they are about, and of saying it to somebody.

A *fault* is a bad state that lasts. It becomes a *ticket*, one at a time for each :class:`FaultKey`. What
sits upstream of cameras (a recorder, a switch, a link, a site) is a *node*; when it fails, it has the ticket,
and the cameras below it have none of their own. A ticket is closed by what a probe saw, never by a hand only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span


class FaultKind(StrEnum):
    """What is wrong."""

    OFFLINE = "offline"
    DEGRADED = "degraded"
    """It delivers, but a viewer would notice a fault."""
    FLAPPING = "flapping"
    """It keeps coming and going."""
    CLOCK = "clock"
    """Its clock is outside tolerance: the time in its pictures proves nothing."""
    BLIND = "blind"
    """Our own prober or network cannot see a zone: the fault is ours."""


class Severity(StrEnum):
    """How much it hurts; decides the times that a ticket is held to."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return tuple(Severity).index(self)


class Scope(StrEnum):
    """What kind of thing is at fault."""

    CAMERA = "camera"
    NODE = "node"
    ZONE = "zone"


class NodeKind(StrEnum):
    """What may sit between cameras and us."""

    NVR = "nvr"
    SWITCH = "switch"
    LINK = "link"
    SITE = "site"


class NodeOrigin(StrEnum):
    """How a node came into the graph."""

    DECLARED = "declared"
    """By somebody, in the console or through the API."""
    CONFIG = "config"
    """By cameras.yaml, which takes it away again."""
    DEVICE = "device"
    """A device of the registry with several cameras."""
    LEARNED = "learned"
    """Cameras that fell together again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Something upstream of cameras."""

    id: str
    kind: NodeKind
    name: str
    parent: str | None = None
    """The node that it hangs from in turn."""
    department: str | None = None
    """The unit that keeps it running, None if nobody said."""
    origin: NodeOrigin = NodeOrigin.DECLARED


@dataclass(frozen=True, slots=True)
class FaultKey:
    """One thing and one kind of fault: at most one ticket is open for it."""

    scope: Scope
    subject: str
    """Id of the camera, node or zone."""
    kind: FaultKind

    def __str__(self) -> str:
        return f"{self.scope}:{self.subject}:{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A camera's confirmed state is now this one."""

    camera: str
    state: State
    cause: str | None
    at: Ms
    """When the judge said so."""
    since: Ms
    """When the state began; not after ``at``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the loop remembers of one camera between two ticks."""

    camera: str
    state: State
    since: Ms
    cause: str | None
    at: Ms
    history: str = ""
    """The last states, oldest first, a letter each: see :mod:`sharpeyes.faults.flap`."""
    sampled: Ms
    """When the history last grew."""
    flapping: bool = False
    upstream: str | None = None
    """The node that takes the blame for this camera now."""
    released: Ms | None = None
    """When a node last stopped taking the blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Planned work: while it lasts, alerts keep quiet. What happens is recorded as ever."""

    id: str
    scope: Scope | None
    """None: everything."""
    subject: str | None
    span: Span
    reason: str
    by: str


class TicketStage(StrEnum):
    """Where a ticket stands."""

    RAISED = "raised"
    ROUTED = "routed"
    ACKNOWLEDGED = "acknowledged"
    HANDLED = "handled"
    """The unit says that it is repaired; no probe has said so yet."""
    VERIFYING = "verifying"
    """It was seen well again, and has to stay so for a while."""
    CLOSED = "closed"
    REOPENED = "reopened"
    """It came back soon after it was closed."""
    VOIDED = "voided"
    """It lost its object: the camera was retired, or another ticket has taken the fault over."""


ENDED = frozenset({TicketStage.CLOSED, TicketStage.VOIDED})


class Move(StrEnum):
    """What may happen to a ticket."""

    RAISE = "raise"
    ROUTE = "route"
    ACKNOWLEDGE = "acknowledge"
    HANDLE = "handle"
    RECOVER = "recover"
    RELAPSE = "relapse"
    FAIL = "fail"
    VERIFY = "verify"
    REOPEN = "reopen"
    ESCALATE = "escalate"
    NOTE = "note"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the latest observation says about the object of a ticket."""

    good: bool | None
    """None: nothing was seen, or it is in maintenance: neither well nor ill."""
    since: Ms
    """Since when it is so."""
    observed: Ms | None
    """When a probe last looked; None if none has."""
    said: str
    """The observation in one word or sentence, kept as evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One fault on its way from raised to closed. ``id`` is 0 until the store gives one."""

    id: int = 0
    key: FaultKey
    name: str
    """Name of the camera, node or zone, for people."""
    severity: Severity
    stage: TicketStage
    cause: str | None
    started: Ms
    """When the fault began."""
    raised: Ms
    """When the ticket was raised, or reopened the last time."""
    acknowledge_by: Ms
    due: Ms
    tier: str | None = None
    department: str | None = None
    """Owner of what is at fault, where one is known."""
    area: str | None = None
    zone: str | None = None
    unit: str | None = None
    """The unit responsible."""
    rule: str | None = None
    """Why it is that unit."""
    acknowledged: Ms | None = None
    handled: Ms | None = None
    recovered: Ms | None = None
    """Since when it has been seen well, None while it is not."""
    closed: Ms | None = None
    resume: TicketStage | None = None
    """Where a relapse leads back to."""
    level: int = 0
    """Escalation: 0 with the unit, 1 not acknowledged in time, 2 and more overdue."""
    overdue: Ms | None = None
    """The due time that was missed first; it stays when the ticket is closed late or reopened."""
    cycle: int = 0
    """How often it was reopened."""
    failed: int = 0
    """How often it was said to be handled while a probe saw the contrary."""
    children: int = 0
    """Cameras that are down because of it and have no ticket of their own."""
    evidence: Mapping[str, str | int | None] | None = None
    """The observation that closed it."""

    @property
    def open(self) -> bool:
        return self.stage not in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line in the history of a ticket: rows are added, never changed."""

    ticket: int = 0
    at: Ms
    move: Move
    by: str = ""
    """Who did it; empty for the loop itself."""
    text: str = ""
    attachment: str | None = None
    """Reference of a photo or document, never its bytes."""
    detail: Mapping[str, str | int | None] | None = None


class Topic(StrEnum):
    """What a message says."""

    DOWN = "down"
    ESCALATED = "escalated"
    UP = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to say about a ticket, frozen as it was then: said again, it reads the same."""

    topic: Topic
    ticket: int
    cycle: int
    scope: Scope
    subject: str
    name: str
    kind: FaultKind
    severity: Severity
    cause: str | None
    unit: str | None
    area: str | None
    started: Ms
    at: Ms
    due: Ms
    level: int
    children: int
    ended: Ms | None = None
    """When it was well again, for ``up``."""


class DeliveryState(StrEnum):
    """Where a message in the outbox stands."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    """Given up, with the reason; can be tried again by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notice for one recipient, in the outbox."""

    seq: int = 0
    key: str
    """Goes with every attempt (``Idempotency-Key``, ``webhook-id``, ``Message-ID``): the receiver can tell a
    repetition from news."""
    once: str
    """What must be said once: a second message of the same meaning is not taken in."""
    recipient: str
    notice: Notice
    created: Ms
    due: Ms
    """Not before this instant."""
    digest: bool = False
    """Held back (quiet hours, digest): goes out together with what else was held."""
    batch: str | None = None
    """The key of the message that it goes out in, fixed before the first attempt."""
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    leased: Ms | None = None
    """An attempt is under way until then at the latest."""
    error: str | None = None
    sent: Ms | None = None
