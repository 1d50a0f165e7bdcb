"""The life of a ticket: a table of moves, and the guards that no table can hold.

::

    raise ->  RAISED  --route->  ROUTED  --acknowledge->  ACKNOWLEDGED  --handle->  HANDLED
                                                ^                                     |
                                                +---------- fail (a probe disagrees) -+
    any of these  --recover->  VERIFYING  --verify (a probe agrees)->  CLOSED  --reopen->  REOPENED
                               VERIFYING  --relapse->  where it was

Hands move it forward to HANDLED; only what a probe saw leads to VERIFYING and CLOSED. Pure: time, and what
was seen, are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sharpeyes.domain.errors import ConflictError, InvalidInputError
from sharpeyes.domain.faults import Entry, Move, Ticket, TicketStage, Verdict
from sharpeyes.domain.time import Ms
from sharpeyes.faults.policy import FaultPolicy

S = TicketStage

RESUME = None
"""In the table: back to where it was before it recovered."""

TABLE: Mapping[tuple[TicketStage, Move], TicketStage | None] = {
    (S.RAISED, Move.ROUTE): S.ROUTED,
    (S.RAISED, Move.RECOVER): S.VERIFYING,
    (S.REOPENED, Move.ROUTE): S.ROUTED,
    (S.REOPENED, Move.RECOVER): S.VERIFYING,
    (S.ROUTED, Move.ROUTE): S.ROUTED,
    (S.ROUTED, Move.ACKNOWLEDGE): S.ACKNOWLEDGED,
    (S.ROUTED, Move.HANDLE): S.HANDLED,
    (S.ROUTED, Move.RECOVER): S.VERIFYING,
    (S.ACKNOWLEDGED, Move.ROUTE): S.ROUTED,
    (S.ACKNOWLEDGED, Move.HANDLE): S.HANDLED,
    (S.ACKNOWLEDGED, Move.RECOVER): S.VERIFYING,
    (S.HANDLED, Move.ROUTE): S.ROUTED,
    (S.HANDLED, Move.FAIL): S.ACKNOWLEDGED,
    (S.HANDLED, Move.RECOVER): S.VERIFYING,
    (S.VERIFYING, Move.ACKNOWLEDGE): S.VERIFYING,
    (S.VERIFYING, Move.HANDLE): S.VERIFYING,
    (S.VERIFYING, Move.RELAPSE): RESUME,
    (S.VERIFYING, Move.VERIFY): S.CLOSED,
    (S.CLOSED, Move.REOPEN): S.REOPENED,
    **{
        (stage, move): stage
        for stage in S
        if stage not in (S.CLOSED, S.VOIDED)
        for move in (Move.ESCALATE, Move.NOTE)
    },
    **{(stage, Move.VOID): S.VOIDED for stage in S if stage not in (S.CLOSED, S.VOIDED)},
    (S.CLOSED, Move.NOTE): S.CLOSED,
    (S.VOIDED, Move.NOTE): S.VOIDED,
}

BY_HAND = frozenset({Move.ROUTE, Move.ACKNOWLEDGE, Move.HANDLE, Move.NOTE})
"""What people may do. The rest is the loop's, from what it observed."""

