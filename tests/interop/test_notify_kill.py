"""kill -9 of the courier in the middle of a delivery: nothing is lost, and what goes twice has its key."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from notify_peers import HttpServer, SmtpServer

from sharpeyes.domain.faults import (
    DeliveryState,
    FaultKey,
    FaultKind,
    Notice,
    Scope,
    Severity,
    Ticket,
    TicketStage,
    Topic,
)
from sharpeyes.domain.time import Ms
from sharpeyes.faults.notify.channels import Email
from sharpeyes.faults.notify.recipients import Recipient, plan
from sharpeyes.store import faults as store
from sharpeyes.store import outbox
from sharpeyes.store.database import Database

WORKER = Path(__file__).with_name("notify_worker.py")
MESSAGES = 20
LEASE_OVER_MS = 200_000


def fill(connection: Any) -> None:
    """Twenty tickets, a message about each."""
    placeholder = Email(to="li@example.org", sender="eyes@city.example", host="mail")
    recipient = Recipient(id="room", channel=placeholder, timezone=UTC)
    for number in range(MESSAGES):
        ticket = store.add_ticket(
            connection,
            Ticket(
                key=FaultKey(Scope.CAMERA, f"cam-{number}", FaultKind.OFFLINE),
                name=f"Gate {number}",
                severity=Severity.MAJOR,
                stage=TicketStage.RAISED,
                cause=None,
                started=Ms(1),
                raised=Ms(1),
                acknowledge_by=Ms(1),
                due=Ms(1),
            ),
        )
        notice = Notice(
            topic=Topic.DOWN,
            ticket=ticket.id,
            cycle=0,
            scope=Scope.CAMERA,
            subject=f"cam-{number}",
            name=f"Gate {number}",
            kind=FaultKind.OFFLINE,
            severity=Severity.MAJOR,
            cause=None,
            unit=None,
            area=None,
            started=Ms(1),
            at=Ms(1),
            due=Ms(1),
            level=0,
            children=0,
        )
        outbox.enqueue(connection, plan(notice, [recipient], [], Ms(1), [f"key-{number}"]))


@asynccontextmanager
async def worker(url: str, kind: str, port: int, ahead_ms: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        url,
        kind,
        str(port),
        str(ahead_ms),
        env={**os.environ, "NOTIFY_TEST_SECRET": "tell nobody"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def until_received(server: HttpServer | SmtpServer, number: int) -> None:
    def received() -> int:
        return len(server.received) if isinstance(server, HttpServer) else len(server.mails)

    async with asyncio.timeout(60):
        while received() < number:
            server.arrived.clear()
            await server.arrived.wait()


@pytest.mark.parametrize("kind", ["webhook", "email"])
async def test_killed_between_the_receivers_yes_and_our_note_of_it(tmp_path: Path, kind: str) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    with Database(url) as database:
        database.upgrade()
        database.write(fill)
    server = HttpServer() if kind == "webhook" else SmtpServer()
    async with server:
        # The sixth message is taken in, but its answer never comes: this is where the courier dies.
        if isinstance(server, HttpServer):
            server.answers = [server.answer] * 5 + [b""]
        else:
            server.replies["."] = ["250 taken"] * 5 + [""]
        async with worker(url, kind, server.port, 0) as process:
            await until_received(server, 6)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        with Database(url) as database:
            left = [d for d in database.read(outbox.list_deliveries) if d.state is DeliveryState.PENDING]
            assert len(left) == MESSAGES - 5, "nothing is taken for said that was not"
            assert [d.attempts for d in left] == [0] * len(left)
        async with worker(url, kind, server.port, LEASE_OVER_MS):
            await until_received(server, MESSAGES + 1)
            await asyncio.sleep(0.3)
    if isinstance(server, HttpServer):
        keys = [request.headers["idempotency-key"] for request in server.received]
        assert len({(request.headers["webhook-id"], request.body) for request in server.received}) == MESSAGES
    else:
        keys = [mail.content["Message-ID"].strip("<>").partition("@")[0] for mail in server.mails]
    counted = Counter(keys)
    assert counted == {f"key-{n}": 2 if n == 5 else 1 for n in range(MESSAGES)}
    with Database(url) as database:
        assert {d.state for d in database.read(outbox.list_deliveries)} == {DeliveryState.SENT}


async def test_a_lease_keeps_two_couriers_apart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    with Database(url) as database:
        database.upgrade()
        database.write(fill)
    async with HttpServer() as server:
        async with worker(url, "webhook", server.port, 0), worker(url, "webhook", server.port, 0):
            await until_received(server, MESSAGES)
            await asyncio.sleep(0.3)
        assert Counter(request.headers["idempotency-key"] for request in server.received) == {
            f"key-{n}": 1 for n in range(MESSAGES)
        }
