"""Discovery in a browser: addresses are searched, devices found, a login given, cameras approved.

The devices are the simulator's and ipycam, which others wrote.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from console_axe import AXE, in_both_themes
from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from ipycam_peer import ipycam
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store.cameras import list_cameras

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci in console/)"),
]
ACCOUNT = Credentials("operator", Secret("s3cret & <more>"))
SPEC = ClipSpec(codec=Codec.H264, width=320, height=180, gop=10, gops=2, kbps=300)


def plan(name: str) -> DevicePlan:
    channels = (ChannelPlan(id=name, name=name, streams=((StreamRole.MAIN, SPEC),)),)
    return DevicePlan(id=name, channels=channels, credentials=ACCOUNT)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    place = Addressing(network="127.0.36.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    async with Simulator(
        Fleet(devices=(plan("quay"), plan("gate"))), addressing=place, cache=tmp_path / "clips"
    ) as running:
        yield running


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path, discovery_allowed=(ip_network("127.0.36.0/24"),)) as site:
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


async def fill(tab: Tab, selector: str, value: str) -> None:
    """Choose in, or add to, an Element Plus select by typing."""
    await tab.click(f"{selector} .el-select__wrapper")
    await tab.type(f"{selector} .el-select__input", value)
    await tab.press("Enter")


async def test_addresses_are_searched_logged_in_to_approved_and_in_the_table(
    site: Site, tab: Tab, simulator: Simulator
) -> None:
    assert not isinstance(site.service.access, Exception)
    await site.service.access.people.add(
        None, username="chen", name="Chen", department="psb", roles=[Role.ADMIN], password=Secret(PASSWORD)
    )
    with ipycam("127.0.36.9", username=ACCOUNT.username, password=ACCOUNT.password.reveal()) as peer:
        await log_in(tab, site, "chen")
        await tab.open(site.url + "/discovery")
        await tab.sees("Nothing was searched yet")
        await tab.click("header button", "Search")
        await tab.sees("At most 65,536 addresses")
        await tab.type("#search textarea", "169.254.169.254")
        await tab.click(".el-dialog button", "Begin")
        await tab.sees("holds addresses that are never asked")
        await tab.type("#search textarea", "127.0.36.1-9")
        for port in {e.xaddr.split(":")[2].split("/")[0] for e in simulator.endpoints.values()} | {
            str(peer["http"])
        }:
            await fill(tab, "#search label:nth-of-type(2)", port)
        await tab.click(".el-dialog button", "Begin")
        await tab.until("() => document.querySelectorAll('tbody tr').length === 3")
        await tab.until("() => /Done/.test(document.querySelector('.run')?.innerText)")
        await tab.sees("Needs a login")

        await tab.call("() => document.querySelector('thead input').click()")
        await tab.sees("3 chosen")
        assert await in_both_themes(tab) == []
        await tab.click(".foot button", "Give a login")
        await tab.type("#login input[name=device-user]", ACCOUNT.username)
        await tab.type("#login input[name=device-password]", ACCOUNT.password.reveal())
        await tab.click(".el-dialog button", "Save and try")
        await tab.until("() => document.querySelectorAll('tbody .mark.new').length === 3")
        await tab.sees("VirtualCam-1")

        await tab.click(".link", "VirtualCam-1")
        await tab.sees("PY-778899")
        await tab.click(".el-drawer button", "Ignore")
        await tab.type(".el-message-box input", "a neighbour's")
        await tab.click(".el-message-box button", "Confirm")
        await tab.until("() => document.querySelectorAll('tbody .mark.ignored').length === 1")
        await tab.press("Escape")

        await tab.click(".chip", "To decide")
        await tab.until("() => document.querySelectorAll('tbody tr').length === 2")
        await tab.call("() => document.querySelector('thead input').click()")
        await tab.click(".foot button", "Approve 2")
        for number, choice in ((1, "Community"), (2, "Education"), (3, "South")):
            await tab.click(f"#approve label:nth-of-type({number}) .el-select__wrapper")
            await tab.click(".el-select-dropdown__item", choice)
        await tab.click(".el-dialog button", "Preview")
        await tab.sees("2 cameras would come of it")
        assert await in_both_themes(tab) == []
        assert len(await site.service.database.aread(list_cameras)) == 2
        await tab.click(".el-dialog button", "Enrol 2 cameras")
        await tab.sees("2 cameras are enrolled")
        await tab.click(".el-dialog button", "Close")
        await tab.open(site.url + "/cameras?department=edu")
        await tab.sees("2 of 4")
        cameras = await site.service.database.aread(list_cameras)
        names = {one.name for one in cameras if one.department == "edu"}
        assert len(names) == 2
        for name in names:
            assert name.startswith("South ")
            assert "127.0" not in name
            await tab.sees(name)
        await tab.open(site.url + "/discovery?tab=runs")
        await tab.until("() => document.querySelectorAll('tbody tr').length === 2")
        await tab.sees("Chen")
        await tab.open(site.url + "/journal?kind=found_approved")
        await tab.sees("Found device approved")
    found = await site.service.database.aread(list_cameras)
    assert {one.department for one in found if one.id not in ("park", "dead")} == {"edu"}
    assert tab.complaints == []
