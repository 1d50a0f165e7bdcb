"""A small site with a camera that plays and one that is dead, for tests of the console in a browser."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from console_browser import Tab
from gateway_town import PASSWORD as CAMERA_PASSWORD
from gateway_town import LiveCamera
from rtp_media import encode
from sharpeyes.app import Service, Started, run
from sharpeyes.config import Settings, load
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret

CLIP = encode("h264", width=320, height=180, frames=50, gop=25, options={"b": "500000", "maxrate": "500000"})
PASSWORD = "a long phrase of words 9"
PAGES = (
    "/",
    "/wall",
    "/cameras",
    "/cameras/dead",
    "/map",
    "/faults",
    "/rates",
    "/live?cameras=park",
    "/access",
    "/disputes",
    "/disputes?tab=contests",
    "/reports",
    "/reports?tab=schedules",
    "/reports?tab=check",
    "/discovery",
    "/shifts",
    "/dossiers",
    "/dossiers/import",
    "/causes",
    "/journal",
    "/help",
    "/settings",
    "/settings?tab=account",
    "/settings?tab=tiers",
    "/settings?tab=departments",
    "/settings?tab=areas",
    "/settings?tab=users",
    "/settings?tab=policies",
    "/settings?tab=messages",
    "/settings?tab=tokens",
)
"""All but the sign-in, as those see them who may see all."""
CITY = """
    site: {{name: 滨江, timezone: Asia/Shanghai}}
    tiers: {{public_security: {{target: 0.98, liveness_s: 5}}}}
    zones: {{police: {{name: Police, network: 1}}}}
    departments: {{psb: {{name: Public Security}}, edu: {{name: Education}}}}
    areas: {{city: {{name: City, children: {{north: {{name: North}}, south: {{name: South}}}}}}}}
    credentials: {{camera: {{username: viewer, password_file: camera.txt}}}}
    faults: {{allow: [127.0.0.0/8]}}
    cameras:
      - {{id: park, name: 公园门, tier: public_security, department: psb, area: north, zone: police,
          main: "{url}", credential: camera}}
      - {{id: dead, name: Dead end, tier: public_security, department: psb, area: south, zone: police,
          main: "rtsp://127.0.0.1:1/b"}}
"""


@dataclass
class Site:
    url: str
    token: str
    service: Service
    camera: LiveCamera


@asynccontextmanager
async def serving(folder: Path, **more: object) -> AsyncIterator[Site]:
    camera = LiveCamera(CLIP)
    await camera.start()
    (folder / "camera.txt").write_text(CAMERA_PASSWORD)
    (folder / "camera.txt").chmod(0o600)
    file = folder / "cameras.yaml"
    file.write_text(textwrap.dedent(CITY).format(url=camera.url), encoding="utf-8")
    settings = Settings.read(
        {}, config=file, data_dir=folder / "data", port=0, view_addresses="127.0.0.1", **more
    )
    up: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    running = asyncio.create_task(run(settings, load(file, environ={}), stop=stop, started=up.set_result))
    try:
        done, _ = await asyncio.wait({up, running}, timeout=90, return_when=asyncio.FIRST_COMPLETED)
        if running in done:
            running.result()
        started = up.result()
        assert started.token is not None
        yield Site(started.url, started.token.reveal(), started.service, camera)
    finally:
        stop.set()
        await running
        await camera.kill()


async def settle(site: Site) -> None:
    """Accounts: wang, who sees all of PAGES, and shen, an auditor."""
    assert not isinstance(site.service.access, Exception)
    seeing = (Role.OPERATOR, Role.REQUESTER, Role.APPROVER, Role.ADMIN)
    for name, roles in (("wang", seeing), ("shen", (Role.AUDITOR,))):
        await site.service.access.people.add(
            None, username=name, name=name.title(), department="psb", roles=roles, password=Secret(PASSWORD)
        )


async def log_in(tab: Tab, site: Site, name: str) -> None:
    await tab.open(site.url + "/sign-in")
    await tab.type("input[name=username]", name)
    await tab.type("input[name=password]", PASSWORD)
    await tab.click("button[type=submit]")
    await tab.until("() => location.pathname === '/'")
