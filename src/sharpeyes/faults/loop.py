"""The loop: what the judge says of cameras becomes tickets, and what becomes of them is told.

Each step is one transaction: what is remembered, the tickets, their histories and the messages about them
are written together or not at all. A tick compares levels, not edges: it reads the standings of the store,
so that what was missed (a restart, a full queue) is made up for, and a second tick at the same instant
changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Move, StateChange, Ticket, Topic, Watch
from sharpeyes.domain.time import Ms
from sharpeyes.faults import flap
from sharpeyes.faults.causes import Graph
from sharpeyes.faults.desk import Desk, Office
from sharpeyes.faults.notify.recipients import Recipient
from sharpeyes.faults.policy import FaultPolicy, RouteRule
from sharpeyes.faults.round import UP, Outcome, Round
from sharpeyes.faults.ticket import Step
from sharpeyes.store import causes
from sharpeyes.store import faults as store
from sharpeyes.store.database import Database
from sharpeyes.store.faults import TicketCount

log = logging.getLogger(__name__)


class Loop:
    """Watches over the cameras of ``database``. ``wake`` is called when the outbox was filled."""

    def __init__(
        self,
        database: Database,
        *,
        fallback_unit: str,
        policy: FaultPolicy | None = None,
        rules: Sequence[RouteRule] = (),
        recipients: Sequence[Recipient] = (),
        wake: Callable[[], None] = lambda: None,
        counted: Callable[[Sequence[TicketCount], Ms], None] = lambda _counts, _at: None,
        found: Callable[[Outcome], Awaitable[None]] | None = None,
    ) -> None:
        """``fallback_unit`` gets what belongs to nobody, and the faults of our own; ``counted`` is told after
        each tick which tickets are open, ``found`` what else came of it."""
        self._database = database
        self._office = Office(policy or FaultPolicy(), tuple(rules), tuple(recipients), fallback_unit)
        self._wake = wake
        self._counted = counted
        self._found = found
        self.outcome = Outcome()
        """Of the last tick: who is blind, what is suppressed, which cameras to look at sooner."""
        self._stamp: tuple[object, ...] | None = None
        self._graph = Graph((), {})

    def take(self, rules: Sequence[RouteRule], recipients: Sequence[Recipient], fallback: str) -> None:
        """Route and tell by these from now on; tickets that there are stay where they are."""
        self._office = Office(self._office.policy, tuple(rules), tuple(recipients), fallback)

    async def observe(self, changes: Sequence[StateChange]) -> None:
        """Cameras changed their state. Changes older than what is known, and of cameras that are not in the
        registry, are passed over."""
        await self._database.awrite(lambda connection: _remember(connection, changes))

    async def tick(self, now: Ms, failing_canaries: Mapping[str, Ms] | None = None) -> Outcome:
        """Look at everything once. ``failing_canaries``: zone -> since when a canary of it fails."""

        def step(connection: Connection) -> tuple[Outcome, bool, list[TicketCount]]:
            _remember(connection, store.news(connection))
            turn = Round(connection, self._office, self._graph_now(connection), now, failing_canaries or {})
            outcome = turn.run()
            return outcome, turn.told, store.count_open(connection, now)

        self.outcome, told, counts = await self._database.awrite(step)
        self._counted(counts, now)
        if told:
            self._wake()
        if self._found is not None:
            await self._found(self.outcome)
        return self.outcome

    async def run(
        self,
        clock: Callable[[], Ms],
        failing_canaries: Callable[[], Mapping[str, Ms]] = dict,
        *,
        every_s: float = 10.0,
    ) -> None:
        """Tick until cancelled. Failures are said, once, and outlived: the next tick makes up for them."""
        broken = False
        while True:
            try:
                await self.tick(clock(), failing_canaries())
            except Exception:  # whatever it is, faults must be watched on
                if not broken:
                    log.exception("faults cannot be watched")
                broken = True
            else:
                if broken:
                    log.info("faults are watched again")
                broken = False
            await asyncio.sleep(every_s)

    async def move(
        self,
        ticket_id: int,
        move: Move,
        *,
        by: str,
        at: Ms,
        text: str = "",
        unit: str | None = None,
        attachment: str | None = None,
    ) -> Ticket:
        """Something that a person does: route (with ``unit``), acknowledge, handle, or note.

        Raises NotFoundError, ConflictError if the ticket is not in a stage for that, InvalidInputError.
        """
        if not by:
            raise InvalidInputError("by is missing: who does this?")
        step = Step(move=move, at=at, by=by, text=text, unit=unit, attachment=attachment)

        def write(connection: Connection) -> tuple[Ticket, bool]:
            desk = Desk(connection, self._office, at)
            item = desk.apply(store.get_ticket(connection, ticket_id), step)
            if move is Move.ROUTE:  # the new unit has not heard of it
                desk.tell(replace(item, level=0), Topic.DOWN)
            desk.flush()
            return item, desk.told

        item, told = await self._database.awrite(write)
        if told:
            self._wake()
        return item

    def _graph_now(self, connection: Connection) -> Graph:
        stamp = causes.causes_stamp(connection)
        if stamp != self._stamp:
            self._graph = Graph(*causes.load_causes(connection))
            self._stamp = stamp
        return self._graph


def _remember(connection: Connection, changes: Iterable[StateChange]) -> None:
    ordered = sorted(changes, key=lambda change: (change.since, change.at))
    known = store.in_service(connection, {change.camera for change in ordered})
    watches = store.watches(connection, known)
    changed: dict[str, Watch] = {}
    for change in ordered:
        if change.camera not in known:
            continue
        before = watches.get(change.camera)
        if before is not None and (change.since, change.at) <= (before.since, before.at):
            continue
        after = _after(before, change)
        watches[change.camera] = changed[change.camera] = after
    store.put_watches(connection, changed.values())


def _after(before: Watch | None, change: StateChange) -> Watch:
    history = before.history if before is not None else ""
    if before is None or before.state is not change.state:
        history = flap.push(history, change.state)
    return Watch(
        camera=change.camera,
        state=change.state,
        since=change.since,
        cause=change.cause,
        at=change.at,
        history=history,
        sampled=change.at,
        flapping=flap.flapping(history, before is not None and before.flapping),
        upstream=before.upstream if before is not None and change.state not in UP else None,
        released=before.released if before is not None else None,
    )
