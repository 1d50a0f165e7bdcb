"""A virtual camera is found over ONVIF, goes black and says so itself: seen sooner, confirmed sooner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from api_client import client_of
from sharpeyes.app import Service
from sharpeyes.domain.health import PictureFault, Rung, State
from sharpeyes.health.board import Entry
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import SIMULATED, Addressing, DevicePlan, Fleet, uniform
from sharpeyes.simulator.simulator import Simulator

CITY = """
site: {{name: Test, timezone: Asia/Shanghai}}
tiers:
  public_security: {{target: 0.98, liveness_s: 1, quality_s: 3600}}
zones: {{police: {{name: Police, network: 1}}}}
departments: {{psb: {{name: Public Security, industry: "00"}}}}
areas: {{city: {{name: City, code: "4403"}}}}
credentials: {{viewer: {{username: admin, password_file: password}}}}
clocks: {{warn_s: 5, fail_s: 30}}
networks:
  - {{cidr: 127.9.61.1/32, tier: public_security, department: psb, area: city, zone: police,
     credential: viewer, ports: [{port}], methods: [sweep]}}
"""


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


def hasty(service: Service) -> None:
    service.quality.pair_s = 0.5
    service.devices.events._pull_s = 0.2


async def test_what_the_camera_says_brings_the_look_and_confirms_it(tmp_path: Path) -> None:
    (plan,) = uniform(1, scenes=1).devices
    plan = DevicePlan(**{n: getattr(plan, n) for n in plan.__slots__} | {"clock_offset_s": 7_200.0})
    place = Addressing(rtsp_port=0, onvif_port=0, discovery_port=None, network="127.9.61.1")
    async with Simulator(Fleet(devices=(plan,)), addressing=place) as simulator:
        (endpoint,) = simulator.endpoints.values()
        port = endpoint.xaddr.split(":")[2].split("/")[0]
        (tmp_path / "password").write_text(SIMULATED.password.reveal(), encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        (tmp_path / "cameras.yaml").write_text(CITY.format(port=port), encoding="utf-8")
        async with client_of(tmp_path, prepare=hasty) as client:
            service = client.service
            await until(lambda: len(service.board) == 1 and service.devices.events.stats.pulls > 1)
            (camera,) = [entry.camera.id for entry in service.board]

            def entry() -> Entry:
                found = service.board.get(camera)
                assert found is not None
                return found

            await until(lambda: entry().rung is Rung.USABLE)
            looks = service.quality.stats.looks
            await simulator.set_fault(endpoint.camera, Fault(kind=FaultKind.BLACK))
            await until(lambda: entry().standing.state is State.OFFLINE)
            sight = entry().sight
            assert sight is not None
            lost = next(defect for defect in sight.defects if defect.kind is PictureFault.SIGNAL_LOST)
            shown = [shown for _, shown in sight.trails[lost.kind].looks]
            assert service.quality.stats.looks > looks, "an hour before its turn"
            assert sum(shown) >= 1
            path = f"/api/v1/cameras/{camera}"
            reports = (await client.get(f"{path}/reports")).json()
            assert reports["status"] == "subscribed"
            assert {each["kind"] for each in reports["current"]} == {"dark", "tamper"}
            assert "signal_lost" in {fault for each in reports["items"] for fault in each["speaks_for"]}
            await until(lambda: service.devices.clocks.of(entry().camera.device) is not None)
            clock = (await client.get(f"{path}/clock")).json()
            assert (clock["state"], clock["measured"] is not None) == ("fail", True)
            assert abs(clock["offset_s"] - 7_200) <= clock["uncertainty_s"]
            detail = (await client.get(path)).json()
            assert detail["clock"] == clock
            assert len(detail["reports"]) == 2
            page = (await client.get("/api/v1/clocks")).json()
            assert (page["counts"]["fail"], [each["camera"] for each in page["items"]]) == (1, [camera])
            metrics = (await client.get("/metrics")).text
            assert 'sharpeyes_device_clocks{state="fail",tier="public_security"} 1.0' in metrics
            assert 'sharpeyes_event_devices{status="subscribed"} 1.0' in metrics
            assert simulator.subscriptions(endpoint.camera) == 1
        assert simulator.subscriptions(endpoint.camera) == 0, "no subscription is left behind"
