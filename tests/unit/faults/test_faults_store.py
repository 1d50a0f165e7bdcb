"""What the repositories of faults promise beyond what the scenarios use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from sharpeyes.domain.errors import ConflictError, InvalidInputError, NotFoundError
from sharpeyes.domain.faults import (
    Entry,
    FaultKey,
    FaultKind,
    Move,
    Node,
    NodeKind,
    Scope,
    Severity,
    Silence,
    Ticket,
    TicketStage,
)
from sharpeyes.domain.organisation import Zone
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import causes
from sharpeyes.store import faults as store
from sharpeyes.store.database import Database
from sharpeyes.store.faults import TicketFilter
from sharpeyes.store.organisation import put_zones


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/a.db") as made:
        made.upgrade()
        yield made


TICKET = Ticket(
    key=FaultKey(Scope.CAMERA, "cam-1", FaultKind.OFFLINE),
    name="Gate",
    severity=Severity.MAJOR,
    stage=TicketStage.ROUTED,
    cause="timeout",
    started=Ms(1),
    raised=Ms(2),
    acknowledge_by=Ms(3),
    due=Ms(4),
    unit="police",
)


def test_a_ticket_reads_as_it_was_written(database: Database) -> None:
    full = replace(
        TICKET,
        tier="community",
        department="d",
        area="a",
        zone="z",
        rule="owner",
        acknowledged=Ms(5),
        handled=Ms(6),
        recovered=Ms(7),
        closed=Ms(8),
        stage=TicketStage.CLOSED,
        resume=TicketStage.HANDLED,
        level=2,
        overdue=Ms(4),
        cycle=1,
        failed=3,
        children=4,
        evidence={"said": "online"},
    )
    stored = database.write(lambda c: store.add_ticket(c, full))
    assert database.read(lambda c: store.get_ticket(c, stored.id)) == replace(full, id=stored.id)
    entry = Entry(
        ticket=stored.id, at=Ms(9), move=Move.NOTE, by="li", text="x", attachment="p/1", detail={"a": 1}
    )
    database.write(lambda c: store.add_entries(c, [entry]))
    assert database.read(lambda c: store.list_entries(c, stored.id)) == [entry]


def test_the_database_itself_refuses_two_open_tickets_and_unproven_ends(database: Database) -> None:
    database.write(lambda c: store.add_ticket(c, TICKET))
    for bad in (
        TICKET,
        replace(
            TICKET, key=FaultKey(Scope.CAMERA, "b", FaultKind.OFFLINE), stage=TicketStage.CLOSED, closed=Ms(9)
        ),
        replace(TICKET, key=FaultKey(Scope.CAMERA, "b", FaultKind.OFFLINE), closed=Ms(9)),
        replace(TICKET, key=FaultKey(Scope.CAMERA, "b", FaultKind.OFFLINE), stage=TicketStage.VOIDED),
    ):
        with pytest.raises(IntegrityError):
            database.write(lambda c, bad=bad: store.add_ticket(c, bad))  # type: ignore[misc]
    assert len(database.read(store.open_tickets)) == 1


def test_tickets_are_found_and_counted(database: Database) -> None:
    def fill(connection: Any) -> None:
        for number, (severity, unit) in enumerate(
            [(Severity.MAJOR, "police"), (Severity.MINOR, "traffic"), (Severity.MAJOR, "traffic")]
        ):
            key = FaultKey(Scope.CAMERA, f"cam-{number}", FaultKind.OFFLINE)
            store.add_ticket(
                connection, replace(TICKET, key=key, severity=severity, unit=unit, raised=Ms(number))
            )

    database.write(fill)

    def find(**where: Any) -> list[str]:
        found = database.read(lambda c: store.list_tickets(c, TicketFilter(**where)))
        return [t.key.subject for t in found]

    assert find() == ["cam-2", "cam-1", "cam-0"]
    assert find(unit="traffic", severity=Severity.MAJOR) == ["cam-2"]
    assert find(raised=Span(Ms(0), Ms(2))) == ["cam-1", "cam-0"]
    assert find(open=False) == find(overdue=True) == find(subject="x") == []
    assert find(scope=Scope.CAMERA, kind=FaultKind.OFFLINE, stage=TicketStage.ROUTED, open=True) == find()
    page = database.read(lambda c: store.list_tickets(c, before=3, limit=1))
    assert [t.key.subject for t in page] == ["cam-1"]
    counted = database.read(lambda c: store.count_open(c, Ms(100)))
    assert [(n.severity, n.stage, n.open, n.overdue) for n in counted] == [
        (Severity.MAJOR, TicketStage.ROUTED, 2, 2),
        (Severity.MINOR, TicketStage.ROUTED, 1, 1),
    ]
    with pytest.raises(NotFoundError):
        database.read(lambda c: store.get_ticket(c, 99))


def test_silences(database: Database) -> None:
    work = Silence(id="w", scope=None, subject=None, span=Span(Ms(10), Ms(20)), reason="work", by="li")

    def listed(since: int) -> list[Silence]:
        return database.read(lambda c: store.list_silences(c, Ms(since)))

    database.write(lambda c: store.add_silence(c, work))
    with pytest.raises(ConflictError):
        database.write(lambda c: store.add_silence(c, work))
    assert listed(0) == listed(19) == [work]
    assert listed(20) == []
    database.write(lambda c: store.end_silence(c, "w", at=Ms(15)))
    assert listed(0)[0].span == Span(Ms(10), Ms(15))
    database.write(lambda c: store.end_silence(c, "w", at=Ms(5)))
    assert listed(0) == []
    with pytest.raises(NotFoundError):
        database.write(lambda c: store.end_silence(c, "w", at=Ms(5)))


def test_nodes_cannot_hang_from_themselves(database: Database) -> None:
    def put(name: str, parent: str | None) -> None:
        node = Node(id=name, kind=NodeKind.SWITCH, name=name, parent=parent)
        database.write(lambda c: causes.put_node(c, node, now=Ms(1)))

    put("a", None)
    put("b", "a")
    for name, parent in (("a", "b"), ("c", "c")):
        with pytest.raises(InvalidInputError, match="parent"):
            put(name, parent)
    node = Node(id="d", kind=NodeKind.LINK, name="d")
    with pytest.raises(NotFoundError, match="no camera x"):
        database.write(lambda c: causes.put_node(c, node, ["x"], now=Ms(1)))
    database.write(lambda c: causes.retire_node(c, "b", now=Ms(2)))
    assert [n.id for n in database.read(causes.load_causes)[0]] == ["a"]
    assert database.read(causes.known_nodes) == {"a", "b"}
    with pytest.raises(NotFoundError):
        database.write(lambda c: causes.retire_node(c, "b", now=Ms(2)))


def test_old_episodes_are_forgotten(database: Database) -> None:
    database.write(lambda c: put_zones(c, [Zone(id="west", name="West")]) and None)

    def fill(connection: Any) -> None:
        for at in range(causes.EPISODES + 20):
            assert causes.add_episode(connection, "west", Ms(at), ["a", "b"])
        assert not causes.add_episode(connection, "west", Ms(100), ["a", "b"])

    database.write(fill)
    kept = database.read(lambda c: causes.list_episodes(c, "west"))
    assert [at for at, _ in kept] == list(range(causes.EPISODES + 19, 19, -1))
