"""Settings changed in a browser: a target that the overview shows, a webhook that a real server is sent to,
two administrators at once, an area drawn from a file, sessions ended."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.events import list_events

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = {
    "Firefox 140, Windows": "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Safari 18, macOS": f"Mozilla/5.0 (Macintosh; Mac OS X 10_15) {WEBKIT} Version/18.5 Safari/605.1.15",
    "Chrome 131, Android": f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36",
    "Edge 131, Linux": f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36 Edg/131.0",
    "WeChat 8, iOS": f"Mozilla/5.0 (iPhone; like Mac OS X) {WEBKIT} Mobile/15E148 MicroMessenger/8.0.60",
    "curl/8.14.1": "curl/8.14.1",
}
"""User-Agent headers, by what the console makes of them."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        assert not isinstance(site.service.access, Exception)
        await site.service.access.people.add(
            None,
            username="chen",
            name="Chen",
            department="psb",
            roles=[Role.ADMIN],
            password=Secret(PASSWORD),
        )
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


async def click_in_row(tab: Tab, row: str, button: str) -> None:
    """Press a button of the table's row that shows a text."""
    line = tab.page.locator("table tr").filter(has_text=row)
    await line.locator("button", has_text=re.compile(rf"^\s*{button}\s*$")).click()


async def fill(tab: Tab, label: str, text: str) -> None:
    """Type into the field of the dialog under this label, and leave it."""
    field = tab.shown(".el-dialog label", label).locator("input").first
    await field.fill(text)
    await field.blur()


async def open_settings(tab: Tab, site: Site, name: str) -> None:
    await tab.open(f"{site.url}/settings?tab={name}")


async def closed(tab: Tab) -> None:
    await tab.until(
        "() => ![...document.querySelectorAll('.el-overlay')].some(e => e.getClientRects().length)"
    )


async def test_a_target_is_changed_and_the_overview_shows_it(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "chen")
    await tab.sees("Target 98%")
    await open_settings(tab, site, "tiers")
    await click_in_row(tab, "Public security", "Edit")
    await fill(tab, "Online rate to reach", "91")
    await fill(tab, "Why", "as agreed")
    await tab.click(".el-dialog button", "Confirm")
    await tab.sees("cameras.yaml: 98%")
    await tab.sees("Changed here")
    await tab.click("nav a", "Overview")
    await tab.sees("Target 91%")
    (line,) = await site.service.database.aread(lambda c: list_events(c, kind="tier_changed"))
    assert "0.98 → 0.91" in line.message
    assert "as agreed" in line.message

    # Somebody else changes it while this one thinks about it.
    await open_settings(tab, site, "tiers")
    await click_in_row(tab, "Public security", "Edit")
    done = await tab.call(
        """async () => {
          const {csrf} = await (await fetch('/api/v1/session')).json();
          const tiers = await (await fetch('/api/v1/settings/tiers')).json();
          const one = tiers.find(tier => tier.id === 'public_security');
          const body = {version: one.version, values: {...one.values, target: 0.5}};
          return (await fetch('/api/v1/settings/tiers/public_security', {
            method: 'PUT', headers: {'Content-Type': 'application/json', 'X-CSRF-Token': csrf},
            body: JSON.stringify(body)})).status;
        }"""
    )
    assert done == 204
    await fill(tab, "Online rate to reach", "92")
    await tab.click(".el-dialog button", "Confirm")
    await tab.sees("was changed by")
    await tab.click(".el-dialog button", "Show what it says now")
    await tab.until("() => [...document.querySelectorAll('.el-dialog input')].some(e => e.value === '50')")
    await tab.click(".el-dialog button", "Cancel")
    await closed(tab)
    await click_in_row(tab, "Public security", "Back to the file")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => !document.querySelector('table').innerText.includes('Changed here')")
    assert tab.complaints == []


async def test_a_webhook_is_added_and_tested(site: Site, tab: Tab) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        got.append(await reader.readexactly(length))
        status = 204 if len(got) == 1 else 410
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await log_in(tab, site, "chen")
        await open_settings(tab, site, "messages")
        await tab.sees("Nobody is told")
        await tab.click("button", "New recipient")
        await fill(tab, "Name", "值班室")
        await fill(tab, "URL", f"http://127.0.0.1:{port}/hook")
        await fill(tab, "Signing secret", "words that sign")
        await tab.click(".el-dialog button", "Confirm")
        await closed(tab)
        await click_in_row(tab, "值班室", "Test")
        await tab.sees("✓ Delivered in")
        assert json.loads(got[0])["type"] == "test"
        await tab.until("() => !document.querySelector('table .is-loading')")
        await click_in_row(tab, "值班室", "Test")
        await tab.sees("✗ Not delivered: 127.0.0.1 answered 410")
        await click_in_row(tab, "值班室", "Switch off")
        await tab.click(".el-message-box button", "Confirm")
        await tab.sees("switched off")
        assert [one.enabled for one in site.service.faults.settings.recipients] == [False]
        await closed(tab)
        await click_in_row(tab, "值班室", "Remove")
        await tab.click(".el-message-box button", "Remove")
        await tab.sees("Nobody is told")
    assert tab.complaints == []


async def test_an_area_is_made_and_drawn_and_a_department_in_use_stays(
    site: Site, tab: Tab, tmp_path: Path
) -> None:
    square = [[120.1, 30.1], [120.2, 30.1], [120.2, 30.2], [120.1, 30.1]]
    file = tmp_path / "east.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [square]}))
    broken = tmp_path / "broken.geojson"
    broken.write_text("{")
    await log_in(tab, site, "chen")
    await open_settings(tab, site, "areas")
    await tab.click("button", "New area")
    await fill(tab, "Name", "东区")
    await fill(tab, "Id", "east")
    await tab.click(".el-dialog button", "Confirm")
    await closed(tab)
    await click_in_row(tab, "东区", "none")
    for name, told in ((broken, "is not JSON"), (file, "is drawn on the map")):
        await tab.page.set_input_files(".el-dialog input[type=file]", name)
        await tab.sees(told)
    await tab.sees("4 points")
    await open_settings(tab, site, "departments")
    await tab.sees("Public Security")
    assert await tab.call(
        "() => [...document.querySelectorAll('table tr')].every(e => !e.innerText.includes('Remove'))"
    )
    assert tab.complaints == []


async def test_sessions_say_which_browser_they_are_of_and_the_others_end_at_once(
    site: Site, tab: Tab
) -> None:
    await log_in(tab, site, "chen")
    for agent in AGENTS.values():
        async with httpx.AsyncClient(base_url=site.url, headers={"User-Agent": agent}) as client:
            answer = await client.post("/api/v1/session", json={"username": "chen", "password": PASSWORD})
            assert answer.status_code == 201
    await tab.open(site.url + "/settings?tab=account")
    clients = "() => [...document.querySelectorAll('td.client')].map(each => each.innerText)"
    await tab.until("() => document.querySelectorAll('td.client').length > 6")
    shown = await tab.call(clients)
    assert set(AGENTS) < set(shown)
    (own,) = set(shown) - set(AGENTS)
    assert re.fullmatch(r"Chrome \d+, \w+", own)
    await tab.click("button", "End all others")
    await tab.until("() => document.querySelectorAll('td.client').length === 1")
    assert await tab.call(clients) == [own]
    assert tab.complaints == []
