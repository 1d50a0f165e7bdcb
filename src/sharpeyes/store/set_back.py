"""What was written by a clock of ours that was ahead, once it has been set back.

Whatever stands in the store with a time that has not come yet would be believed for as long as the clock was
ahead: nothing newer would count, and rates would know nothing of the time between. So it is put right, once,
in the transaction that notices it:

- **What cameras and clocks were found to be** at times that have not come is taken back: intervals end where
  they reach the present, those beyond it go. What was so meanwhile is unknown, not offline.
- **What happened** (a ticket, an outage of our own, a kept probe, a membership) did happen, only not then: it
  is dated back by as much as the clock was ahead, and what was to follow from its time with it.
- **Days added up** that are not over are forgotten, and added up when they are; what schedules reported of
  them is made anew then.
- **What people have said and signed** (the register of accesses, grants, sessions, exclusions, the journal)
  stays as it was written; its own rooms see to it that nothing opens by that.

The journal of events tells of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from sharpeyes.domain.faults import DeliveryState
from sharpeyes.domain.health import CLOCK_SET_BACK, State
from sharpeyes.domain.time import AHEAD_MS, DAY_MS, Ms
from sharpeyes.store import reports, rollups
from sharpeyes.store.device_schema import camera_report, clock_interval, device_clock, device_events
from sharpeyes.store.discovery_schema import discovery_run, found_device
from sharpeyes.store.dossier_schema import shift, shift_note
from sharpeyes.store.events import Event, record
from sharpeyes.store.faults_schema import (
    cause_edge,
    cause_episode,
    cause_node,
    fault_watch,
    outbox,
    own_outage,
    ticket,
)
from sharpeyes.store.quality_schema import (
    camera_picture,
    camera_rung,
    evidence,
    picture_reference,
    probe_record,
    rung_interval,
    unsaid_rung,
)
from sharpeyes.store.rates_schema import archived
from sharpeyes.store.schema import (
    camera,
    camera_state,
    credential,
    device,
    heartbeat,
    membership,
    state_interval,
)
from sharpeyes.store.state_time import instant

HELD_MS = DAY_MS
"""No message is held longer: one that is due later was put off by a clock that was ahead."""
LEASED_MS = 600_000
"""Nor is an attempt to say it given so much time."""
_INTERVALS = (state_interval, rung_interval, unsaid_rung, clock_interval)
_HAPPENED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (heartbeat, ("at_ms",)),
    (fault_watch, ("since_ms", "at_ms", "sampled_ms", "released_ms")),
    (own_outage, ("since_ms", "noticed_ms", "ended_ms", "real_ms")),
    (device_clock, ("since_ms", "at_ms", "read_ms", "against_ms")),
    (device_events, ("at_ms",)),
    (camera_picture, ("at_ms",)),
    (picture_reference, ("learned_ms", "retired_ms")),
    (found_device, ("first_ms", "last_ms", "decided_ms")),
    (discovery_run, ("started_ms", "ended_ms")),
    (cause_node, ("changed_ms", "retired_ms")),
    (cause_edge, ("changed_ms",)),
    (camera, ("created_ms", "changed_ms", "retired_ms")),
    (device, ("created_ms", "changed_ms", "retired_ms")),
    (credential, ("changed_ms",)),
    (shift_note, ("at_ms",)),
)
"""Times that are dated back as they are. Keys, pairs that must not meet, and what follows from a time have
their own ways below."""


def ahead_by(connection: Connection, now: Ms) -> int:
    """By how much (ms) what was observed lies ahead of ``now``; 0 if it does not, or by so little that the
    time comes while one waits for it."""
    latest = (
        select(func.max(heartbeat.c.at_ms)),
        select(func.max(state_interval.c.ended_ms)),
        select(func.max(camera_state.c.since_ms)),
        select(func.max(camera_state.c.observed_ms)),
    )
    found = max(int(connection.scalar(query) or 0) for query in latest)
    return found - now if found - now > AHEAD_MS else 0


def set_back(connection: Connection, now: Ms, ahead_ms: int) -> None:
    """It is ``now``; our clock was ``ahead_ms`` ahead. Done twice, it is as once, but for the journal."""
    _cut(connection, now)
    _unknow(connection, now)
    _forget_days(connection, now)
    reports.retract_early(connection, now)
    _rejoin(connection, now, ahead_ms)
    _tickets(connection, now, ahead_ms)
    _messages(connection, now, ahead_ms)
    _evidence(connection, now, ahead_ms)
    connection.execute(delete(cause_episode).where(cause_episode.c.at_ms > instant(now)))
    for table, names in _HAPPENED:
        _date_back(connection, table, names, now, ahead_ms)
    message = (
        f"Our own clock was ahead by {_length(ahead_ms)} and has been set back: what was observed by it is"
        " unknown, what happened meanwhile is dated back"
    )
    detail = {"ahead_ms": ahead_ms}
    record(connection, [Event(at=now, kind=CLOCK_SET_BACK, subject="clock", message=message, detail=detail)])


def _cut(connection: Connection, now: Ms) -> None:
    for table in _INTERVALS:
        t, here = table.c, instant(now)
        connection.execute(delete(table).where(t.ended_ms > here, t.started_ms >= here))
        connection.execute(update(table).where(t.ended_ms > here).values(ended_ms=now))


def _unknow(connection: Connection, now: Ms) -> None:
    """Standings that begin later are unknown from now on; an owner's word (maintenance) stands."""
    s, here = camera_state.c, instant(now)
    declared = s.state == State.MAINTENANCE.value
    connection.execute(
        update(camera_state)
        .where(s.since_ms > here)
        .values(
            state=case((declared, State.MAINTENANCE.value), else_=State.UNKNOWN.value),
            cause=case((declared, s.cause), else_=CLOCK_SET_BACK),
            since_ms=now,
            seen_state=None,
            seen_cause=None,
            observed_ms=None,
            fails=0,
            passes=0,
            streak_ms=None,
        )
    )
    connection.execute(update(camera_state).where(s.observed_ms > here).values(observed_ms=now))
    connection.execute(delete(camera_rung).where(camera_rung.c.since_ms >= here))


