"""The story of a view through the running service: asked for, approved, watched, revoked, registered."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import websockets

from api_client import client_of
from api_people import staff_of
from gateway_town import Viewer, listening
from sharpeyes.api.app import create_api
from sharpeyes.app import context_of
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.time import Ms
from sharpeyes.net.own_clock import wall_clock
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator

CAMERA = Fleet(
    devices=(
        DevicePlan(
            id="virtual",
            channels=(
                ChannelPlan(
                    id="view",
                    streams=((StreamRole.MAIN, ClipSpec(width=320, height=180, kbps=200, gop=25, gops=2)),),
                ),
            ),
        ),
    )
)

CITY = """
zones: {{police: {{name: Police, network: 1}}}}
departments:
  psb: {{name: Public Security, industry: "00"}}
  edu: {{name: Education, industry: "11"}}
  audit: {{name: Audit Office}}
areas: {{city: {{name: City, code: "4403"}}}}
cameras:
  - {{id: square, name: Square, tier: public_security, department: psb, area: city, zone: police,
     main: "{url}"}}
  - {{id: gate, name: Gate, tier: public_security, department: psb, area: city, zone: police,
     main: "rtsp://127.0.0.1:1/gate"}}
"""


async def test_asked_approved_watched_revoked_registered(tmp_path: Path) -> None:
    place = Addressing(network="127.0.88.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    async with Simulator(CAMERA, addressing=place, cache=tmp_path / "clips") as simulator:
        (tmp_path / "cameras.yaml").write_text(CITY.format(url=simulator.endpoints["view"].url))
        async with (
            client_of(tmp_path, view_addresses="127.0.0.1") as client,
            staff_of(client, ("wang", "li", "zhao", "qian", "wu")) as staff,
        ):
            refused = await staff.ticket("wang", "square")
            assert refused.status_code == 403

            request = await staff.ask("square")
            assert await staff.approve(request, "zhao") is None, "one approver is not enough here"
            grant = await staff.approve(request, "qian")
            assert grant is not None
            assert (await staff.ticket("li", "square", grant["id"])).status_code == 403, "not named in it"

            ticket = (await staff.ticket("wang", "square", grant["id"])).json()["ticket"]
            viewer = Viewer()
            try:
                offer = await viewer.offer()
                headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {ticket}"}
                door = "/api/v1/views/square/whep"
                opened = await staff["wang"].post(door, content=offer, headers=headers)
                assert opened.status_code == 201, opened.text
                assert opened.headers["location"].startswith("/api/v1/views/sessions/")
                await viewer.accept(opened.text)
                await viewer.see(10)
                assert viewer.sizes == {(320, 180)}

                again = await staff["wang"].post(door, content=offer, headers=headers)
                assert again.status_code in (401, 403), "a ticket is good for one picture"

                room = "/api/v1/views/running"
                for who, may_end in (("qian", True), ("wu", False), ("wang", True)):
                    (running,) = (await staff[who].get(room)).json()
                    assert (running["user"], running["camera"]) == (staff.id("wang"), "square")
                    assert (running["owner"], running["grant"]) == ("psb", grant["id"])
                    assert (running["path"], running["may_end"]) == ("webrtc", may_end)
                assert (await staff["li"].get(room)).json() == [], "another unit's view of another's camera"
                one, why = f"{room}/{running['view']}", {"reason": "Long enough"}
                assert (await staff["li"].request("DELETE", one, json=why)).status_code == 404
                assert (await staff["wu"].request("DELETE", one, json=why)).status_code == 403
                await viewer.see(20)
                assert (await staff["qian"].request("DELETE", one, json=why)).status_code == 204
                told = await staff["wang"].get(opened.headers["location"])
                assert (told.status_code, told.json()["reason"]) == (404, "stopped")
                assert (await staff["qian"].get(room)).json() == []
                assert (await staff["qian"].request("DELETE", one, json=why)).status_code == 404
                await viewer.close()

                # The right stayed: it is opened anew.
                ticket = (await staff.ticket("wang", "square", grant["id"])).json()["ticket"]
                viewer = Viewer()
                headers["Authorization"] = f"Bearer {ticket}"
                opened = await staff["wang"].post(door, content=await viewer.offer(), headers=headers)
                await viewer.accept(opened.text)
                await viewer.see(10)

                revoked = await staff["zhao"].post(
                    f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "The jam is over"}
                )
                assert revoked.status_code == 200, revoked.text
                await asyncio.sleep(0.2)
                packets = viewer.received()
                await asyncio.sleep(1.0)
                assert viewer.received() == packets, "a packet came after the revocation"
                told = await staff["wang"].get(opened.headers["location"])
                assert (told.status_code, told.json()["reason"]) == (404, "revoked")
                assert (await staff.ticket("wang", "square", grant["id"])).status_code == 403
            finally:
                await viewer.close()
            async with asyncio.timeout(60):
                while len(ended := await staff.register(kind="view_ended")) < 2:
                    await asyncio.sleep(0.05)
            assert {entry["user"] for entry in ended} == {staff.id("wang")}
            whys = {entry["details"]["why"]: entry["details"] for entry in ended}
            assert set(whys) == {"stopped", "revoked"}
            assert (whys["stopped"]["by"], whys["stopped"]["reason"]) == (staff.id("qian"), "Long enough")
            kinds = {entry["kind"] for entry in await staff.register()}
            assert {"login", "request", "decision", "view_started", "view_ended", "refusal"} <= kinds


async def test_every_other_way_in_is_refused_and_registered(tmp_path: Path) -> None:
    """Through the running service, by its own doors alone."""
    place = Addressing(network="127.0.89.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    shift = 0

    def clock() -> Ms:
        return Ms(wall_clock() + shift)

    async with Simulator(CAMERA, addressing=place, cache=tmp_path / "clips") as simulator:
        (tmp_path / "cameras.yaml").write_text(CITY.format(url=simulator.endpoints["view"].url))
        async with (
            client_of(tmp_path, view_addresses="127.0.0.1", clock=clock) as client,
            staff_of(client, ("wang", "li", "zhao", "qian", "wu"), address="127.0.0.1") as staff,
            listening(create_api(context_of(client.service))) as url,
            httpx.AsyncClient(base_url=f"{url}/api/v1/views") as http,
            httpx.AsyncClient(
                base_url=f"{url}/api/v1/views", transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")
            ) as elsewhere,
        ):
            grant = await staff.approve(await staff.ask("square", actions=["live"]), "zhao", "qian")
            assert grant is not None
            told: list[str] = []

            async def ticket(camera: str = "square") -> str:
                return str((await staff.ticket("wang", camera, grant["id"])).json()["ticket"])

            async def refused(answer: httpx.Response, status: int, reason: str) -> None:
                """With this status, and as the newest refusal in the register."""
                assert answer.status_code == status, answer.text
                told.append(reason)
                entries = await staff.register(kind="refusal")
                assert sorted(entry["details"]["reason"] for entry in entries) == sorted(told)
                assert "rtsp" not in answer.text

            async def whep(
                pass_: str, camera: str = "square", by: httpx.AsyncClient = http
            ) -> httpx.Response:
                headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {pass_}"}
                return await by.post(f"/{camera}/whep", content="v=0", headers=headers)

            def bearer(pass_: str) -> dict[str, str]:
                return {"Authorization": f"Bearer {pass_}"}

            async def mse(pass_: str) -> Any:
                async with websockets.connect(f"ws{url[4:]}/api/v1/views/square/mse") as socket:
                    await socket.send(pass_)
                    return json.loads(await socket.recv())

            # One right way in, by HLS, and one by WebSocket, to be revoked below.
            used = await ticket()
            opened = await http.post("/square/hls", headers=bearer(used))
            assert opened.status_code == 201, opened.text
            playlist = url + opened.json()["playlist"]
            text = (await http.get(playlist)).text
            segment = playlist.replace("index.m3u8", "part-0-0.m4s")
            assert "part-0-0.m4s" in text
            assert (await http.get(segment)).status_code == 200
            watching = await websockets.connect(f"ws{url[4:]}/api/v1/views/square/mse")
            await watching.send(await ticket())
            assert "mime" in json.loads(await watching.recv())

            # An old ticket, by every door that takes one.
            await refused(await whep(used), 401, "ticket_used")
            await refused(await http.post("/square/hls", headers=bearer(used)), 401, "ticket_used")
            await refused(await http.get("/square/snapshot", headers=bearer(used)), 401, "ticket_used")
            assert (await mse(used))["error"] == "unauthenticated"
            told.append("ticket_used")
            late = await ticket()
            shift += 61_000
            await refused(await whep(late), 401, "ticket_expired")
            # Another camera: with a ticket for this one, and by asking for a ticket.
            await refused(await whep(await ticket(), "gate"), 403, "other_camera")
            await refused(await http.post("/gate/hls", headers=bearer(await ticket())), 403, "other_camera")
            await refused(await staff.ticket("wang", "gate", grant["id"]), 403, "other_camera")
            # Another user, another client, another action.
            await refused(await staff.ticket("li", "square", grant["id"]), 403, "other_user")
            await refused(await whep(await ticket(), by=elsewhere), 401, "ticket_client")
            await refused(await elsewhere.get(segment), 403, "ticket_client")
            live = await ticket()
            await refused(await http.get("/square/snapshot", headers=bearer(live)), 403, "action")
            still = await staff.ticket("wang", "square", grant["id"], action="snapshot")
            await refused(still, 403, "action")
            # A name that nobody was given.
            invented = playlist.replace(playlist.split("/")[-2], "x" * 32)
            await refused(await http.get(invented), 404, "ticket_invalid")
            # Another hour.
            hour = datetime.now(UTC) + timedelta(hours=12)
            night = {"start": f"{hour:%H}:00", "end": f"{hour:%H}:59", "days": DAYS}
            asked = await staff.ask("gate", schedule=night)
            other = await staff.approve(asked, "zhao", "qian")
            assert other is not None
            await refused(await staff.ticket("wang", "gate", other["id"]), 403, "schedule")
            # The grant is revoked: what runs ends, by every path.
            last = await ticket()
            revoked = await staff["zhao"].post(
                f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "The jam is over"}
            )
            assert revoked.status_code == 200, revoked.text
            async with asyncio.timeout(60):
                async for _ in watching:  # ends when the server closes
                    pass
            await refused(await http.get(segment), 403, "revoked")
            assert (await http.get(playlist)).status_code == 403
            await refused(await whep(last), 403, "revoked")
            await refused(await staff.ticket("wang", "square", grant["id"]), 403, "revoked")
            async with asyncio.timeout(60):
                while len(ended := await staff.register(kind="view_ended")) < 2:
                    await asyncio.sleep(0.05)
            assert {entry["details"]["path"] for entry in ended} == {"hls", "fmp4"}
            assert {entry["details"]["why"] for entry in ended} == {"revoked"}
            assert all(entry["user"] == staff.id("wang") for entry in ended)


DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
