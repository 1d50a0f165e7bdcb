"""axe-core on every page of the console, in both themes: no serious and no critical finding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console_axe import AXE, serious
from console_browser import CHROMIUM, Tab, browser
from console_town import PAGES, Site, log_in, serving, settle
from sharpeyes.api.console import ASSETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci in console/)"),
]
MAP = "/map?camera=dead&at=30.21,120.18"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        yield site


async def test_axe_finds_nothing_serious_on_any_page(site: Site, tmp_path: Path) -> None:
    await settle(site)
    found: dict[str, list[str]] = {}
    async with browser() as tab:
        found["/sign-in"] = await look(tab, site.url + "/sign-in")
        await log_in(tab, site, "wang")
        for theme in ("light", "dark"):
            await tab.call("theme => localStorage.setItem('sharpeyes.theme', theme)", theme)
            for page in (*PAGES, MAP):
                found[f"{page} {theme}"] = await look(tab, site.url + page)
        await tab.click("header button[aria-label='Sign out']")
        await tab.sees("User name")
        await log_in(tab, site, "shen")
        found["/register"] = await look(tab, site.url + "/register")
    assert "\n".join(f"{page}: {one}" for page, said in found.items() for one in said) == ""


async def look(tab: Tab, url: str) -> list[str]:
    await tab.open(url)
    await tab.until("() => !document.querySelector('.skeleton')")
    return await serious(tab)
