"""Every page of the console while the service is slow, fails, is gone and comes back, or has nothing yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(
        not (ASSETS / "index.html").exists(),
        reason="the console is not built (pip install -e . with access to npm's registry)",
    ),
]
PEOPLE = {"wang": [Role.OPERATOR], "chen": [Role.ADMIN], "sun": [Role.AUDITOR]}
PAGES = {
    "wang": [
        "/",
        "/wall",
        "/cameras",
        "/cameras/dead",
        "/map",
        "/faults",
        "/faults?view=list",
        "/rates",
        "/rates?by=camera",
        "/disputes",
        "/disputes?tab=contests",
        "/reports",
        "/reports?tab=schedules",
        "/live",
        "/access",
        "/shifts",
        "/dossiers",
        "/causes",
        "/discovery",
        "/discovery?tab=runs",
        "/journal",
        "/settings",
        "/settings?tab=account",
        "/settings?tab=policies",
        "/settings?tab=messages",
    ],
    "chen": [
        "/settings?tab=tiers",
        "/settings?tab=departments",
        "/settings?tab=areas",
        "/settings?tab=users",
        "/settings?tab=tokens",
    ],
    "sun": ["/register"],
}
NEVER_EMPTY = {"/wall", "/settings?tab=account", "/settings?tab=policies", "/settings?tab=tiers"}
"""What these show is there from the first start on."""
PLAYED = """
const honest = window.fetch;
window.mode = sessionStorage.getItem('mode');
window.fetch = async (url, init = {}) => {
  const own = /session$|live$/.test(new URL(url, location).pathname);
  const asks = (init.method ?? 'GET') === 'GET' && String(url).includes('/api/');
  if (window.mode === 'gone' && asks) throw new TypeError('Failed to fetch');
  if (!window.mode || !asks || own) return honest(url, init);
  while (window.mode === 'slow') {
    await new Promise(done => setTimeout(done, 20));
    if (init.signal?.aborted) throw new DOMException('', 'AbortError');
  }
  if (window.mode === 'failing') {
    const told = {type: 'urn:sharpeyes:error:internal', status: 500, detail: 'An unexpected error'};
    const headers = {'Content-Type': 'application/problem+json'};
    return new Response(JSON.stringify(told), {status: 500, headers});
  }
  const answer = await honest(url, init);
  if (!answer.ok || !answer.headers.get('Content-Type')?.includes('json')) return answer;
  const found = await answer.json();
  const bare = value => Array.isArray(value) ? [] : typeof value === 'number' ? 0 : value;
  const emptied = Array.isArray(found) ? []
    : Object.fromEntries(Object.entries(found).map(([name, value]) => [name, bare(value)]));
  return new Response(JSON.stringify(emptied), {headers: {'Content-Type': 'application/json'}});
};
"""
"""The service as it might be: slow until it is something else, failing, gone, or empty."""
PROMISED = "() => [...document.querySelectorAll('.panel .empty, .problem')].map(e => e.innerText)"
FAILED = """() => !document.querySelector('.skeleton')
  && [...document.querySelectorAll('.problem[role=alert]')].some(
    e => e.innerText.includes('An unexpected error') && e.querySelector('button'))"""
TRIED_AGAIN = """() => {
  const left = [...document.querySelectorAll('.problem')];
  for (const one of left) {
    if (!one.dataset.tried) one.querySelector('button')?.click();
    one.dataset.tried = 'once';
  }
  return !left.length && !document.querySelector('.skeleton');
}"""
EMPTY = "() => [...document.querySelectorAll('.empty, .none')].some(e => e.innerText.trim())"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        assert not isinstance(site.service.access, Exception)
        for name, roles in PEOPLE.items():
            await site.service.access.people.add(
                None, username=name, name=name, department="psb", roles=roles, password=Secret(PASSWORD)
            )
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        await tab.page.add_init_script(PLAYED)
        yield tab


@pytest.mark.parametrize("name", PEOPLE)
async def test_a_page_says_that_it_waits_then_why_it_failed_then_that_there_is_nothing(
    site: Site, tab: Tab, name: str
) -> None:
    await log_in(tab, site, name)
    await tab.call("() => sessionStorage.setItem('mode', 'slow')")
    for page in PAGES[name]:
        await tab.open(site.url + page)
        await tab.until("() => !!document.querySelector('.skeleton[role=status]')")
        assert await tab.call(PROMISED) == [], page
        await tab.call("() => { window.mode = 'failing'; }")
        await tab.until(FAILED)
        await tab.call("() => { window.mode = 'empty'; }")
        await tab.until(TRIED_AGAIN)
        if page not in NEVER_EMPTY:
            await tab.until(EMPTY)
    assert tab.complaints == []


async def test_when_the_service_is_gone_it_says_so_and_when_it_is_back_all_is_there(
    site: Site, tab: Tab
) -> None:
    await log_in(tab, site, "wang")
    for page in ("/rates", "/reports?tab=schedules"):
        await tab.open(site.url + page)
        await tab.until("() => !!document.querySelector('td')")
        await tab.call("() => { window.mode = 'gone'; }")
        # What is under way still is of the service that was: pages that are hidden let their stream go.
        await tab.call(
            """() => {
              dispatchEvent(new Event('pagehide'));
              setTimeout(() => dispatchEvent(new Event('pageshow')));
            }"""
        )
        await tab.sees("The service does not answer. What you see is from")
        await tab.click("nav a", "Journal")
        await tab.until(
            "() => document.querySelector('main .problem')?.innerText.includes('cannot be reached')"
        )
        await tab.call("() => { window.mode = ''; }")
        await tab.until("() => !document.querySelector('.lost, .problem')")  # by itself
        await tab.until("() => !!document.querySelector('td')")
    assert tab.complaints == []


async def test_code_that_cannot_be_fetched_is_said_and_fetched_once_it_can_be(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "wang")
    await tab.page.route("**/assets/**", lambda route: route.abort())
    await tab.click("nav a", "Reports")
    await tab.sees("This page could not be fetched")
    await tab.page.unroute_all()
    await tab.click(".lost button", "Try again")
    await tab.until("() => location.pathname === '/reports'")
    await tab.sees("Make a report")
