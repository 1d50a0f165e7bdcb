"""What a shift says of the time it lasted: states, tickets, exclusions, contests, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.errors import ConflictError, ForbiddenError
from sharpeyes.domain.faults import FaultKey, FaultKind, Scope, Severity, Ticket, TicketStage
from sharpeyes.domain.organisation import Area, Department, Tier, Zone
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import organisation, shifts
from sharpeyes.store.cameras import put_cameras
from sharpeyes.store.database import Database
from sharpeyes.store.faults import add_ticket
from sharpeyes.store.rates_schema import contest, exclusion
from sharpeyes.store.schema import camera_state, state_interval

START, END = Ms(10_000), Ms(20_000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        database.write(fill)
        yield database


def fill(c: Connection) -> None:
    organisation.put_zones(c, [Zone(id="z", name="z")])
    organisation.put_departments(c, [Department(id="psb", name="p"), Department(id="edu", name="e")])
    organisation.put_areas(c, [Area(id="a", name="a")])
    cameras = [
        Camera(
            id=key,
            name=f"门 {key}",
            tier=Tier.COMMUNITY,
            department="psb",
            area="a",
            zone="z",
            streams=(Stream(role=StreamRole.MAIN, url=f"rtsp://10.0.0.1/{key}"),),
        )
        for key in ("c1", "c2", "c3")
    ]
    put_cameras(c, cameras, now=Ms(0))
    closed = [
        ("c1", 0, 11_000, "online"), ("c1", 11_000, 12_000, "offline"), ("c1", 12_000, 13_000, "online"),
        ("c2", 0, 9_000, "online"), ("c2", 9_000, 15_000, "offline"),  # fell before
        ("c3", 0, 21_000, "online"),  # falls afterwards
    ]  # fmt: skip
    c.execute(
        insert(state_interval),
        [dict(zip(("camera_id", "started_ms", "ended_ms", "state"), row, strict=True)) for row in closed],
    )
    lasting = [("c1", 13_000, "offline"), ("c2", 15_000, "online"), ("c3", 21_000, "offline")]
    c.execute(
        insert(camera_state),
        [
            dict(zip(("camera_id", "since_ms", "state"), row, strict=True))
            | {"fails": 0, "passes": 0, "cause": "refused" if row[2] == "offline" else None}
            for row in lasting
        ],
    )


def ticket(c: Connection, name: str, **changes: Any) -> None:
    plain = Ticket(
        key=FaultKey(Scope.CAMERA, name, FaultKind.OFFLINE),
        name=name,
        severity=Severity.MINOR,
        stage=TicketStage.RAISED,
        cause=None,
        started=Ms(1),
        raised=Ms(12_000),
        acknowledge_by=Ms(13_000),
        due=Ms(90_000),
    )
    add_ticket(c, replace(plain, **changes))


def test_states_by_hand(database: Database) -> None:
    found = database.read(lambda c: shifts.summary(c, Span(START, END), "psb"))["states"]
    assert found["began"] == {"offline": 2, "online": 2}
    assert found["cameras_fallen"] == 1
    assert found["offline_at_end"] == 2  # c3 too: the summary is made at the end, not later
    assert found["fell_and_stayed"] == [
        {"camera": "c1", "name": "门 c1", "since": 13_000, "cause": "refused"}
    ]
    assert found["unstable"] == [{"camera": "c1", "name": "门 c1", "times": 2}]


def test_tickets_by_hand(database: Database) -> None:
    def put(c: Connection) -> None:
        ticket(c, "old", raised=Ms(1), due=Ms(15_000), overdue=Ms(15_000))
        ticket(c, "new", severity=Severity.CRITICAL)
        ticket(
            c, "done", raised=Ms(1), closed=Ms(14_000), stage=TicketStage.CLOSED, evidence={"said": "online"}
        )
        ticket(c, "late", raised=Ms(21_000))
        ticket(c, "void", closed=Ms(14_000), stage=TicketStage.VOIDED)
        ticket(c, "zone", key=FaultKey(Scope.ZONE, "z", FaultKind.BLIND))

    database.write(put)
    found = database.read(lambda c: shifts.summary(c, Span(START, END), "psb"))["tickets"]
    assert {key: value for key, value in found.items() if key != "notable"} == {
        "raised": 3,
        "closed": 1,
        "open_at_end": 3,
        "overdue_at_end": 1,
        "fell_overdue": 1,
        "own_outages": 1,
    }
    assert [line["name"] for line in found["notable"]][:2] == ["new", "zone"]
    assert "late" not in [line["name"] for line in found["notable"]]


def test_exclusions_and_contests_by_hand(database: Database) -> None:
    def put(c: Connection) -> None:
        plain = {"scope": "camera", "reason": "r", "evidence": "e", "applicant": "x"}
        for key, values in {
            "a": {"stage": "pending", "applied_ms": 11_000, "started_ms": 1, "ended_ms": 2},
            "b": {
                "stage": "approved", "applied_ms": 1, "started_ms": 1, "ended_ms": 30_000,
                "decider": "y", "decided_ms": 12_000,
            },
            "c": {
                "stage": "refused", "applied_ms": 1, "started_ms": 1, "ended_ms": 2,
                "decider": "y", "decided_ms": 12_000,
            },
            "d": {
                "stage": "withdrawn", "applied_ms": 1, "started_ms": 1, "ended_ms": 30_000,
                "withdrawn_ms": 12_000, "withdrawal": "called off",
            },
        }.items():  # fmt: skip
            c.execute(insert(exclusion).values(id=key, **plain, **values))
        c.execute(
            insert(contest).values(
                id="x", camera_id="c1", started_ms=11_000, state="offline", department="psb",
                author="x", text="t", at_ms=19_000,
            )
        )  # fmt: skip
        c.execute(
            insert(contest).values(
                id="y", camera_id="c1", started_ms=11_000, state="offline", department="psb",
                author="x", text="t", at_ms=1, withdrawn_ms=19_000, withdrawal="w",
            )
        )  # fmt: skip

    database.write(put)
    found = database.read(lambda c: shifts.summary(c, Span(START, END), "psb"))
    assert found["exclusions"] == {
        "applied": 1, "approved": 1, "refused": 1, "revoked": 0, "withdrawn": 1, "in_force_at_end": 1,
        "pending_at_end": 1,
    }  # fmt: skip
    assert found["contests"] == {"filed": 1, "answered": 0, "withdrawn": 1, "unanswered_at_end": 1}


def test_duty_goes_from_hand_to_hand(database: Database) -> None:
    write = database.write
    first = write(lambda c: shifts.begin(c, "psb", ("ann",), now=START))
    with pytest.raises(ConflictError, match=r"goes on since 1970-01-01T00:00:10"):
        write(lambda c: shifts.begin(c, "psb", ("bob",), now=END))
    assert write(lambda c: shifts.begin(c, "edu", ("eve",), now=START)).department == "edu"
    with pytest.raises(ConflictError, match="goes on"):
        write(lambda c: shifts.sign(c, first.id, by="bob", remark="", now=END))
    ended = write(lambda c: shifts.hand_over(c, first.id, by="ann", now=END))
    assert ended.summary == database.read(lambda c: shifts.summary(c, Span(START, END), "psb"))
    with pytest.raises(ConflictError, match="has ended"):
        write(lambda c: shifts.hand_over(c, first.id, by="ann", now=END))
    with pytest.raises(ForbiddenError):
        write(lambda c: shifts.sign(c, first.id, by="ann", remark="", now=END))
    write(lambda c: shifts.sign(c, first.id, by="bob", remark="seen", now=Ms(25_000)))
    following = database.read(lambda c: shifts.current(c, "psb"))
    assert following is not None
    assert (following.started, following.operators) == (END, ("bob",)), "no time without anybody"
