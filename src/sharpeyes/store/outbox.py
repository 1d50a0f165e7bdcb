"""The outbox: what is to be said, stored with what it is about, until it has been said.

A delivery is claimed under a lease before each attempt and settled after it. Between the two, a crash leaves
the lease to run out: the attempt is made again, with the same key. Times are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.faults import Delivery, DeliveryState, FaultKind, Notice, Scope, Severity, Topic
from sharpeyes.domain.time import Ms
from sharpeyes.store.faults_schema import outbox, ticket
from sharpeyes.store.schema import chunks

PENDING = outbox.c.state == DeliveryState.PENDING.value
LONGEST_ERROR = 500


def enqueue(connection: Connection, deliveries: Iterable[Delivery]) -> int:
    """Take in what has not been said yet; how many that were."""
    wanted = {d.once: d for d in deliveries}
    for some in chunks(list(wanted)):
        for once in connection.scalars(select(outbox.c.once).where(outbox.c.once.in_(some))):
            del wanted[once]
    if wanted:
        connection.execute(insert(outbox), [_row(d) for d in wanted.values()])
    return len(wanted)


def told(connection: Connection, ticket_id: int, cycle: int) -> list[Delivery]:
    """All that was put in about one cycle of a ticket, oldest first."""
    query = select(outbox).where(outbox.c.ticket == ticket_id).order_by(outbox.c.seq)
    return [d for d in map(_delivery, connection.execute(query)) if d.notice.cycle == cycle]


def claim(
    connection: Connection,
    now: Ms,
    *,
    lease_ms: int,
    storm: int,
    largest: int,
    skip: Iterable[str] = (),
    limit: int = 2_000,
) -> list[list[Delivery]]:
    """At most one message for each recipient, each a list of deliveries that go out together.

    A message whose attempt failed or never ended is claimed again as it was. Otherwise, what was held for a
    digest goes together; so do ``storm`` or more single deliveries that wait at the same time. A delivery
    waits for earlier ones about the same ticket: nobody hears that it is over before hearing of it.
    ``skip``: recipients that are not to be bothered now. ``largest``: deliveries in one message.
    """
    under_way = select(outbox.c.recipient).where(PENDING, outbox.c.leased_ms > now).scalar_subquery()
    query = (
        select(outbox)
        .where(PENDING, outbox.c.due_ms <= now, outbox.c.recipient.not_in(under_way))
        .order_by(outbox.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has one writer and needs none
    )
    if left_out := list(skip):
        query = query.where(outbox.c.recipient.not_in(left_out))
    waiting: dict[str, list[Delivery]] = {}
    for row in connection.execute(query):
        waiting.setdefault(row.recipient, []).append(_delivery(row))
    claimed = []
    for recipient, deliveries in waiting.items():
        group = _group(_in_order(connection, recipient, deliveries, now), storm=storm, largest=largest)
        if not group:
            continue
        batch = group[0].batch or group[0].key
        for some in chunks([d.seq for d in group]):
            connection.execute(
                update(outbox).where(outbox.c.seq.in_(some)).values(batch=batch, leased_ms=now + lease_ms)
            )
        claimed.append([replace(d, batch=batch, leased=Ms(now + lease_ms)) for d in group])
    return claimed


def _in_order(
    connection: Connection, recipient: str, deliveries: Sequence[Delivery], now: Ms
) -> list[Delivery]:
    """Without those that an earlier one about the same ticket, not due yet, has to precede."""
    query = select(outbox.c.ticket, func.min(outbox.c.seq).label("first")).where(
        PENDING, outbox.c.recipient == recipient, outbox.c.due_ms > now
    )
    first_waiting = {row.ticket: row.first for row in connection.execute(query.group_by(outbox.c.ticket))}
    return [d for d in deliveries if d.seq < first_waiting.get(d.notice.ticket, d.seq + 1)]


def _group(deliveries: Sequence[Delivery], *, storm: int, largest: int) -> list[Delivery]:
    if not deliveries:
        return []
    begun = next((d.batch for d in deliveries if d.batch is not None), None)
    if begun is not None:
        return [d for d in deliveries if d.batch == begun]
    if len(deliveries) >= storm:
        return list(deliveries[:largest])
    if deliveries[0].digest:
        return [d for d in deliveries if d.digest][:largest]
    return [deliveries[0]]


def settle_sent(connection: Connection, batch: str, *, at: Ms) -> None:
    """The message was taken by the receiver."""
    connection.execute(
        update(outbox)
        .where(outbox.c.batch == batch, PENDING)
        .values(
            state=DeliveryState.SENT.value,
            attempts=outbox.c.attempts + 1,
            sent_ms=at,
            leased_ms=None,
            error=None,
        )
    )


def settle_failed(connection: Connection, batch: str, error: str, *, again: Ms | None) -> None:
    """The attempt failed; it is made ``again`` then, or, if that is None, never."""
    values: dict[str, Any] = {
        "attempts": outbox.c.attempts + 1,
        "leased_ms": None,
        "error": error[:LONGEST_ERROR],
    }
    if again is None:
        values["state"] = DeliveryState.DEAD.value
    else:
        values["due_ms"] = again
    connection.execute(update(outbox).where(outbox.c.batch == batch, PENDING).values(values))


def release(connection: Connection, batch: str) -> None:
    """The attempt was called off (the service stops): it may be made again at once."""
    connection.execute(update(outbox).where(outbox.c.batch == batch, PENDING).values(leased_ms=None))


def retry(connection: Connection, seq: int, *, now: Ms) -> None:
    """Try a dead delivery again, together with those of the same message. Raises NotFoundError."""
    row = connection.execute(select(outbox.c.batch, outbox.c.state).where(outbox.c.seq == seq)).first()
    if row is None or row.state != DeliveryState.DEAD.value:
        raise NotFoundError(f"there is no dead delivery {seq}")
    connection.execute(
        update(outbox)
        .where(outbox.c.batch == row.batch, outbox.c.state == DeliveryState.DEAD.value)
        .values(state=DeliveryState.PENDING.value, attempts=0, due_ms=now, leased_ms=None)
    )


def list_deliveries(
    connection: Connection,
    state: DeliveryState | None = None,
    *,
    ticket_id: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Newest first; ``before``: only those with a smaller number, for paging."""
    query = select(outbox).order_by(outbox.c.seq.desc()).limit(limit)
    if state is not None:
        query = query.where(outbox.c.state == state.value)
    if ticket_id is not None:
        query = query.where(outbox.c.ticket == ticket_id)
    if before is not None:
        query = query.where(outbox.c.seq < before)
    return [_delivery(row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCount:
    """For metrics."""

    recipient: str
    state: DeliveryState
    number: int
    oldest: Ms
    """When the oldest of them was put in."""


def count(
    connection: Connection, states: Iterable[DeliveryState] = tuple(DeliveryState)
) -> list[OutboxCount]:
    """By recipient and state, of these states."""
    query = (
        select(
            outbox.c.recipient,
            outbox.c.state,
            func.count().label("number"),
            func.min(outbox.c.created_ms).label("oldest"),
        )
        .where(outbox.c.state.in_([state.value for state in states]))
        .group_by(outbox.c.recipient, outbox.c.state)
        .order_by(outbox.c.recipient, outbox.c.state)
    )
    return [
        OutboxCount(
            recipient=row.recipient, state=DeliveryState(row.state), number=row.number, oldest=row.oldest
        )
        for row in connection.execute(query)
    ]


def forget_sent(connection: Connection, before: Ms, *, limit: int = 10_000) -> int:
    """Drop what was sent before that instant about tickets that have ended since, at most ``limit`` rows; how
    many there were. While a ticket is open, it must be known who has heard of it."""
    old = (
        select(outbox.c.seq)
        .join(ticket, ticket.c.id == outbox.c.ticket)
        .where(outbox.c.sent_ms < before, ticket.c.closed_ms < before)
        .limit(limit)
        .scalar_subquery()
    )
    return connection.execute(outbox.delete().where(outbox.c.seq.in_(old))).rowcount


def _row(item: Delivery) -> dict[str, Any]:
    return {
        "key": item.key,
        "once": item.once,
        "recipient": item.recipient,
        "ticket": item.notice.ticket,
        "notice": {
            name: str(value) if isinstance(value, str) else value
            for name, value in asdict(item.notice).items()
        },
        "created_ms": item.created,
        "due_ms": item.due,
        "digest": item.digest,
        "batch": item.batch,
        "state": item.state.value,
        "attempts": item.attempts,
    }


def _delivery(row: Any) -> Delivery:
    notice = dict(row.notice)
    for name, kind in (("topic", Topic), ("scope", Scope), ("kind", FaultKind), ("severity", Severity)):
        notice[name] = kind(notice[name])
    return Delivery(
        seq=row.seq,
        key=row.key,
        once=row.once,
        recipient=row.recipient,
        notice=Notice(**notice),
        created=row.created_ms,
        due=row.due_ms,
        digest=row.digest,
        batch=row.batch,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        leased=row.leased_ms,
        error=row.error,
        sent=row.sent_ms,
    )