def _forget_days(connection: Connection, now: Ms) -> None:
    early = [day.span for day in rollups.days(connection) if day.span.end > now]
    if early:
        rollups.forget_days(connection, early)
    over = max((day.span.end for day in rollups.days(connection)), default=now)
    connection.execute(update(archived).where(archived.c.until_ms > instant(now)).values(until_ms=over))


def _rejoin(connection: Connection, now: Ms, ahead_ms: int) -> None:
    """Memberships, one after the other as they were: none empty, none over another."""
    m, here = membership.c, instant(now)
    later = or_(m.started_ms > here, m.ended_ms > here)
    known = select(membership).where(m.camera_id.in_(select(m.camera_id).where(later)))
    rows = [dict(row) for row in connection.execute(known.order_by(m.camera_id, m.started_ms)).mappings()]
    for key, group in groupby(rows, key=lambda row: row["camera_id"]):
        kept, end = [], 0
        for row in group:
            row["started_ms"] = max(_back(row["started_ms"], now, ahead_ms), end)
            if row["ended_ms"] is not None:
                row["ended_ms"] = _back(row["ended_ms"], now, ahead_ms)
                if row["ended_ms"] <= row["started_ms"]:
                    continue
                end = row["ended_ms"]
            kept.append(row)
        connection.execute(delete(membership).where(m.camera_id == key))
        if kept:
            connection.execute(insert(membership), kept)


def _tickets(connection: Connection, now: Ms, ahead_ms: int) -> None:
    """With its time go the times that were promised from it; and nothing is overdue that is not due."""
    t, here = ticket.c, instant(now)
    promised = {name: t[name] - instant(ahead_ms) for name in ("acknowledge_by_ms", "due_ms")}
    connection.execute(update(ticket).where(t.raised_ms > here).values(promised))
    connection.execute(update(ticket).where(t.overdue_ms > here, t.due_ms > here).values(overdue_ms=None))
    happened = ("started_ms", "raised_ms", "acknowledged_ms", "handled_ms", "recovered_ms", "closed_ms")
    _date_back(connection, ticket, (*happened, "overdue_ms"), now, ahead_ms)
    s = shift.c
    _date_back(connection, shift, ("started_ms", "signed_ms"), now, ahead_ms)
    ended = s.ended_ms - instant(ahead_ms)
    after = case((ended > s.started_ms, ended), else_=s.started_ms + 1)
    connection.execute(update(shift).where(s.ended_ms > here).values(ended_ms=after))


def _messages(connection: Connection, now: Ms, ahead_ms: int) -> None:
    o, here = outbox.c, instant(now)
    connection.execute(update(outbox).where(o.created_ms > here).values(due_ms=o.due_ms - instant(ahead_ms)))
    waiting = o.state == DeliveryState.PENDING.value
    connection.execute(update(outbox).where(waiting, o.due_ms > instant(now + HELD_MS)).values(due_ms=now))
    connection.execute(update(outbox).where(o.leased_ms > instant(now + LEASED_MS)).values(leased_ms=now))
    _date_back(connection, outbox, ("created_ms", "sent_ms"), now, ahead_ms)
    e = device_events.c
    connection.execute(
        update(device_events).where(e.at_ms > here).values(retry_ms=e.retry_ms - instant(ahead_ms))
    )


def _evidence(connection: Connection, now: Ms, ahead_ms: int) -> None:
    """Pictures are kept no longer than if the clock had been right."""
    back, here = instant(ahead_ms), instant(now)
    p, other = probe_record.c, probe_record.alias("other").c
    taken = select(literal(1)).where(other.camera_id == p.camera_id, other.at_ms == p.at_ms - back).exists()
    connection.execute(delete(probe_record).where(p.at_ms > here, taken))
    for table in (evidence, probe_record, camera_report):
        t = table.c
        moved = {"at_ms": t.at_ms - back, "expires_ms": t.expires_ms - back}
        connection.execute(update(table).where(t.at_ms > here).values(moved))


def _date_back(connection: Connection, table: Table, names: Iterable[str], now: Ms, ahead_ms: int) -> None:
    for name in names:
        column: Column[int] = table.c[name]
        done: ColumnElement[bool] = and_(column.is_not(None), column > instant(now))
        connection.execute(update(table).where(done).values({name: column - instant(ahead_ms)}))


def _back(at: int, now: Ms, ahead_ms: int) -> int:
    return at - ahead_ms if at > now else at


def _length(ms: int) -> str:
    days, rest = divmod(round(ms / 1000), 86_400)
    hours, rest = divmod(rest, 3600)
    return f"{days} d {hours} h" if days else f"{hours} h {rest // 60} min {rest % 60} s"
