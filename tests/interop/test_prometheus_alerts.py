"""The whole way of an alert: virtual cameras fail, the running service sees it, a real Prometheus scrapes it,
its rules fire, a real Alertmanager delivers to a webhook; and back, when they recover.

The same Prometheus then answers every query of the dashboards.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_peers import DEPLOY, Inbox, Server, alertmanager, inbox, needs, prometheus, until

from dashboard_queries import queries
from ports import free_port
from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.organisation import Tier
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import SIMULATED, Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

CITY = """\
site: {name: Alerts, timezone: Asia/Shanghai}
tiers:
  community: {target: 0.9, liveness_s: 1}
  departmental: {target: 0.98, liveness_s: 1}
zones: {net: {name: Net}}
departments: {street: {name: Street office, industry: "01"}}
areas: {east: {name: East, code: "33010801"}}
credentials: {simulated: {username: admin, password_file: password.txt}}
cameras:
"""
COMMUNITY, DEPARTMENTAL = 6, 20
SILENT = {
    "city: Open tickets",
    "city: Faults of pictures",
    "prober: Waiting",
    "prober: The oldest that waits",
    "prober: Sent and failed",
    "prober: Not seen as what they show",
    "prober: Missed, and false alarms",
    "prober: Until a fault is named",
}
"""Without an answer here: nobody is told over the service's own channels, nothing is wrong with the pictures,
and no canary performs."""


@asynccontextmanager
async def service(folder: Path, simulator: Simulator) -> AsyncIterator[str]:
    """A real ``sharpeyes serve`` that watches the virtual cameras."""
    (folder / "password.txt").write_text(SIMULATED.password.reveal(), encoding="utf-8")
    (folder / "password.txt").chmod(0o600)
    lines = []
    for number, (camera, endpoint) in enumerate(simulator.endpoints.items()):
        tier = Tier.COMMUNITY if number < COMMUNITY else Tier.DEPARTMENTAL
        lines.append(
            f"  - {{id: {camera}, name: {camera}, tier: {tier}, department: street, area: east, zone: net,"
            f' main: "{endpoint.streams[StreamRole.SUB]}", credential: simulated}}\n'
        )
    (folder / "cameras.yaml").write_text(CITY + "".join(lines), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEYES_")}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "serve", "--port", "0", "--log-level", "warning"),
        *("--config", str(folder / "cameras.yaml"), "--data-dir", str(folder / "data")),
        stdout=asyncio.subprocess.PIPE,
        env={**environment, "PYTHONUNBUFFERED": "1", "SHARPEYES_CAMERA_METRICS": "true"},
    )
    try:
        assert started.stdout is not None
        async with asyncio.timeout(60):
            line = (await started.stdout.readline()).decode()
        yield line.split()[-1]
    finally:
        if started.returncode is None:
            started.terminate()
        await asyncio.wait_for(started.wait(), 30)


def jobs(url: str) -> list[dict[str, Any]]:
    """The scrape jobs of deploy/, all of them, once a second."""
    address = url.removeprefix("http://")
    found = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    found += yaml.safe_load((DEPLOY / "prometheus/jobs-cameras.yaml").read_text("utf-8"))
    text = yaml.safe_dump(found).replace("127.0.0.1:8080", address).replace("?tier=public_security", "")
    moved: list[dict[str, Any]] = yaml.safe_load(text)
    for job in moved:
        for setting in ("scrape_interval", "scrape_timeout"):
            if setting in job:
                job[setting] = "1s"
    return moved


async def test_an_alert_from_the_camera_to_the_webhook_and_back(tmp_path: Path) -> None:
    needs("prometheus", "prometheus-alertmanager")
    place = Addressing(network="127.0.31.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    async with Simulator(uniform(COMMUNITY + DEPARTMENTAL, scenes=1), addressing=place) as simulator:
        names = list(simulator.endpoints)
        falling = [*names[: COMMUNITY // 2], names[COMMUNITY]]  # half of one tier, one of twenty of the other
        async with service(tmp_path, simulator) as url, inbox() as got:
            async with httpx.AsyncClient() as client:
                await until("all cameras are online", lambda: _online(client, url), within_s=60)
            async with (
                alertmanager(tmp_path, got.url) as manager,
                prometheus(tmp_path, jobs(url), manager.url.removeprefix("http://")) as server,
            ):
                await _story(simulator, falling, server, manager, got)


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[str]:
    """A real ``sharpeyes demo`` whose story is told at three times its pace."""
    onvif = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEYES_")}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sharpeyes", "demo", "--port", "0", "--cameras", "24", "--pace", "3"),
        *("--rtsp-port", "0", "--onvif-port", str(onvif), "--data-dir", str(folder / "demo")),
        stdout=asyncio.subprocess.PIPE,
        env={**environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    assert started.stdout is not None
    try:
        async with asyncio.timeout(120):
            while (
                found := re.search(r"listens on (http://\S+?)(?:\s|$)", line := await _line(started))
            ) is None:
                assert line, "the demo has ended"
        draining = asyncio.create_task(started.stdout.read())
        yield found[1]
        draining.cancel()
    finally:
        if started.returncode is None:
            started.terminate()
        await asyncio.wait_for(started.wait(), 30)


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def test_the_demo_of_itself_makes_an_alert_fire_and_end(tmp_path: Path) -> None:
    """Power fails at a switch and comes back, as the demo tells it: nobody here touches a camera."""
    needs("prometheus", "prometheus-alertmanager")
    fallen = {"alertname": "SharpEyesCamerasOffline", "tier": "public_security", "step": "30"}
    async with (
        demo(tmp_path) as url,
        inbox() as got,
        alertmanager(tmp_path, got.url) as manager,
        prometheus(tmp_path, jobs(url)[:1], manager.url.removeprefix("http://")) as server,
    ):

        async def heard(status: str) -> bool:
            return any(one[1] == status and fallen.items() <= one[2].items() for one in got.heard)

        await until("the duty is told that a tier fell", lambda: heard("firing"), within_s=120)
        selector = ", ".join(f'{name}="{value}"' for name, value in fallen.items())
        pending = f'count_over_time(ALERTS{{{selector}, alertstate="pending"}}[10m])'
        assert await server.query(pending), "it was never pending"
        await until("and that it is well again", lambda: heard("resolved"), within_s=120)


async def _online(client: httpx.AsyncClient, url: str) -> bool:
    lines = (await client.get(f"{url}/metrics")).text.splitlines()
    numbers = [
        line.split()[-1] for line in lines if line.startswith("sharpeyes_cameras{") and '"online"' in line
    ]
    return sum(map(float, numbers)) == COMMUNITY + DEPARTMENTAL


async def _story(
    simulator: Simulator, falling: list[str], server: Server, manager: Server, got: Inbox
) -> None:
    everything = COMMUNITY + DEPARTMENTAL
    await until(
        "Prometheus has all cameras online, and looked at each by itself",
        lambda: _is(server, 'sum(sharpeyes_cameras{state="online"}) + sum(probe_success)', 2 * everything),
    )
    assert await server.query('ALERTS{alertstate="firing"}') == []
    assert got.heard == []

    for camera in falling:
        await simulator.set_fault(camera, Fault(kind=FaultKind.REFUSE))
    await until("the duty is told that a tier fell", lambda: _heard(got, "SharpEyesCamerasOffline", "firing"))
    await until("operations are told", lambda: _heard(got, "SharpEyesOnlineRateBelowTarget", "firing"))
    await until(
        "the lesser step and the rate of the fallen tier fire, too",
        lambda: _is(
            server,
            'count(ALERTS{alertstate="firing", tier="community", step="15"}'
            ' or ALERTS{alertstate="firing", tier="community", alertname="SharpEyesOnlineRateBelowTarget"})',
            2,
        ),
    )
    quiet = await until("Alertmanager keeps quiet about these", lambda: _inhibited(manager, 2))
    assert {(a["labels"]["tier"], a["labels"].get("step")) for a in quiet} <= {
        ("community", "15"),
        ("community", "5"),
        ("community", None),
    }
    for alertname in ("SharpEyesCamerasOffline", "SharpEyesOnlineRateBelowTarget"):
        was = await server.query(
            f'count_over_time(ALERTS{{alertname="{alertname}", alertstate="pending"}}[10m])'
        )
        assert was, f"{alertname} was never pending"
    labels = f'camera_id="{falling[0]}", tier="community", department="street", area="east", zone="net"'
    assert await server.value(f"probe_success{{{labels}}}") == 0

    silent = []
    for place, expr in queries():
        if not await server.query(expr):
            silent.append(place)
    assert set(silent) <= SILENT, "queries of dashboards without an answer"

    for camera in falling:
        await simulator.clear_fault(camera)
    await until("the end is told to the duty", lambda: _heard(got, "SharpEyesCamerasOffline", "resolved"))
    await until("and to operations", lambda: _heard(got, "SharpEyesOnlineRateBelowTarget", "resolved"))
    await until(
        "nothing fires any more", lambda: _is(server, 'count(ALERTS{alertstate="firing"}) or vector(0)', 0)
    )
    told = {
        (who, status, labels["alertname"], labels["tier"], labels.get("step"))
        for who, status, labels in got.heard
    }
    assert told == {
        ("duty", "firing", "SharpEyesCamerasOffline", "community", "30"),
        ("duty", "resolved", "SharpEyesCamerasOffline", "community", "30"),
        ("operations", "firing", "SharpEyesOnlineRateBelowTarget", "departmental", None),
        ("operations", "resolved", "SharpEyesOnlineRateBelowTarget", "departmental", None),
    }


async def _is(server: Server, expr: str, number: float) -> bool:
    return await server.value(expr) == number


async def _heard(got: Inbox, alertname: str, status: str) -> bool:
    return any(one[1] == status for one in got.of(alertname))


async def _inhibited(manager: Server, number: int) -> list[dict[str, Any]]:
    alerts = (await manager.client.get(f"{manager.url}/api/v2/alerts")).json()
    found = [alert for alert in alerts if alert["status"]["inhibitedBy"]]
    return found if len(found) >= number else []
