"""Work at the console in a browser: from the map to a picture, an exclusion by two, an account, a report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Route
from sqlalchemy import insert

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.dossier_schema import dossier

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
PLACES = {"park": (120.18, 30.21), "dead": (120.19, 30.22)}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


async def add(site: Site, name: str, *roles: Role) -> None:
    assert not isinstance(site.service.access, Exception)
    await site.service.access.people.add(
        None, username=name, name=name.title(), department="psb", roles=roles, password=Secret(PASSWORD)
    )


async def exclude(tab: Tab, reason: str) -> int:
    """Have whoever is logged in apply for an exclusion of the dead camera; the status of the answer."""
    status: int = await tab.call(
        """async reason => {
          const {csrf} = await (await fetch('/api/v1/session')).json();
          const hour = n => new Date(Date.now() + n * 3600e3).toISOString();
          return (await fetch('/api/v1/exclusions', {
            method: 'POST',
            headers: {'Content-Type': 'application/json', 'X-CSRF-Token': csrf},
            body: JSON.stringify({scope: 'camera', subjects: ['dead'], from: hour(1), to: hour(5),
              reason, evidence: 'Notice 118'}),
          })).status;
        }""",
        reason,
    )
    return status


async def leave(tab: Tab) -> None:
    await tab.click("header button[aria-label='Sign out']")
    await tab.sees("User name")


async def test_from_the_map_to_the_picture(site: Site, tab: Tab) -> None:
    await add(site, "wang", Role.OPERATOR)
    rows = [
        {"camera_id": key, "longitude": longitude, "latitude": latitude, "changed_ms": 0}
        for key, (longitude, latitude) in PLACES.items()
    ]
    await site.service.database.awrite(lambda connection: connection.execute(insert(dossier), rows))
    await log_in(tab, site, "wang")
    await tab.open(site.url + "/map")
    await tab.sees("Not working, in sight: 1")
    await tab.until("() => document.querySelector('.fleet-layer')?.width > 0")
    # Where the camera that plays was drawn: the lower left corner of what is fitted.
    await tab.type("input[placeholder^=Latitude]", "30.2101, 120.18")
    await tab.click("form[role=search] button", "Cameras near")
    await tab.until("() => /公园门\\s*11 m/.test(document.querySelector('aside').innerText)")
    # Only a map that has come to rest there says where it is.
    await tab.until("() => new URLSearchParams(location.search).get('view')?.startsWith('30.2101')")
    at = await tab.call(
        "() => { const box = document.querySelector('.leaflet-container').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; }"
    )
    await tab.page.mouse.click(at[0], at[1] + 1)  # some pixels from the middle of the map, within the mark
    await tab.click("aside a.act", "Watch")
    await tab.until("() => location.pathname + location.search === '/live?cameras=park'")
    await tab.until("() => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames > 5")
    assert tab.complaints == []


async def slowly(tab: Tab, page: str) -> None:
    """Let the code of a page come late: when what is done a moment after a click has been done."""

    async def late(route: Route) -> None:
        await tab.call("() => new Promise(done => setTimeout(done, 1500))")
        await route.continue_()

    await tab.page.route(f"**/{page}-*.js", late)


async def test_a_map_that_still_moves_does_not_call_the_way_to_the_next_page_off(
    site: Site, tab: Tab
) -> None:
    await add(site, "wang", Role.OPERATOR)
    await log_in(tab, site, "wang")
    await slowly(tab, "LivePage")
    await tab.open(site.url + "/map")
    await tab.click(".leaflet-control-zoom-in")
    await tab.click("nav a", "Live")
    await tab.until("() => location.pathname === '/live'")


async def test_nor_does_a_search_that_was_just_typed(site: Site, tab: Tab) -> None:
    await add(site, "chen", Role.ADMIN)
    await log_in(tab, site, "chen")
    await slowly(tab, "JournalPage")
    await tab.open(site.url + "/discovery")
    await tab.sees("Nothing was searched yet")
    await tab.type(".search input", "127")
    await tab.click("nav a", "Journal")
    await tab.until("() => location.pathname + location.search === '/journal'")


async def test_an_exclusion_takes_two_people_and_an_administrator_makes_and_disables_accounts(
    site: Site, tab: Tab
) -> None:
    await add(site, "wang", Role.OPERATOR)
    await add(site, "chen", Role.ADMIN)
    await log_in(tab, site, "wang")
    assert await exclude(tab, "Power cut") == 201
    await tab.open(site.url + "/disputes")
    await tab.sees("Power cut")
    await tab.sees("Your own: another person decides")
    await leave(tab)

    await log_in(tab, site, "chen")
    await tab.open(site.url + "/disputes?stage=pending")
    await tab.click("button", "Approve")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("No exclusion touches")  # none is pending any more
    await tab.open(site.url + "/disputes?stage=approved")
    await tab.sees("Chen")

    await tab.open(site.url + "/settings?tab=users")
    await tab.click("button", "New account")
    await tab.type(".el-dialog label:nth-of-type(1) input", "zhou")
    await tab.type(".el-dialog label:nth-of-type(2) input", "Zhou")
    await tab.click(".el-dialog .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Education")
    await tab.click(".el-dialog .el-checkbox", "Auditor")
    await tab.click(".el-dialog .el-checkbox", "Operator")
    await tab.click(".el-dialog button", "Confirm")
    await tab.sees("an auditor has no other role")
    await tab.click(".el-dialog .el-checkbox", "Auditor")
    await tab.click(".el-dialog button", "Confirm")
    await tab.until("() => document.querySelector('table').innerText.includes('Zhou')")
    await tab.until("() => !document.querySelector('.el-overlay')?.getClientRects().length")
    await tab.page.locator("tr").filter(has_text="Zhou").get_by_role("button", name="Disable").click()
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("Disabled")

    await tab.open(site.url + "/reports")
    await tab.click("button", "Make it now")
    digest = await tab.until(
        "() => /SHA-256 (\\w{64})/.exec(document.querySelector('.files button')?.title)?.[1]"
    )
    await tab.click("td button", "Check")
    await tab.sees("✓ PDF Unchanged since it was signed")
    await tab.click(".files button", "PDF")
    await tab.click("td button", "Remove")
    await tab.sees("Copies of them can still be checked")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("No report has been made yet")
    await tab.click("label:has-text('Scope') .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Education")
    await tab.sees("The department as a whole")
    await tab.click("button", "Make it now")
    await tab.until("() => document.querySelector('table').innerText.includes('Education')")
    await tab.open(site.url + "/reports?tab=schedules")
    await tab.sees("the service’s settings")
    await tab.click("button", "Schedule it")
    await tab.click("td button", "Change")
    await tab.click(".el-dialog .el-radio-button", "Weekly")
    await tab.click(".el-dialog label:has-text('Scope') .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Education")
    await tab.click(".el-dialog button", "Save")
    await tab.until("() => /Weekly\\s+Education\\s/.test(document.querySelector('table').innerText)")
    await tab.click("td button", "Remove")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => !document.querySelector('td .acts')")
    known = await tab.call("async d => (await fetch('/api/v1/reports/manifests/' + d)).status", digest)
    assert known == 200
    assert tab.complaints == []


async def test_who_was_given_a_password_is_nobody_else_until_another_says_so(site: Site, tab: Tab) -> None:
    await add(site, "chen", Role.ADMIN)
    await add(site, "deng", Role.ADMIN)
    await log_in(tab, site, "chen")
    assert await exclude(tab, "Power cut") == 201
    await tab.open(site.url + "/settings?tab=users")
    await tab.click("button", "New account")
    for number, text in ((1, "zhou"), (2, "Zhou")):
        await tab.type(f"#user > label:nth-of-type({number}) input", text)
    await tab.click("#user .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Public Security")
    await tab.click("#user .el-checkbox", "Operator")
    await tab.type("#user input[type=password]", PASSWORD)
    await tab.sees("You know this password")
    await tab.click(".el-dialog button", "Confirm")
    await tab.sees("Another administrator confirms it")
    await leave(tab)

    await log_in(tab, site, "zhou")
    await tab.open(site.url + "/disputes")
    await tab.click("td button", "Approve")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("One person may be behind both accounts")
    await tab.sees("confirms the account under Settings → Users")
    await leave(tab)

    await log_in(tab, site, "deng")
    await tab.open(site.url + "/settings?tab=users")
    await tab.sees("Not confirmed")
    await tab.click("td button", "Confirm")
    await tab.sees("Chen gave this account its password")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => !document.querySelector('table').innerText.includes('Not confirmed')")
    await tab.open(site.url + "/journal")
    await tab.click("tr:has-text('zhou, by Deng') .tag", "confirmed")
    await tab.sees("zhou, by Deng; password from: Chen")
    await leave(tab)

    await log_in(tab, site, "zhou")
    await tab.open(site.url + "/disputes")
    await tab.click("td button", "Approve")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => document.querySelector('td .stage')?.classList.contains('approved')")
