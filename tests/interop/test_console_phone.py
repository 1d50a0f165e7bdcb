"""Every page of the console on a phone: nothing wider than the screen, but what scrolls by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PAGES, Site, log_in, serving, settle
from sharpeyes.api.console import ASSETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
PHONE = (360, 740)
"""Of the narrow ones that are sold today."""
SPILLS = """() => {
  const within = (e, ways) => e && e.tagName !== 'MAIN' && e !== document.body
    && (ways.includes(getComputedStyle(e).overflowX) || within(e.parentElement, ways));
  const spills = e => {
    const {left, right} = e.getBoundingClientRect();
    if (right <= innerWidth + 1 || within(e.parentElement, ['auto', 'scroll'])) return false;
    const cut = within(e.parentElement, ['hidden', 'clip']);
    return !cut || (left >= innerWidth && e.matches('a, button, input'));
  };
  return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && spills(e))
    .map(e => `${e.tagName.toLowerCase()} ${e.getAttribute("class") ?? ""}: ${e.innerText?.slice(0, 30)}`);
}"""
"""What lies to the right of the screen and cannot be scrolled to; of what is cut off, what can be pressed."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        yield site


async def test_no_page_is_wider_than_a_phone(site: Site) -> None:
    await settle(site)
    found: dict[str, list[str]] = {}
    async with browser() as tab:
        await tab.size(*PHONE)
        found["/sign-in"] = await look(tab, site.url + "/sign-in")
        await log_in(tab, site, "wang")
        for page in PAGES:
            found[page] = await look(tab, site.url + page)
        await tab.click("header button[aria-label='Sign out']")
        await tab.sees("User name")
        await log_in(tab, site, "shen")
        found["/register"] = await look(tab, site.url + "/register")
    assert "\n".join(f"{page}: {one}" for page, said in found.items() for one in said) == ""


async def test_a_phone_shows_pictures_as_wide_as_its_page(site: Site) -> None:
    await settle(site)
    async with browser() as tab:
        await tab.size(*PHONE)
        await log_in(tab, site, "wang")
        await tab.open(site.url + "/live?cameras=park&layout=1")
        wide = await tab.until("() => document.querySelector('figure')?.getBoundingClientRect().width")
        assert wide > 0.75 * PHONE[0]


async def test_a_phone_shows_each_entry_of_journal_and_register_whole(site: Site) -> None:
    await settle(site)
    async with browser() as tab:
        await tab.size(*PHONE)
        await log_in(tab, site, "wang")
        assert await entries_are_whole(tab, site.url + "/journal")
        await tab.click("header button[aria-label='Sign out']")
        await tab.sees("User name")
        await log_in(tab, site, "shen")
        assert await entries_are_whole(tab, site.url + "/register")


async def entries_are_whole(tab: Tab, url: str) -> bool:
    await tab.open(url)
    await tab.until("() => document.querySelector('table.stack td')")
    whole: bool = await tab.call(
        "() => [...document.querySelectorAll('table.stack td')]"
        ".every(e => e.getBoundingClientRect().right <= innerWidth && e.scrollWidth <= e.clientWidth + 1)"
    )
    return whole


async def look(tab: Tab, url: str) -> list[str]:
    await tab.open(url)
    await tab.until("() => !document.querySelector('.skeleton')")
    said: list[str] = await tab.call(SPILLS)
    return said
