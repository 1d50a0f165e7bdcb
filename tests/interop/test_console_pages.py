"""The console in a real browser, on the real service, with a camera that plays and one that is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.store.people import find_account

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(
        not (ASSETS / "index.html").exists(),
        reason="the console is not built (pip install -e . with access to npm's registry)",
    ),
]
PAGES = (
    "/",
    "/wall",
    "/cameras",
    "/cameras/dead",
    "/faults",
    "/rates",
    "/discovery",
    "/dossiers",
    "/dossiers/import",
    "/causes",
    "/journal",
    "/help",
    "/settings",
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


async def sign_in(tab: Tab, site: Site, token: str | None = None) -> None:
    await tab.open(site.url + "/")
    await give_token(tab, site.token if token is None else token)


async def give_token(tab: Tab, token: str) -> None:
    await tab.click("[role=tab]", "API token")
    await tab.type("input[name=token]", token)
    await tab.click("button[type=submit]")


async def test_a_wrong_token_is_refused_with_its_reason_and_a_right_one_opens(site: Site, tab: Tab) -> None:
    await sign_in(tab, site, "se_000000000000_wrong")
    await tab.sees("Not signed in")
    await tab.type("input[name=token]", site.token)
    await tab.click("button[type=submit]")
    await tab.sees("Public security")
    await tab.sees("滨江")
    await tab.sees("Target 98%")


async def test_a_late_refusal_of_an_earlier_session_does_not_end_the_one_that_runs(
    site: Site, tab: Tab
) -> None:
    assert not isinstance(site.service.access, Exception)
    await site.service.access.people.add(
        None,
        username="wang",
        name="Wang",
        department="psb",
        roles=[Role.OPERATOR],
        password=Secret(PASSWORD),
    )
    await tab.open(site.url + "/sign-in")
    # The first answer to a question of the first session comes when another has begun, and says no.
    await tab.call(
        """() => {
          const honest = window.fetch;
          const late = new Promise(done => {
            window.refuse = () => done(new Response('{}', {status: 401}));
          });
          let first = true;
          window.fetch = (url, init) => {
            if (!first || !String(url).endsWith('/api/v1/zones')) return honest(url, init);
            first = false;
            return late;
          };
        }"""
    )
    await give_token(tab, site.token)
    await tab.sees("Public security")
    await tab.click("header button[aria-label='Sign out']")
    await tab.type("input[name=username]", "wang")
    await tab.type("input[name=password]", PASSWORD)
    await tab.click("button[type=submit]")
    await tab.sees("Public security")
    await tab.call("() => { window.refuse(); }")
    await tab.click("nav a", "Cameras")
    await tab.sees("2 of 2")


async def test_a_failure_and_a_recovery_are_seen_without_a_reload(site: Site, tab: Tab) -> None:
    await sign_in(tab, site)
    await tab.call("() => { window.same = true; }")
    await tab.until("() => /Online\\s*1/.test(document.querySelector('.tier')?.innerText)")
    await site.camera.kill()
    await tab.until("() => /Offline\\s*2/.test(document.querySelector('.tier')?.innerText)")
    await site.camera.start()
    await tab.until("() => /Online\\s*1/.test(document.querySelector('.tier')?.innerText)")
    assert await tab.call("() => window.same")


async def test_every_page_keeps_the_policy_and_asks_nobody_else(site: Site, tab: Tab) -> None:
    await sign_in(tab, site)
    await tab.sees("Public security")
    for page in PAGES:
        await tab.open(site.url + page)
        await tab.until("() => !document.querySelector('.skeleton')")
        await asyncio.sleep(0.2)  # charts are drawn after their data
    assert tab.complaints == []
    assert tab.hosts == {urlsplit(site.url).netloc}


async def test_filters_are_in_the_address_search_is_instant_and_arrows_move(site: Site, tab: Tab) -> None:
    await sign_in(tab, site)
    await tab.sees("Public security")
    await tab.open(site.url + "/cameras")
    await tab.sees("2 of 2")
    await tab.type(".search input", "公园")
    await tab.sees("1 of 2")
    assert await tab.call("() => new URLSearchParams(location.search).get('q')") == "公园"
    await tab.type(".search input", "")
    await tab.sees("2 of 2")
    await tab.call("() => document.querySelector('.rows').focus()")
    focused = "t => document.activeElement.matches('[data-row] a') && document.activeElement.innerText === t"
    for key, name in (
        ("ArrowDown", "Dead end"),
        ("ArrowDown", "公园门"),
        ("ArrowUp", "Dead end"),
        ("End", "公园门"),
    ):
        await tab.press(key)
        await tab.until(focused, name)
    await tab.open(site.url + "/cameras?area=south")
    await tab.sees("1 of 2")
    await tab.sees("Dead end")
    await tab.open(site.url + "/cameras?state=maintenance")
    await tab.sees("No camera matches")


async def test_the_working_of_a_probe_is_shown_and_a_refusal_says_its_reason(site: Site, tab: Tab) -> None:
    await sign_in(tab, site)
    await tab.sees("Public security")
    await tab.open(site.url + "/cameras/dead")
    await tab.click("button", "Probe now")
    await tab.sees("Connection refused")
    await tab.sees("stopped here")
    await tab.click("button", "Declare out of service")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("declared in cameras.yaml")  # what it is
    await tab.sees("change it there")  # and its mend


async def test_it_speaks_as_the_browser_does(site: Site, tmp_path: Path) -> None:
    async with browser("zh-CN") as tab:
        await tab.open(site.url + "/rates")
        await tab.sees("用户名")
        assert await tab.call("() => document.documentElement.lang") == "zh-CN"
        await tab.click("[role=tab]", "API 令牌")
        await tab.type("input[name=token]", site.token)
        await tab.click("button[type=submit]")
        await tab.sees("结论")  # on to the page that was asked for
        await tab.open(site.url + "/cameras/dead")
        await tab.click("button", "停用")
        await tab.click(".el-message-box button", "确")
        await tab.sees("下次启动会还原")  # what the service says in English
        await tab.open(site.url + "/rates")
        await tab.click("header button", "English")
        await tab.sees("Verdict")


async def test_asked_approved_watched_and_revoked(site: Site, tab: Tab) -> None:
    assert not isinstance(site.service.access, Exception)
    people = site.service.access.people
    staff = (("wang", "edu", Role.REQUESTER), ("li", "psb", Role.APPROVER), ("zhao", "psb", Role.APPROVER))
    for name, unit, role in staff:
        await people.add(
            None, username=name, name=name.title(), department=unit, roles=[role], password=Secret(PASSWORD)
        )

    await log_in(tab, site, "wang")
    await tab.open(site.url + "/live?cameras=park")
    await tab.sees("You may not see this now")
    await tab.open(site.url + "/access?camera=park")
    await tab.click(".el-dialog label:nth-of-type(1) ~ .pair .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Traffic")
    await tab.type(".el-dialog textarea", "jam at the gate")
    await tab.click(".el-dialog button", "Send request")
    await tab.sees("Waiting")
    await tab.click("header button[aria-label='Sign out']")
    await tab.sees("User name")

    for approver, then in (("li", "1 of 2 approvals"), ("zhao", "Revoke")):  # this tier takes two
        await log_in(tab, site, approver)
        await tab.open(site.url + "/access")
        await tab.sees("jam at the gate")
        await tab.click("button", "Approve")
        await tab.click(".el-message-box button", "Confirm")
        await tab.sees(then)
        await tab.click("header button[aria-label='Sign out']")
        await tab.sees("User name")

    await log_in(tab, site, "wang")
    await tab.open(site.url + "/live?cameras=park&numbers=1")
    frames = "() => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames > 40"
    await tab.until(frames)
    await tab.sees("fps")
    await tab.sees("left")
    (grant,) = await _grants(tab)
    await site.service.access.desk.revoke(await _id_of(site, "li"), grant, "jam is over")
    await tab.sees("You may not see this now")
    assert tab.complaints == []


async def _grants(tab: Tab) -> list[str]:
    found: list[str] = await tab.call(
        "async () => (await (await fetch('/api/v1/grants?running=true')).json()).items.map(one => one.id)"
    )
    return found


async def _id_of(site: Site, name: str) -> str:
    account = await site.service.database.aread(lambda connection: find_account(connection, name))
    assert account is not None
    return account.subject.id


async def test_the_guide_opens_by_a_key_in_the_language_in_use(site: Site, tab: Tab) -> None:
    await sign_in(tab, site)
    await tab.sees("Newest failures")
    await tab.press("?")
    await tab.until("() => location.pathname === '/help'")
    await tab.until("() => document.querySelectorAll('article h2').length > 3")
    # Rendered whole: no sign of Markdown is left outside of code.
    left = """() => {
      const page = document.querySelector('article').cloneNode(true);
      page.querySelectorAll('code, pre').forEach(one => one.remove());
      return page.textContent.split('\\n').filter(line => /\\*\\*|`|\\]\\(|^\\||^- /.test(line));
    }"""
    for guide in ("operator", "department", "administrator"):
        await tab.open(f"{site.url}/help?guide={guide}")
        for language in ("Operator", "值班员"):
            await tab.sees(language)
            await tab.until("() => document.querySelectorAll('article h2').length > 3")
            assert await tab.call(left) == []
            assert await tab.call("() => [...document.querySelectorAll('article img')].length") > 0
            await tab.click("header button", "中文" if language == "Operator" else "English")
    # On paper it is as wide as the paper.
    await tab.size(800, 1100)
    await tab.page.emulate_media(media="print")
    await tab.until("() => document.querySelector('article').getBoundingClientRect().width > 700")
    await tab.page.emulate_media(media="screen")
    await tab.size(1366, 768)
    await tab.press("g")
    await tab.press("f")
    await tab.until("() => location.pathname === '/faults'")
    await tab.press("/")
    await tab.until("() => location.pathname === '/cameras' && document.activeElement.matches('input')")
    assert tab.complaints == []
