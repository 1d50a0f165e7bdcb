"""The story of a view through the running service: asked for, approved, watched, revoked, registered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from api_client import client_of
from api_people import staff_of
from gateway_town import Viewer
from sharpeyes.domain.camera import StreamRole
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

                revoked = await staff["zhao"].post(
                    f"/api/v1/grants/{grant['id']}/revoke", json={"reason": "The jam is over"}
                )
                assert revoked.status_code == 200, revoked.text
                await asyncio.sleep(0.2)
                packets = viewer.received()
                await asyncio.sleep(1.0)
                assert viewer.received() == packets, "a packet came after the revocation"
                assert (await staff.ticket("wang", "square", grant["id"])).status_code == 403
            finally:
                await viewer.close()
            async with asyncio.timeout(10):
                while not (ended := await staff.register(kind="view_ended")):
                    await asyncio.sleep(0.05)
            assert ended[0]["user"] == staff.id("wang")
            kinds = {entry["kind"] for entry in await staff.register()}
            assert {"login", "request", "decision", "view_started", "view_ended", "refusal"} <= kinds
