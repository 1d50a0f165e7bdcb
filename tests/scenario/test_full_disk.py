"""The disk of a running service is full, or read-only: what is acknowledged then, and what is kept."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from api_client import Client, client_of
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.health import State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import telemetry
from sharpeyes.store.database import Database

FULL = "PRAGMA max_page_count = 1"
"""SQLite takes what is there already as its least: no page more."""
ROOM = "PRAGMA max_page_count = 1000000000"
CLOSED = "PRAGMA query_only = ON"
OPEN = "PRAGMA query_only = OFF"


def pragma(client: Client, what: str) -> None:
    """On the one connection that writes. A full disk leaves no room in the pages that there are, either."""
    database: Database = client.service.database
    connection = database._write_engine.raw_connection()
    connection.cursor().execute(what)
    connection.close()
    if what is FULL:
        with pytest.raises((OperationalError, UnavailableError)):
            database.write(lambda c: c.exec_driver_sql("CREATE TABLE stuffing (x BLOB)"))


def standings(client: Client) -> dict[str, State]:
    stored = client.service.database.read(telemetry.load_standings)
    return {name: row.state for name, row in stored.items()}


async def until(true) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("shut", "opened"), [(FULL, ROOM), (CLOSED, OPEN)], ids=["full", "readonly"])
async def test_nothing_is_acknowledged_that_is_not_kept(
    tmp_path: Path, shut: str, opened: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(tmp_path) as client:
        service = client.service
        await until(lambda: len(standings(client)) == 3)
        pragma(client, shut)
        acknowledged = []
        for number in range(60):
            body = {"name": f"made while shut {number}" + "x" * 180, "scopes": ["read"]}
            answer = await client.post("/api/v1/tokens", json=body)
            if answer.status_code == 201:  # there was room left in a page
                acknowledged.append(answer.json()["id"])
                continue
            assert answer.status_code == 503, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:sharpeyes:error:unavailable"
            assert "disk" in answer.json()["mend"]
            assert "INSERT" not in answer.text
        assert len(acknowledged) < 60
        if shut is CLOSED:
            assert acknowledged == []
            # What is seen meanwhile is kept in memory.
            await client.post("/api/v1/cameras/gate-1/probe")
            await until(lambda: service.recorder.failing)
            await until(lambda: service.recorder.waiting > 0)
        pragma(client, opened)
        await until(lambda: not service.recorder.failing)
        listed = [each["id"] for each in (await client.get("/api/v1/tokens")).json()]
        assert set(acknowledged) <= set(listed)
        assert len(listed) == 1 + len(acknowledged), "no refused one is there"
        assert (await client.post("/api/v1/tokens", json=body)).status_code == 201
    caplog.clear()
    async with client_of(tmp_path) as client:
        span = Span(Ms(0), Ms(client.service.clock()))
        for camera in ("gate-1", "gate-2", "school-1"):

            def read(connection, camera=camera):  # type: ignore[no-untyped-def]
                return telemetry.intervals(connection, camera, span)

            found = client.service.database.read(read)
            assert all(one.end == other.start for one, other in pairwise(found)), "tiled"
