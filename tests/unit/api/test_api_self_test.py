"""The monitor's own sight over the API: canaries, own outages, and who says that one was real."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import Connection, select

from api_client import Client, client_of
from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.store import own_outages, telemetry
from sharpeyes.store.access_schema import register_entry
from sharpeyes.store.events import list_events
from sharpeyes.store.own_outages import StoredOutage
from sharpeyes.store.tokens import create_token

HOUR = 3_600_000


def unseen(client: Client, camera: str, start: Ms, end: Ms, *, ended: bool = True) -> StoredOutage:
    """An outage of our own in the camera's zone, and what was recorded and seen of the camera meanwhile."""
    board = client.service.board.get(camera)
    assert board is not None
    outage = StoredOutage(
        zone=board.camera.zone, reason="mass", since=start, noticed=start, fallen=9, seen=12, branches=9
    )
    told = Interval(
        camera=camera,
        state=State.UNKNOWN,
        start=start,
        end=end,
        cause="prober_mass",
        seen_state=State.OFFLINE,
        seen_cause="timeout",
    )

    def write(connection: Connection) -> StoredOutage:
        telemetry.write_batch(connection, intervals=[told])
        begun = own_outages.begin(connection, outage)
        if ended:
            own_outages.end(connection, begun.id, at=end)
        return begun

    return client.service.database.write(write)


async def test_what_canaries_show_and_what_is_said_of_them(tmp_path: Path) -> None:
    async with client_of(tmp_path, canaries="true") as client:
        assert client.service.canaries is not None
        zones = {zone.id for zone in client.service.config.declared.zones}
        while len(client.service.fleet.canaries) < len(zones):
            await asyncio.sleep(0.05)
        while any(entry.probe is None for entry in client.service.fleet.canaries):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.2)  # a step
        shown = (await client.get("/api/v1/canaries")).json()
        assert (shown["enabled"], shown["trouble"]) == (True, None)
        assert {item["zone"] for item in shown["items"]} == zones
        for item in shown["items"]:
            assert (item["shows"], item["state"], item["failing"]) == ("healthy", "online", None)
            assert {f["kind"] for f in item["found"]} >= {"black", "freeze", "blur", "shift", "hang", "clock"}
        cameras = (await client.get("/api/v1/cameras")).json()["items"]
        assert not [camera for camera in cameras if "canary" in camera["id"]]
        states = (await client.get("/api/v1/states")).json()["items"]
        assert sum(item["cameras"] for item in states) == len(cameras)
        assert len(client.service.database.read(telemetry.load_standings)) <= len(cameras)


async def test_switched_off_there_are_none(client: Client) -> None:
    assert (await client.get("/api/v1/canaries")).json() == {"enabled": False, "trouble": None, "items": []}
    assert "sharpeyes_canary_failing" not in (await client.get("/metrics")).text


async def test_an_own_outage_that_was_real_counts_and_is_on_record(client: Client) -> None:
    now = client.service.clock()
    start, end = Ms(now - 3 * HOUR), Ms(now - 2 * HOUR)
    outage = unseen(client, "gate-1", start, end)
    listed = (await client.get("/api/v1/own-outages")).json()
    assert [(item["id"], item["reason"], item["real"]) for item in listed["items"]] == [
        (outage.id, "mass", None)
    ]
    refused = await client.post(f"/api/v1/own-outages/{outage.id}/real", json={"remark": ""})
    assert refused.status_code == 422
    said = await client.post(
        f"/api/v1/own-outages/{outage.id}/real", json={"remark": "停电, the grid company says so"}
    )
    assert said.status_code == 200, said.text
    assert said.json()["real_by"].startswith("token:")
    again = await client.post(f"/api/v1/own-outages/{outage.id}/real", json={"remark": "again"})
    assert again.status_code == 409
    assert (await client.post("/api/v1/own-outages/4711/real", json={"remark": "x"})).status_code == 404

    (now_said,) = client.service.database.read(
        lambda c: telemetry.intervals(c, "gate-1", Span(start, end), limit=10)
    )
    assert (now_said.state, now_said.cause) == (State.OFFLINE, "timeout")
    (event,) = client.service.database.read(lambda c: list_events(c, kind="own_outage"))
    assert event.detail is not None
    assert event.detail["outage"] == outage.id
    entries = client.service.database.read(_entries)
    assert any("own_outage" in entry and "grid company" in entry for entry in entries)


async def test_a_reader_sees_and_does_not_decide(client: Client) -> None:
    now = client.service.clock()
    outage = unseen(client, "gate-1", Ms(now - 2 * HOUR), Ms(now - HOUR))
    secret = client.service.database.write(
        lambda c: create_token(c, name="reader", scopes=["read"], now=now)[1]
    )
    reader = {"Authorization": f"Bearer {secret.reveal()}"}
    assert (await client.get("/api/v1/own-outages", headers=reader)).status_code == 200
    assert (await client.get("/api/v1/upstream", headers=reader)).json() == {"cameras": 0, "items": []}
    said = await client.post(f"/api/v1/own-outages/{outage.id}/real", json={"remark": "x"}, headers=reader)
    assert said.status_code == 403


def _entries(connection: Connection) -> list[str]:
    """The bodies of the register."""
    return [bytes(row.body).decode() for row in connection.execute(select(register_entry))]
