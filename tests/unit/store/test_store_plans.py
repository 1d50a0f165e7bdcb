"""What is asked often, or by a page, walks through no table that grows by the day. SQLite tells its ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from sharpeyes.domain.faults import DeliveryState, FaultKey, FaultKind, Scope, TicketStage
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import events, faults, outbox, rollups, shifts
from sharpeyes.store.database import Database
from sharpeyes.store.faults import TicketFilter
from sharpeyes.store.rollups import Kind

GROWING = ("event", "outbox", "rung_interval", "state_interval", "ticket", "ticket_entry")
SPAN = Span(Ms(1_000), Ms(2_000))
SENT = DeliveryState.SENT.value
"""Nearly all messages are that: who finds one by it has walked through them."""
GATE = FaultKey(Scope.CAMERA, "gate", FaultKind.OFFLINE)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("plans")
    with Database(f"sqlite:///{folder}/a.db") as database:
        database.upgrade()
        yield database


@pytest.mark.parametrize(
    "ask",
    [
        faults.open_tickets,
        lambda c: faults.list_tickets(c, TicketFilter(open=True), limit=100),
        lambda c: faults.list_tickets(c, TicketFilter(unit="psb"), limit=100),
        lambda c: faults.last_closed(c, GATE),
        lambda c: faults.count_open(c, Ms(1_000)),
        lambda c: faults.histories(c, SPAN),
        lambda c: shifts.summary(c, SPAN, "psb"),
        lambda c: faults.list_tickets(c, TicketFilter(stage=TicketStage.ROUTED), limit=100),
        lambda c: outbox.claim(c, Ms(1_000), lease_ms=1, storm=1, largest=1, skip=["psb"]),
        lambda c: outbox.count(c, [DeliveryState.PENDING, DeliveryState.DEAD]),
        lambda c: outbox.list_deliveries(c, DeliveryState.DEAD),
        lambda c: outbox.told(c, 1, 1),
        lambda c: outbox.forget_sent(c, Ms(1_000)),
        lambda c: events.list_events(c, kind="report"),
        lambda c: events.list_events(c, subject="gate"),
        lambda c: list(rollups.ended(c, Kind.INTERVALS, Ms(1_000), batch=100)),
        lambda c: list(rollups.ended(c, Kind.RUNGS, Ms(1_000), batch=100)),
    ],
)
def test_no_walk_through_what_grows(database: Database, ask: Callable[[Connection], Any]) -> None:
    walks = []

    def look(connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        raw: Any = connection.connection.dbapi_connection
        plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        walks.extend(step for step in plan for table in GROWING if f"{step} ".startswith(f"SCAN {table} "))
        walks.extend(step for step in plan if "ix_outbox_state (state=?)" in step and SENT in values)

    def asked(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", look)
        ask(connection)

    database.write(asked)
    # of those that are open it may walk through the index that has them alone
    assert [one for one in walks if not one.endswith("USING INDEX uq_ticket_open")] == []