LONGEST_TEXT = 4_000
LONGEST_ATTACHMENT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A move to make on a ticket."""

    move: Move
    at: Ms
    by: str = ""
    """Who makes it; empty for the loop."""
    text: str = ""
    unit: str | None = None
    """For ``route``: who gets it."""
    verdict: Verdict | None = None
    """For ``recover``, ``relapse``, ``fail``, ``verify``: what was seen."""
    attachment: str | None = None
    level: int = 0
    """For ``escalate``."""


def raised(ticket: Ticket) -> tuple[Ticket, Entry]:
    """The first line in the history of a new ticket."""
    return ticket, _opened(ticket, Move.RAISE)


def reopened(
    ticket: Ticket, *, at: Ms, started: Ms, cause: str | None, policy: FaultPolicy
) -> tuple[Ticket, Entry]:
    """A closed ticket whose fault is back: open again, with new due times and all its history."""
    stage = _next(ticket, Move.REOPEN)
    times = policy.times[ticket.severity]
    ticket = replace(
        ticket,
        stage=stage,
        cause=cause,
        started=started,
        raised=at,
        acknowledge_by=Ms(at + times.acknowledge),
        due=Ms(at + times.resolve),
        acknowledged=None,
        handled=None,
        recovered=None,
        closed=None,
        resume=None,
        level=0,
        cycle=ticket.cycle + 1,
        evidence=None,
    )
    return ticket, _opened(ticket, Move.REOPEN)


def advance(ticket: Ticket, step: Step, policy: FaultPolicy) -> tuple[Ticket, Entry]:
    """The ticket after one move, and the line for its history.

    Raises ConflictError if the table or a guard forbids the move, InvalidInputError if something about the
    step is missing or too long.
    """
    _check(step)
    before, stage = ticket, _next(ticket, step.move)
    changes: dict[str, object] = {"stage": stage}
    if step.move is Move.ROUTE:
        changes |= {"unit": step.unit, "rule": step.text, "acknowledged": None, "handled": None}
    elif step.move is Move.ACKNOWLEDGE:
        changes |= {
            "acknowledged": ticket.acknowledged or step.at,
            "resume": _forward(ticket, S.ACKNOWLEDGED),
        }
    elif step.move is Move.HANDLE:
        changes |= {
            "acknowledged": ticket.acknowledged or step.at,
            "handled": step.at,
            "resume": _forward(ticket, S.HANDLED),
        }
    elif step.move is Move.RECOVER:
        since = step.verdict.since if step.verdict is not None else step.at
        changes |= {"recovered": max(since, ticket.started), "resume": ticket.stage}
    elif step.move is Move.RELAPSE:
        changes |= {"recovered": None, "resume": None}
        if stage is S.HANDLED:  # it was said to be handled, and is not
            changes |= {"stage": S.ACKNOWLEDGED, "handled": None, "failed": ticket.failed + 1}
    elif step.move is Move.FAIL:
        changes |= {"handled": None, "failed": ticket.failed + 1}
    elif step.move is Move.VERIFY:
        verdict = _proof(ticket, step, policy)
        changes |= {
            "closed": step.at,
            "evidence": _seen(verdict),
        }
    elif step.move is Move.ESCALATE:
        changes |= {"level": max(ticket.level, step.level)}
    elif step.move is Move.VOID:
        changes |= {"closed": step.at}
    ticket = replace(ticket, **changes)  # type: ignore[arg-type]
    detail: dict[str, str | int | None] = {}
    if step.verdict is not None:
        detail |= _seen(step.verdict)
    if step.move is Move.ROUTE:
        detail["unit"] = step.unit
    if step.move is Move.ESCALATE:
        detail["level"] = ticket.level
    if ticket.failed > before.failed:
        detail["failed"] = ticket.failed
    entry = Entry(
        ticket=ticket.id,
        at=step.at,
        move=step.move,
        by=step.by,
        text=step.text,
        attachment=step.attachment,
        detail=detail or None,
    )
    return ticket, entry


def react(ticket: Ticket, verdict: Verdict, now: Ms, policy: FaultPolicy) -> Step | None:
    """The move that an observation calls for, None if none. Apply it and ask again until there is none."""
    move: Move | None = None
    seen_since_handled = (
        ticket.handled is not None and verdict.observed is not None and verdict.observed > ticket.handled
    )
    if ticket.stage is S.VERIFYING:
        if verdict.good is False:
            move = Move.RELAPSE
        elif _proves(ticket, verdict, policy):
            move = Move.VERIFY
    elif ticket.stage is S.HANDLED:
        if verdict.good and seen_since_handled:
            move = Move.RECOVER
        elif (
            verdict.good is False
            and verdict.observed is not None
            and ticket.handled is not None
            and verdict.observed >= ticket.handled + policy.grace_ms
        ):
            move = Move.FAIL
    elif ticket.open and verdict.good:
        move = Move.RECOVER
    return Step(move=move, at=now, verdict=verdict) if move is not None else None


def level(ticket: Ticket, now: Ms, policy: FaultPolicy) -> int:
    """How far up a ticket should be by now; never goes down within a cycle."""
    if ticket.stage in (S.VERIFYING, S.CLOSED, S.VOIDED):
        return ticket.level
    wanted = 0
    if now >= ticket.due:
        wanted = min(policy.levels, 2 + (now - ticket.due) // policy.escalate_again_ms)
    elif ticket.acknowledged is None and now >= ticket.acknowledge_by:
        wanted = 1
    return max(ticket.level, wanted)


def mark_overdue(ticket: Ticket, now: Ms) -> Ticket:
    """Note the first due time that passed before the fault was mended. Once noted, it stays."""
    until = ticket.recovered if ticket.recovered is not None else now
    if ticket.overdue is None and ticket.stage is not S.VOIDED and until >= ticket.due:
        return replace(ticket, overdue=ticket.due)
    return ticket


def _next(ticket: Ticket, move: Move) -> TicketStage:
    try:
        stage = TABLE[ticket.stage, move]
    except KeyError:
        possible = sorted(m.value for s, m in TABLE if s is ticket.stage and m in BY_HAND)
        raise ConflictError(
            f"ticket {ticket.id} is {ticket.stage}: it cannot {move} now",
            mend=f"Possible by hand: {', '.join(possible)}" if possible else "",
        ) from None
    if stage is not None:
        return stage
    return ticket.resume or S.ROUTED


def _forward(ticket: Ticket, to: TicketStage) -> TicketStage | None:
    """A hand's move while it is being verified is where a relapse leads back to; never further back."""
    if ticket.stage is not S.VERIFYING:
        return None
    return S.HANDLED if ticket.resume is S.HANDLED else to


