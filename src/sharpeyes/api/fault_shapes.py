"""The shapes of faults: tickets, their history, routes, messages. Instants are RFC 3339 in UTC, lengths of
time are seconds."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AwareDatetime, ConfigDict, Field

from sharpeyes.api.access_shapes import ScheduleShape
from sharpeyes.api.schemas import Body, Instant, Shape, example
from sharpeyes.domain.faults import (
    Delivery,
    DeliveryState,
    Entry,
    FaultKind,
    Move,
    Scope,
    Severity,
    Silence,
    Ticket,
    TicketStage,
    Topic,
)
from sharpeyes.domain.time import Span, iso
from sharpeyes.faults.notify.recipients import Language, Recipient
from sharpeyes.faults.policy import RouteRule
from sharpeyes.faults.statistics import Statistics
from sharpeyes.faults.ticket import LONGEST_ATTACHMENT, LONGEST_TEXT


def _instant(at: int | None) -> str | None:
    return None if at is None else iso(at)


def _names(names: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


_TICKET: dict[str, Any] = {
    "id": 17,
    "scope": "camera",
    "subject": "gate-3-north",
    "kind": "offline",
    "name": "Gate 3, north",
    "severity": "major",
    "stage": "routed",
    "cause": "refused",
    "tier": "public_security",
    "department": "psb",
    "area": "nanshan",
    "zone": "police",
    "unit": "psb",
    "rule": "owner",
    "started": "2026-10-01T00:12:31.200Z",
    "raised": "2026-10-01T00:17:40.000Z",
    "acknowledge_by": "2026-10-01T01:17:40.000Z",
    "due": "2026-10-02T00:17:40.000Z",
    "acknowledged": None,
    "handled": None,
    "recovered": None,
    "closed": None,
    "overdue": None,
    "level": 0,
    "cycle": 0,
    "failed": 0,
    "children": 0,
    "evidence": None,
}


class TicketShape(Shape):
    model_config = example(**_TICKET)

    id: int
    scope: Scope
    subject: Annotated[str, Field(description="Id of the camera, node or zone.")]
    kind: FaultKind
    name: str
    severity: Severity
    stage: TicketStage
    cause: str | None
    tier: str | None
    department: Annotated[str | None, Field(description="That owns what is at fault.")]
    area: str | None
    zone: str | None
    unit: Annotated[str | None, Field(description="That has to mend it.")]
    rule: Annotated[str | None, Field(description="Why it is that unit.")]
    started: Annotated[Instant, Field(description="When the fault began.")]
    raised: Instant
    acknowledge_by: Instant
    due: Instant
    acknowledged: Instant | None
    handled: Annotated[Instant | None, Field(description="Said to be mended; a probe has the last word.")]
    recovered: Annotated[Instant | None, Field(description="Since when probes see it well.")]
    closed: Instant | None
    overdue: Annotated[Instant | None, Field(description="The due time that was missed.")]
    level: Annotated[int, Field(description="Of escalation: 1 not acknowledged in time, 2 and up overdue.")]
    cycle: Annotated[int, Field(description="How often it was reopened.")]
    failed: Annotated[int, Field(description="How often it was said to be handled and was not.")]
    children: Annotated[int, Field(description="Cameras that are down because of it.")]
    evidence: Annotated[
        dict[str, str | int | None] | None, Field(description="The observation that closed it.")
    ]

    @classmethod
    def of(cls, ticket: Ticket) -> Self:
        return cls(
            id=ticket.id,
            scope=ticket.key.scope,
            subject=ticket.key.subject,
            kind=ticket.key.kind,
            name=ticket.name,
            severity=ticket.severity,
            stage=ticket.stage,
            cause=ticket.cause,
            tier=ticket.tier,
            department=ticket.department,
            area=ticket.area,
            zone=ticket.zone,
            unit=ticket.unit,
            rule=ticket.rule,
            started=iso(ticket.started),
            raised=iso(ticket.raised),
            acknowledge_by=iso(ticket.acknowledge_by),
            due=iso(ticket.due),
            acknowledged=_instant(ticket.acknowledged),
            handled=_instant(ticket.handled),
            recovered=_instant(ticket.recovered),
            closed=_instant(ticket.closed),
            overdue=_instant(ticket.overdue),
            level=ticket.level,
            cycle=ticket.cycle,
            failed=ticket.failed,
            children=ticket.children,
            evidence=None if ticket.evidence is None else dict(ticket.evidence),
        )


class TicketPage(Shape):
    model_config = example(items=[_TICKET], next=None)

    items: tuple[TicketShape, ...]
    next: Annotated[int | None, Field(description="'before' of the next page; null on the last.")]


_MOVE: dict[str, Any] = {
    "at": "2026-10-01T00:17:40.000Z",
    "move": "raise",
    "by": "",
    "text": "refused",
    "attachment": None,
    "detail": None,
}


class MoveShape(Shape):
    model_config = example(**_MOVE)

    at: Instant
    move: Move
    by: Annotated[str, Field(description="Id of a user, 'token:' and its id, or empty for the service.")]
    text: str
    attachment: str | None
    detail: dict[str, str | int | None] | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            at=iso(entry.at),
            move=entry.move,
            by=entry.by,
            text=entry.text,
            attachment=entry.attachment,
            detail=None if entry.detail is None else dict(entry.detail),
        )


class TicketDetail(Shape):
    model_config = example(ticket=_TICKET, history=[_MOVE])

    ticket: TicketShape
    history: Annotated[tuple[MoveShape, ...], Field(description="Oldest first.")]


Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class Remark(Body):
    model_config = example(text="A technician is on the way", attachment=None)

    text: Text = ""
    attachment: Annotated[
        str | None, Field(max_length=LONGEST_ATTACHMENT, description="Reference of a photo or document.")
    ] = None


class Assignment(Body):
    model_config = example(unit="telecom", text="The line belongs to them")

    unit: Annotated[str, Field(min_length=1, max_length=64)]
    text: Text = ""


class StatisticsShape(Shape):
    """What happened within a span; times are means in seconds, null if there was no case."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "from": "2026-10-01T00:00:00.000Z",
                "to": "2026-10-08T00:00:00.000Z",
                "raised": 12,
                "reopened": 1,
                "closed": 11,
                "voided": 0,
                "open": 2,
                "overdue": 1,
                "failed": 0,
                "mtta_s": 612.5,
                "acknowledged": 10,
                "mttr_s": 8041.0,
                "repaired": 11,
                "by_kind": {"offline": 11, "flapping": 1},
            }
        },
        populate_by_name=True,
    )

    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]
    raised: int
    reopened: int
    closed: int
    voided: int
    open: Annotated[int, Field(description="At the end of the span.")]
    overdue: int
    failed: int
    mtta_s: Annotated[float | None, Field(description="From raised to acknowledged.")]
    acknowledged: Annotated[int, Field(description="Cases behind mtta_s.")]
    mttr_s: Annotated[float | None, Field(description="From the start of the fault to its end.")]
    repaired: Annotated[int, Field(description="Cases behind mttr_s.")]
    by_kind: dict[str, int]

    @classmethod
    def of(cls, found: Statistics, span: Span) -> Self:
        return cls(
            start=iso(span.start),
            end=iso(span.end),
            raised=found.raised,
            reopened=found.reopened,
            closed=found.closed,
            voided=found.voided,
            open=found.open,
            overdue=found.overdue,
            failed=found.failed,
            mtta_s=None if found.mtta_ms is None else found.mtta_ms / 1000,
            acknowledged=found.n_acknowledged,
            mttr_s=None if found.mttr_ms is None else found.mttr_ms / 1000,
            repaired=found.n_repaired,
            by_kind={kind.value: number for kind, number in found.by_kind.items()},
        )


