"""Faults over HTTP: a camera falls, its ticket is worked on, and a probe closes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_client import Client, client_of, until_probed
from api_people import Staff, staff_of
from gateway_town import LiveCamera
from rtp_media import encode
from sharpeyes.app import Service
from sharpeyes.domain.faults import Node, NodeKind
from sharpeyes.domain.time import Ms
from sharpeyes.faults.causes import CausePolicy
from sharpeyes.faults.faults import Faults, FaultSettings
from sharpeyes.faults.policy import TIMES, FaultPolicy
from sharpeyes.store import causes

CITY = """\
site: {{name: Test, timezone: Asia/Shanghai}}
tiers:
  public_security: {{target: 0.98, liveness_s: 10}}
zones: {{police: {{name: Police, network: 1}}}}
departments: {{psb: {{name: Public Security}}, edu: {{name: Education}}, audit: {{name: Audit Office}}}}
areas: {{city: {{name: City}}}}
cameras:
  - {{id: gate-1, tier: public_security, department: psb, area: city, zone: police, main: "{url}"}}
  - {{id: gate-2, tier: public_security, department: psb, area: city, zone: police, main: "{other}"}}
"""
CLIP = encode("h264")


HASTY = FaultPolicy(
    times={severity: replace(times, raise_after=300) for severity, times in TIMES.items()},
    causes=CausePolicy(window_ms=100),
    settle_ms=300,
    grace_ms=300,
)


class Hall:
    """The service on two live cameras, with a policy of tenths of a second."""

    def __init__(self) -> None:
        self.camera = LiveCamera(CLIP)
        self.other = LiveCamera(CLIP)
        self.client: Client
        self.staff: Staff

    def hurry(self, service: Service) -> None:
        settings = FaultSettings(policy=HASTY)
        service.faults = Faults(
            service.database, settings, service.clock, counted=service.metrics.tell_tickets
        )

    async def look(self) -> None:
        """Probe both cameras, then look at the faults."""
        for camera in ("gate-1", "gate-2"):
            assert (await self.client.post(f"/api/v1/cameras/{camera}/probe")).status_code == 200
        await self.client.service.recorder.flush()
        await self.client.service.faults.loop.tick(self.client.service.clock())

    async def look_until(self, stage: str) -> dict[str, Any]:
        """Look until there is a ticket in this stage."""
        async with asyncio.timeout(60):
            while True:
                await self.look()
                if found := await self.tickets(f"stage={stage}"):
                    return found[0]
                await asyncio.sleep(0.05)

    async def tickets(self, query: str = "") -> list[dict[str, Any]]:
        answer = await self.client.get(f"/api/v1/tickets?{query}")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def fall(self) -> int:
        """The camera goes down until there is a ticket; its number."""
        await self.camera.kill()
        return int((await self.look_until("routed"))["id"])

    async def move(self, name: str, ticket: int, move: str, **form: str) -> httpx.Response:
        return await self.staff[name].post(f"/api/v1/tickets/{ticket}/{move}", json=form)


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    made = Hall()
    async with contextlib.AsyncExitStack() as stack:
        for camera in (made.camera, made.other):
            await camera.start()
            stack.push_async_callback(camera.kill)
        text = CITY.format(url=made.camera.url, other=made.other.url)
        (tmp_path / "cameras.yaml").write_text(text, encoding="utf-8")
        made.client = await stack.enter_async_context(client_of(tmp_path, prepare=made.hurry))
        await until_probed(made.client)
        for _ in range(3):
            await made.look()
        made.staff = await stack.enter_async_context(staff_of(made.client, ()))
        yield made


class TestTickets:
    async def test_from_the_fall_of_a_camera_to_the_probe_that_closes_its_ticket(self, hall: Hall) -> None:
        number = await hall.fall()
        (ticket,) = await hall.tickets()
        assert (ticket["scope"], ticket["subject"], ticket["kind"]) == ("camera", "gate-1", "offline")
        assert (ticket["stage"], ticket["unit"], ticket["severity"]) == ("routed", "psb", "major")
        metrics = (await hall.client.get("/metrics")).text
        assert 'sharpeyes_tickets{severity="major",stage="routed"} 1.0\n' in metrics
        for name in ("zhou", "wang", "ma"):
            assert (await hall.staff[name].log_in(name)).status_code == 201

        refused = await hall.move("wang", number, "acknowledge")
        assert refused.status_code == 403
        taken = await hall.move("ma", number, "acknowledge", text="On my way")
        assert taken.json()["stage"] == "acknowledged"
        noted = await hall.move("zhou", number, "notes", text="The pole is bent", attachment="photo-17")
        assert noted.status_code == 200
        handled = await hall.move("ma", number, "handle", text="Straightened")
        assert handled.json()["stage"] == "handled"

        await hall.camera.start()
        await hall.look_until("closed")
        assert await hall.tickets("open=true") == []
        detail = (await hall.client.get(f"/api/v1/tickets/{number}")).json()
        assert detail["ticket"]["stage"] == "closed"
        assert detail["ticket"]["evidence"]["said"]
        moves = [(entry["move"], entry["by"]) for entry in detail["history"]]
        assert moves == [
            ("raise", ""),
            ("route", ""),
            ("acknowledge", hall.staff.id("ma")),
            ("note", hall.staff.id("zhou")),
            ("handle", hall.staff.id("ma")),
            ("recover", ""),
            ("verify", ""),
        ]
        found = (await hall.client.get("/api/v1/ticket-statistics")).json()
        assert (found["raised"], found["closed"], found["open"]) == (1, 1, 0)
        assert found["by_kind"] == {"offline": 1}
        assert 0.3 <= found["mttr_s"] < 60

    async def test_a_hand_closes_nothing_and_other_units_touch_nothing(self, hall: Hall) -> None:
        number = await hall.fall()
        for name in ("sun", "wu", "feng"):
            await hall.staff[name].log_in(name)
        assert (await hall.move("sun", number, "handle")).status_code == 403
        by_hand = await hall.staff["feng"].post(f"/api/v1/tickets/{number}/verify", json={})
        assert by_hand.status_code in (404, 405)
        handed = await hall.move("feng", number, "route", unit="telecom", text="Their line")
        assert (handed.json()["unit"], handed.json()["stage"]) == ("telecom", "routed")
        assert (await hall.move("feng", number, "notes")).status_code == 422
        token = await hall.client.post(f"/api/v1/tickets/{number}/acknowledge", json={})
        assert token.status_code == 200
        detail = (await hall.client.get(f"/api/v1/tickets/{number}")).json()
        (used,) = (await hall.client.get("/api/v1/tokens")).json()
        assert detail["history"][-1]["by"] == f"token:{used['id']}"
        assert (await hall.client.get("/api/v1/tickets/4711")).status_code == 404

    async def test_filters(self, hall: Hall) -> None:
        number = await hall.fall()
        for query in ("unit=psb", "stage=routed", "kind=offline", "severity=major", "subject=gate-1"):
            assert [ticket["id"] for ticket in await hall.tickets(query)] == [number], query
        for query in ("unit=edu", "open=false", "scope=zone", "overdue=true", f"before={number}"):
            assert await hall.tickets(query) == [], query
        assert await hall.tickets("from=2100-01-01T00:00:00Z") == []
        wrong = await hall.client.get("/api/v1/tickets?from=2100-01-01T00:00:00Z&to=2000-01-01T00:00:00Z")
        assert wrong.status_code == 422


async def test_planned_work_is_announced_and_ended(client: Client) -> None:
    form = {
        "scope": "zone",
        "subject": "police",
        "from": "2100-01-01T00:00:00Z",
        "to": "2100-01-01T02:00:00Z",
        "reason": "New switch",
    }
    made = await client.post("/api/v1/silences", json=form)
    assert made.status_code == 201
    assert made.json()["from"] == "2100-01-01T00:00:00.000Z"
    assert (await client.get("/api/v1/silences")).json() == [made.json()]
    assert (await client.post("/api/v1/silences", json=form | {"to": form["from"]})).status_code == 422
    assert (await client.post("/api/v1/silences", json=form | {"scope": None})).status_code == 422
    path = f"/api/v1/silences/{made.json()['id']}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get("/api/v1/silences")).json() == []
    assert (await client.delete(path)).status_code == 404
    (ended, begun) = (await client.get("/api/v1/events?kind=silence")).json()["items"]
    assert begun["message"].startswith("zone police silenced by token:")
    assert begun["message"].endswith("New switch")
    assert ended["message"].startswith("silence ended by token:")
    assert ended["subject"] == begun["subject"] == made.json()["id"]
    for_ever = form | {"to": "9999-12-31T00:00:00Z"}
    assert (await client.post("/api/v1/silences", json=for_ever)).status_code == 422


async def test_work_is_announced_on_what_is_of_ones_own_department(client: Client) -> None:
    """gate-1 and gate-2 are of psb, school-1 of edu; all are in the zone police."""
    database = client.service.database
    nodes = {
        "switch": (None, ("gate-1",)),
        "street": (None, ("gate-2", "school-1")),
        "lent": ("edu", ("gate-1",)),
        "empty": ("psb", ()),
    }
    form = {"from": "2100-01-01T00:00:00Z", "to": "2100-01-01T02:00:00Z", "reason": "New switch"}

    def about(subject: str) -> dict[str, str]:
        scope = "node" if subject in nodes else "zone" if subject == "police" else "camera"
        return {"scope": scope, "subject": subject}

    async with staff_of(client, ("zhou", "ma", "feng")) as staff:
        for name, (department, cameras) in nodes.items():
            node = Node(id=name, kind=NodeKind.SWITCH, name=name, department=department)
            await database.awrite(lambda c, n=node, below=cameras: causes.put_node(c, n, below, now=Ms(1)))
            if name == "switch":
                may = await staff["zhou"].post("/api/v1/silences", json=form | about("switch"))
                assert may.status_code == 201, may.text
        own = ("gate-1", "gate-2", "empty")
        foreign = ("school-1", "street", "lent", "police", "nowhere")
        for person in ("zhou", "ma"):
            for subject in own:
                made = await staff[person].post("/api/v1/silences", json=form | about(subject))
                assert made.status_code == 201, (person, subject, made.text)
                path = f"/api/v1/silences/{made.json()['id']}"
                assert (await staff[person].delete(path)).status_code == 204
            for subject in foreign:
                refused = await staff[person].post("/api/v1/silences", json=form | about(subject))
                assert refused.status_code == 403, (person, subject, refused.text)
                assert "psb" in refused.json()["detail"]
            everything = await staff[person].post("/api/v1/silences", json=form)
            assert everything.status_code == 403
            assert everything.json()["detail"] == "only administrators silence everything"
        for about_what in ({}, about("police"), about("school-1")):
            made = await staff["feng"].post("/api/v1/silences", json=form | about_what)
            assert made.status_code == 201, made.text
            path = f"/api/v1/silences/{made.json()['id']}"
            assert (await staff["ma"].delete(path)).status_code == 403, "nor does one end what others wanted"
            assert (await staff["feng"].delete(path)).status_code == 204
        assert (await staff["ma"].delete("/api/v1/silences/none")).status_code == 404


async def test_without_recipients_nobody_is_told(client: Client) -> None:
    assert (await client.get("/api/v1/recipients")).json() == []
    assert (await client.get("/api/v1/deliveries")).json() == {"items": [], "next": None}
    assert (await client.post("/api/v1/deliveries/1/retry")).status_code == 404
    assert (await client.get("/api/v1/ticket-routes")).json() == {"rules": [], "fallback": "operations"}
