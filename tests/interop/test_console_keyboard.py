"""The console by keyboard alone: whatever a mouse reaches, Tab reaches, and one sees where it is; dialogs
open by Enter, keep the focus, end with Escape, and give it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PAGES, PASSWORD, Site, serving, settle
from sharpeyes.api.console import ASSETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
DIALOGS = (
    ("/settings?tab=tiers", "Edit"),
    ("/settings?tab=departments", "New department"),
    ("/settings?tab=areas", "New area"),
    ("/settings?tab=areas", "none"),
    ("/settings?tab=users", "New account"),
    ("/settings?tab=policies", "Edit"),
)
"""Pages, each with a button on it that opens a dialog."""
MOST = 400
"""Stops on one page."""

LOOKS = """async () => {
  // What shows that something has the focus: its own looks, or those of what it lies in or beside.
  const near = one => {
    const found = [one, one.nextElementSibling];
    for (let at = one.parentElement; at && found.length < 6; at = at.parentElement) found.push(at);
    return found;
  };
  const look = one => {
    const s = getComputedStyle(one);
    return [s.outline, s.boxShadow, s.borderColor, s.backgroundColor, s.color, s.stroke].join();
  };
  window.looksOf = one => near(one).filter(Boolean).map(look).join('|');
  const seen = one => one.checkVisibility({visibilityProperty: true}) && one.getClientRects().length > 0
    && !one.closest('[inert], [aria-hidden=true]');
  const STOPS = 'a[href], button, input, select, textarea, summary, [tabindex], [contenteditable=true]';
  window.stops = one => one.tabIndex >= 0 && !one.disabled;
  const there = [...document.querySelectorAll(STOPS)].filter(one => stops(one) && seen(one));
  window.settle = () => document.getAnimations().forEach(one => one instanceof CSSTransition && one.finish());
  document.activeElement.blur();  // what a page begins with
  await new Promise(requestAnimationFrame);
  settle();
  window.before = new Map(there.map(one => [one, looksOf(one)]));
  window.passed = new Set();
  window.tell = one => `${one.tagName.toLowerCase()}.${[...one.classList].join('.')} `
    + (one.getAttribute('aria-label') || one.innerText || one.name || '').trim().slice(0, 40);
  // Clickable for a mouse only: nothing around it takes the focus, and it is no label of what does.
  return [...document.querySelectorAll('#app *')]
    .filter(one => getComputedStyle(one).cursor === 'pointer' && seen(one)
      && getComputedStyle(one.parentElement).cursor !== 'pointer'
      && !one.closest('a[href], button, input, select, summary, label, [tabindex], [role=option]')
      && !one.querySelector('a[href], button, input, select, summary, [tabindex]'))
    .map(tell);
}"""
STOP = """() => {
  const one = document.activeElement;
  const outside = !one || one === document.body;  // behind the last stop the focus leaves the page, once
  if (passed.has(one)) return {end: true};
  passed.add(one);
  if (outside) return {end: false, unseen: null};
  settle();
  const was = before.get(one);
  return {end: false, unseen: was !== undefined && was === looksOf(one) ? tell(one) : null};
}"""
MISSED = """() => {
  const group = one => one.type === 'radio' && one.name ? one.name : null;
  const groups = new Set([...passed].map(group).filter(Boolean));
  return [...before.keys()]
    .filter(one => one.isConnected && stops(one) && !passed.has(one) && !groups.has(group(one)))
    .map(tell);
}"""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        await settle(site)
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


async def reach(tab: Tab, selector: str, text: str = "") -> None:
    """Press Tab until the focus is on what ``selector`` and ``text`` say."""
    await tab.until(
        "(selector, text) => [...document.querySelectorAll(selector)].some(one => !one.disabled"
        " && one.innerText.includes(text))",
        selector,
        text,
    )
    for _ in range(MOST):
        await tab.press("Tab")
        if await tab.call(
            "(selector, text) => document.activeElement.matches(selector)"
            " && document.activeElement.innerText.includes(text)",
            selector,
            text,
        ):
            return
    raise AssertionError(f"Tab never came to {selector} {text!r} on {tab.page.url}")


async def log_in(tab: Tab, site: Site, name: str) -> None:
    await tab.open(site.url + "/sign-in")
    await reach(tab, "input[name=username]")
    await tab.page.keyboard.type(name)
    await reach(tab, "input[name=password]")
    await tab.page.keyboard.type(PASSWORD)
    await tab.press("Enter")
    await tab.until("() => location.pathname === '/'")


async def walk(tab: Tab, url: str) -> list[str]:
    """What is wrong with a page for whoever has no mouse."""
    await tab.open(url)
    await tab.until("() => !document.querySelector('.skeleton')")
    await tab.until("() => document.getAnimations().every(one => one.playState !== 'running')")
    wrong = [f"only for a mouse: {one}" for one in await tab.call(LOOKS)]
    for _ in range(MOST):
        await tab.press("Tab")
        stop: dict[str, Any] = await tab.call(STOP)
        if stop["end"]:
            break
        if stop["unseen"]:
            wrong.append(f"nobody sees that it has the focus: {stop['unseen']}")
    return wrong + [f"Tab passes it by: {one}" for one in await tab.call(MISSED)]


async def look_into(tab: Tab, url: str, text: str) -> None:
    """A dialog takes the focus, keeps it and gives it back."""
    await tab.open(url)
    await reach(tab, "button", text)
    await tab.call("() => { window.opener_ = document.activeElement; }")
    await tab.press("Enter")
    await tab.until("() => !!document.activeElement.closest('[role=dialog]')")
    for _ in range(25):  # once round it, and on
        await tab.press("Tab")
        assert await tab.call(
            "() => !!document.activeElement.closest('[role=dialog], .el-select__popper')"
        ), (url, text)
    await tab.press("Escape")
    await tab.until(
        "() => [...document.querySelectorAll('.el-overlay')].every(one => !one.getClientRects().length)"
    )
    await tab.until("() => document.activeElement === window.opener_")


async def test_tab_comes_to_all_that_a_mouse_reaches_and_one_sees_where_it_is(site: Site, tab: Tab) -> None:
    found = {"/sign-in": await walk(tab, site.url + "/sign-in")}
    await log_in(tab, site, "wang")
    for page in PAGES:
        # What came anew while it was walked over is no fault of the page: that would be there again.
        found[page] = await walk(tab, site.url + page) and await walk(tab, site.url + page)
    await reach(tab, "header button[aria-label='Sign out']")
    await tab.press("Enter")
    await tab.until("() => location.pathname === '/sign-in'")
    await log_in(tab, site, "shen")
    found["/register"] = await walk(tab, site.url + "/register")
    assert {page: wrong for page, wrong in found.items() if wrong} == {}


async def test_the_work_of_a_day_needs_no_mouse(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "wang")
    await reach(tab, "nav a", "Cameras")
    await tab.press("Enter")
    await tab.until("() => location.pathname === '/cameras'")
    for page, text in DIALOGS:
        await look_into(tab, site.url + page, text)

    await tab.open(site.url + "/cameras/dead")
    await reach(tab, "button", "Declare out of service")
    await tab.press("Enter")
    await tab.until("() => document.querySelector('.el-message-box')?.contains(document.activeElement)")
    await tab.press("Escape")
    await tab.until("() => document.activeElement.innerText.includes('Declare out of service')")

    await tab.open(site.url + "/settings?tab=departments")
    await reach(tab, "button", "New department")
    await tab.press("Space")
    await reach(tab, "#department label:first-child input")
    await tab.page.keyboard.type("Fire brigade")
    await tab.press("Enter")
    await tab.sees("Saved. It holds from now on.")
    await tab.until("() => document.querySelector('table').innerText.includes('Fire brigade')")

    await tab.open(site.url + "/reports")
    await reach(tab, "form input[type=radio]")
    await tab.press("ArrowRight")  # a week
    await reach(tab, "label .el-select__wrapper input")
    for key in ("Enter", "ArrowDown", "ArrowDown", "Enter"):
        await tab.press(key)
    await tab.sees("The department as a whole")
    await reach(tab, "button[type=submit]", "Make it now")
    await tab.press("Space")
    await reach(tab, "td button", "Remove")
    await tab.press("Enter")
    await tab.until("() => document.querySelector('.el-message-box')?.contains(document.activeElement)")
    await reach(tab, ".el-message-box button", "Confirm")
    await tab.press("Enter")
    await tab.sees("No report has been made yet")
    assert tab.complaints == []