class RouteShape(Shape):
    """A line of the routing table: all that is not null must match; the first line that does counts."""

    model_config = example(
        unit="telecom",
        scopes=["node"],
        kinds=None,
        causes=None,
        tiers=None,
        departments=None,
        areas=["nanshan"],
        zones=None,
        tags=None,
    )

    unit: str
    scopes: tuple[str, ...] | None
    kinds: tuple[str, ...] | None
    causes: tuple[str, ...] | None
    tiers: tuple[str, ...] | None
    departments: tuple[str, ...] | None
    areas: tuple[str, ...] | None
    zones: tuple[str, ...] | None
    tags: tuple[str, ...] | None

    @classmethod
    def of(cls, rule: RouteRule) -> Self:
        return cls(
            unit=rule.unit,
            scopes=_names(rule.scopes and frozenset(map(str, rule.scopes))),
            kinds=_names(rule.kinds and frozenset(map(str, rule.kinds))),
            causes=_names(rule.causes),
            tiers=_names(rule.tiers),
            departments=_names(rule.departments),
            areas=_names(rule.areas),
            zones=_names(rule.zones),
            tags=_names(rule.tags),
        )


class Routing(Shape):
    model_config = example(
        rules=[RouteShape.of(RouteRule(unit="telecom", areas=frozenset({"nanshan"}))).model_dump()],
        fallback="operations",
    )

    rules: tuple[RouteShape, ...]
    fallback: Annotated[str, Field(description="Who gets what belongs to nobody.")]