def _check(step: Step) -> None:
    if step.by and step.move not in BY_HAND:
        raise ConflictError(
            f"nobody can {step.move} a ticket by hand: that takes a probe",
            mend="Say that it is handled; the next probes verify it",
        )
    if step.move is Move.ROUTE and not step.unit:
        raise InvalidInputError("unit is missing: who shall get the ticket?")
    if step.move is Move.NOTE and not (step.text or step.attachment):
        raise InvalidInputError("text is empty: a note says something or refers to a photo")
    if len(step.text) > LONGEST_TEXT:
        raise InvalidInputError(f"text is longer than {LONGEST_TEXT} characters")
    if step.attachment is not None and (
        not 0 < len(step.attachment) <= LONGEST_ATTACHMENT or not step.attachment.isprintable()
    ):
        raise InvalidInputError(f"attachment must be a reference of 1 to {LONGEST_ATTACHMENT} characters")


def _proves(ticket: Ticket, verdict: Verdict, policy: FaultPolicy) -> bool:
    """Well, and seen to be so by a probe that looked after the settling time."""
    return (
        verdict.good is True
        and ticket.recovered is not None
        and verdict.observed is not None
        and verdict.observed >= ticket.recovered + policy.settle_ms
        and verdict.observed >= (ticket.handled or 0)
    )


def _proof(ticket: Ticket, step: Step, policy: FaultPolicy) -> Verdict:
    if step.verdict is None or not _proves(ticket, step.verdict, policy):
        raise ConflictError(
            f"ticket {ticket.id} has not been seen well for long enough", mend="Wait for the next probes"
        )
    return step.verdict


def _opened(ticket: Ticket, move: Move) -> Entry:
    return Entry(
        ticket=ticket.id,
        at=ticket.raised,
        move=move,
        text=ticket.cause or "",
        detail={"started_ms": ticket.started, "due_ms": ticket.due, "cycle": ticket.cycle},
    )


def _seen(verdict: Verdict) -> dict[str, str | int | None]:
    return {"said": verdict.said, "since_ms": verdict.since, "observed_ms": verdict.observed}
