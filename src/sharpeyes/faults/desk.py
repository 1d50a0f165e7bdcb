"""Tickets as they are changed: with each change goes its line in the history, and the messages about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import Connection

from sharpeyes.domain.faults import Entry, Move, Notice, Ticket, Topic
from sharpeyes.domain.time import Ms
from sharpeyes.faults import ticket as machine
from sharpeyes.faults.notify.recipients import Recipient, plan
from sharpeyes.faults.policy import FaultPolicy, Place, RouteRule, route
from sharpeyes.faults.ticket import Step
from sharpeyes.store import faults as store
from sharpeyes.store import outbox


@dataclass(frozen=True, slots=True)
class Office:
    """What does not change from tick to tick."""

    policy: FaultPolicy
    rules: tuple[RouteRule, ...]
    recipients: tuple[Recipient, ...]
    fallback: str


class Desk:
    """Tickets changed within one transaction: their histories and messages go with them."""

    def __init__(self, connection: Connection, office: Office, now: Ms) -> None:
        self.connection = connection
        self.office = office
        self.now = now
        self.told = False
        self._entries: list[Entry] = []

    def flush(self) -> None:
        store.add_entries(self.connection, self._entries)
        self._entries = []

    def apply(self, item: Ticket, step: Step) -> Ticket:
        after, entry = machine.advance(item, step, self.office.policy)
        after = machine.mark_overdue(after, self.now)
        store.save_ticket(self.connection, after)
        self._entries.append(entry)
        return after

    def open(self, item: Ticket, place: Place) -> Ticket:
        """Raise the ticket, or reopen the one that was closed a short while ago; route it and tell."""
        policy = self.office.policy
        closed = store.last_closed(self.connection, item.key)
        if closed is not None and closed.closed is not None and closed.closed >= self.now - policy.reopen_ms:
            item, entry = machine.reopened(
                replace(closed, children=item.children),
                at=self.now,
                started=item.started,
                cause=item.cause,
                policy=policy,
            )
        else:
            item, entry = machine.raised(store.add_ticket(self.connection, item))
        self._entries.append(replace(entry, ticket=item.id))
        to = route(place, item.key.kind, self.office.rules, self.office.fallback)
        item = self.apply(item, Step(move=Move.ROUTE, at=self.now, unit=to.unit, text=to.why))
        self.tell(item, Topic.DOWN)
        return item

    def tell(self, item: Ticket, topic: Topic) -> None:
        told = outbox.told(self.connection, item.id, item.cycle) if topic is Topic.UP else []
        notice = Notice(
            topic=topic,
            ticket=item.id,
            cycle=item.cycle,
            scope=item.key.scope,
            subject=item.key.subject,
            name=item.name,
            kind=item.key.kind,
            severity=item.severity,
            cause=item.cause,
            unit=item.unit,
            area=item.area,
            started=item.started,
            at=self.now,
            due=item.due,
            level=item.level,
            children=item.children,
            ended=item.recovered if topic is Topic.UP else None,
        )
        deliveries = plan(notice, self.office.recipients, told, self.now, _keys())
        self.told |= outbox.enqueue(self.connection, deliveries) > 0


def _keys() -> Iterator[str]:
    while True:
        yield str(uuid4())