class RecipientShape(Shape):
    """Where messages go, without addresses and secrets."""

    model_config = example(
        id="duty",
        channel="Email",
        language="zh-CN",
        units=["psb"],
        least="major",
        level=0,
        quiet={"start": "22:00", "end": "07:00", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
        digests=["08:00"],
        pending=0,
        sent=41,
        dead=0,
        oldest_pending=None,
    )

    id: str
    channel: str
    language: Language
    units: tuple[str, ...] | None
    least: Severity
    level: int
    quiet: ScheduleShape | None
    digests: tuple[str, ...]
    pending: int
    sent: int
    dead: int
    oldest_pending: Instant | None

    @classmethod
    def of(cls, recipient: Recipient, numbers: dict[DeliveryState, int], oldest_pending: int | None) -> Self:
        return cls(
            id=recipient.id,
            channel=type(recipient.channel).__name__,
            language=recipient.language,
            units=_names(recipient.units),
            least=recipient.least,
            level=recipient.level,
            quiet=None if recipient.quiet is None else ScheduleShape.of(recipient.quiet),
            digests=tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in recipient.digests),
            pending=numbers.get(DeliveryState.PENDING, 0),
            sent=numbers.get(DeliveryState.SENT, 0),
            dead=numbers.get(DeliveryState.DEAD, 0),
            oldest_pending=_instant(oldest_pending),
        )


_DELIVERY: dict[str, Any] = {
    "id": 93,
    "recipient": "duty",
    "ticket": 17,
    "topic": "down",
    "state": "sent",
    "created": "2026-10-01T00:17:40.000Z",
    "due": "2026-10-01T00:17:40.000Z",
    "attempts": 1,
    "error": None,
    "sent": "2026-10-01T00:17:41.120Z",
}


class DeliveryShape(Shape):
    model_config = example(**_DELIVERY)

    id: int
    recipient: str
    ticket: int
    topic: Topic
    state: DeliveryState
    created: Instant
    due: Annotated[Instant, Field(description="Not before this instant.")]
    attempts: int
    error: str | None
    sent: Instant | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(
            id=delivery.seq,
            recipient=delivery.recipient,
            ticket=delivery.notice.ticket,
            topic=delivery.notice.topic,
            state=delivery.state,
            created=iso(delivery.created),
            due=iso(delivery.due),
            attempts=delivery.attempts,
            error=delivery.error,
            sent=_instant(delivery.sent),
        )


class DeliveryPage(Shape):
    model_config = example(items=[_DELIVERY], next=None)

    items: tuple[DeliveryShape, ...]
    next: Annotated[int | None, Field(description="'before' of the next page; null on the last.")]


_SILENCE: dict[str, Any] = {
    "scope": "zone",
    "subject": "police",
    "from": "2026-10-01T14:00:00.000Z",
    "to": "2026-10-01T16:00:00.000Z",
    "reason": "New switch in the machine room",
}


class NewSilence(Body):
    model_config = ConfigDict(json_schema_extra={"example": _SILENCE})

    scope: Annotated[Scope | None, Field(description="None: everything.")] = None
    subject: Annotated[str | None, Field(max_length=64)] = None
    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]
    reason: Annotated[str, Field(min_length=4, max_length=2000)]


class SilenceShape(Shape):
    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "s-1f0e2d3c4b5a6978", **_SILENCE, "by": "u-0b7d3f6a91c2"}},
        populate_by_name=True,
    )

    id: str
    scope: Scope | None
    subject: str | None
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]
    reason: str
    by: str

    @classmethod
    def of(cls, silence: Silence) -> Self:
        return cls(
            id=silence.id,
            scope=silence.scope,
            subject=silence.subject,
            start=iso(silence.span.start),
            end=iso(silence.span.end),
            reason=silence.reason,
            by=silence.by,
        )
