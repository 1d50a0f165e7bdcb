"""A virtual camera on a real socket turns black and comes back: found, judged, shown, its view journalled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from api_client import Client, client_of
from api_people import staff_of
from sharpeyes.app import Service
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.health import Rung, State
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

CITY = """
site: {{name: Test, timezone: Asia/Shanghai}}
tiers:
  public_security: {{target: 0.98, liveness_s: 1, quality_s: 1}}
zones: {{police: {{name: Police, network: 1}}}}
departments:
  psb: {{name: Public Security, industry: "00"}}
  edu: {{name: Education}}
  audit: {{name: Audit}}
areas: {{city: {{name: City, code: "4403"}}}}
credentials: {{viewer: {{username: admin, password_file: password}}}}
cameras:
  - {{id: gate, name: Gate, tier: public_security, department: psb, area: city, zone: police,
     credential: viewer, main: "{main}", sub: "{sub}"}}
"""


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


def hasty(service: Service) -> None:
    service.quality.pair_s = 0.5


async def test_black_is_found_shown_and_over_when_it_is_over(tmp_path: Path) -> None:
    place = Addressing(rtsp_port=0, onvif_port=0, discovery_port=None, network="127.0.61.1")
    async with Simulator(uniform(1, scenes=1), addressing=place) as simulator:
        (endpoint,) = simulator.endpoints.values()
        streams = {role.value: url for role, url in endpoint.streams.items()}
        assert set(streams) == {StreamRole.MAIN.value, StreamRole.SUB.value}
        (tmp_path / "password").write_text("simulated", encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        (tmp_path / "cameras.yaml").write_text(CITY.format(**streams), encoding="utf-8")
        async with client_of(tmp_path, prepare=hasty) as client:
            board = client.service.board

            def stands(state: State, rung: Rung) -> bool:
                entry = board.get("gate")
                return entry is not None and (entry.standing.state, entry.rung) == (state, rung)

            await until(lambda: stands(State.ONLINE, Rung.USABLE))
            await simulator.set_fault(endpoint.camera, Fault(kind=FaultKind.BLACK))
            await until(lambda: stands(State.OFFLINE, Rung.DECODED))
            await check_working(client)
            await simulator.clear_fault(endpoint.camera)
            await until(lambda: stands(State.ONLINE, Rung.USABLE))
            metrics = (await client.get("/metrics")).text
            assert 'sharpeyes_picture_faults{kind="signal_lost",tier="public_security"} 0.0' in metrics
            accepted = await client.post("/api/v1/cameras/gate/accept-view", json={"reason": "turned"})
            assert accepted.json()["camera"] == "gate"
            events = (await client.get("/api/v1/events")).json()["items"]
            assert any(e["kind"] == "view_accepted" and e["message"].endswith("turned") for e in events)


async def check_working(client: Client) -> None:
    page = (await client.get("/api/v1/cameras/gate/probes")).json()
    fault = page["picture"]["faults"][0]
    assert (fault["kind"], fault["critical"]) == ("signal_lost", True)
    bad = next(i for i in page["items"] if "signal_lost" in i["found"].get("diagnosis", {}).get("faults", ()))
    found = bad["found"]
    assert not bad["ok"]
    assert found["received_bytes"] > 1000
    assert any("DESCRIBE" in line for line in found["transcript"])
    assert "simulated" not in str(page)
    assert (await client.get(bad["still"])).status_code == 403  # machines do not watch
    async with staff_of(client, ("zhou", "wu")) as staff:
        still = await staff["zhou"].get(bad["still"])
        assert still.headers["content-type"] == "image/jpeg"
        assert still.content[:2] == b"\xff\xd8"
        (seen,) = await staff.register(kind="snapshot")
        assert (seen["user"], seen["camera"]) == (staff.id("zhou"), "gate")
        assert (await staff["zhou"].get("/api/v1/cameras/gate/stills/" + "0" * 32)).status_code == 404
        moved = {"reason": "moved"}
        assert (await staff["zhou"].post("/api/v1/cameras/gate/accept-view", json=moved)).status_code == 200
