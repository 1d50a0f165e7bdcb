"""What each role does at the console, in a browser, on the real service: and what it finds shut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.access import entries, totp
from sharpeyes.access.access import Access
from sharpeyes.access.register.note import Verifier
from sharpeyes.access.register.proof import check_export
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.masks import Mask
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reference import learn
from sharpeyes.net.own_clock import wall_clock
from sharpeyes.store.people import find_account
from sharpeyes.store.pictures import StoredReference, put_reference

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
STAFF = {
    "wang": ("edu", Role.REQUESTER),
    "zhao": ("psb", Role.APPROVER),
    "qian": ("psb", Role.APPROVER),
    "chen": ("psb", Role.OPERATOR),
    "feng": ("psb", Role.ADMIN),
    "shen": ("psb", Role.AUDITOR),
    "wu": ("psb", Role.MAINTAINER),
}
ACCEPTS = (
    "() => [...document.querySelectorAll('button')].some(e => e.innerText.includes('Accept the new view'))"
)
FRAMES = "document.querySelector('video[data-camera=park]').getVideoPlaybackQuality().totalVideoFrames"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as site:
        for name, (unit, role) in STAFF.items():
            await access_of(site).people.add(
                None,
                username=name,
                name=name.title(),
                department=unit,
                roles=[role],
                password=Secret(PASSWORD),
            )
        yield site


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as tab:
        yield tab


def access_of(site: Site) -> Access:
    assert not isinstance(site.service.access, Exception)
    return site.service.access


async def leave(tab: Tab) -> None:
    await tab.click("header button[aria-label='Sign out']")
    await tab.sees("User name")


async def ask(tab: Tab, method: str, path: str, body: object = None) -> Any:
    """A request of the page's own session; its answer."""
    return await tab.call(
        """async (method, path, body) => {
          const {csrf} = await (await fetch('/api/v1/session')).json();
          const headers = {'X-CSRF-Token': csrf, 'Content-Type': 'application/json'};
          const answer = await fetch('/api/v1' + path, {method, headers, body: body && JSON.stringify(body)});
          return answer.status === 204 ? null : answer.json();
        }""",
        method,
        path,
        body,
    )


async def moves(tab: Tab) -> None:
    """The picture moves: frames that were not there before."""
    before = await tab.call(f"() => {FRAMES}")
    await tab.until(f"before => {FRAMES} > before + 10", before)


async def test_asked_for_with_a_forecast_watched_and_revoked_with_the_reason(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "wang")
    await tab.open(site.url + "/access?camera=dead")
    await tab.sees("Not known yet")  # what this browser would see of it
    await tab.open(site.url + "/live?cameras=park")
    await tab.sees("There is no grant for this camera")
    await tab.click("figure a", "Request")  # leads to the form, with the camera in it
    await tab.click(".el-dialog label:nth-of-type(1) ~ .pair .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Traffic")
    await tab.type(".el-dialog textarea", "jam at the gate")
    await tab.click(".el-dialog button", "Send request")
    await tab.sees("Waiting")
    await leave(tab)
    for approver in ("zhao", "qian"):
        await log_in(tab, site, approver)
        (asked,) = (await ask(tab, "GET", "/view-requests?to_decide=true"))["items"]
        await ask(tab, "POST", f"/view-requests/{asked['id']}/approve", {"owner": "psb", "reason": "yes"})
        await leave(tab)

    await log_in(tab, site, "wang")
    await tab.page.add_init_script(STATES)
    await tab.open(site.url + "/live?cameras=park&numbers=1")
    await tab.until("() => !!document.querySelector('video[data-camera=park]')")
    await moves(tab)
    await tab.sees("fps")
    await tab.sees("left")
    # What may not be watched is not offered, unless it is asked for: then with the way to it.
    assert await ask(tab, "GET", "/watchable") == {
        "may": {"park": (await ask(tab, "GET", "/grants?running=true"))["items"][0]["id"]},
        "refused": {"no_grant": ["dead"]},
    }
    await tab.until("() => !!document.querySelector('[role=treeitem][title=公园门]')")
    assert not await tab.call("() => document.body.innerText.includes('Dead end')")
    await tab.click(".hint .el-switch")
    await tab.click("[role=treeitem].no", "Dead end")
    await tab.until("() => location.search.includes('camera=dead') && location.pathname === '/access'")
    await tab.open(site.url + "/live?cameras=park")
    await tab.until("() => !!document.querySelector('video[data-camera=park]')")
    await moves(tab)
    (grant,) = (await ask(tab, "GET", "/grants?running=true"))["items"]
    other = await granted_again(site, tab)
    owner = (
        await access_of(site).people.log_in("zhao", Secret(PASSWORD), None, address="", client="")
    ).subject
    (running,) = await ask(tab, "GET", "/views/running")
    assert running["grant"] == grant["id"]
    await access_of(site).desk.revoke(owner.id, grant["id"], "The jam is over")
    await tab.sees("The grant was revoked.")
    assert await tab.call("() => document.querySelector('video').srcObject") is None
    # It was the gateway's word that ended it, and not the patience of ICE; the other grant opens nothing by
    # itself, and the viewer may choose it.
    assert not {"disconnected", "failed"} & set(await tab.call("() => window.states"))
    assert await ask(tab, "GET", "/views/running") == []
    assert await tab.call("() => !document.body.innerText.includes('again in')")
    await tab.click("figure button", "Try again")
    await moves(tab)
    (running,) = await ask(tab, "GET", "/views/running")
    assert running["grant"] == other
    assert tab.complaints == []


async def test_hls_plays_where_there_is_nothing_else(site: Site, tab: Tab) -> None:
    """The browser's own player; the page gives it a playlist that it can begin with."""
    script = (
        "for (const name of ['RTCPeerConnection', 'MediaSource', 'ManagedMediaSource']) delete window[name]"
    )
    await tab.page.add_init_script(script)
    await log_in(tab, site, "chen")
    if not await tab.call(
        "() => document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"
    ):
        pytest.skip("this Chromium has no HLS of its own")
    await tab.open(site.url + "/live?cameras=park")
    await tab.until("() => !!document.querySelector('video[data-camera=park]')")
    await moves(tab)
    await tab.sees("by HLS")
    (running,) = await ask(tab, "GET", "/views/running")
    assert running["path"] == "hls"
    await ask(tab, "DELETE", f"/views/running/{running['view']}", {"reason": "Enough seen"})
    await tab.sees("ended the view")
    assert tab.complaints == []


STATES = """window.states = [];
const Plain = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Plain {
  constructor(...more) {
    super(...more);
    this.addEventListener('connectionstatechange', () => window.states.push(this.connectionState));
  }
};"""


async def granted_again(site: Site, tab: Tab) -> str:
    """Another grant on the same camera, to whoever is logged in."""
    form = {"cameras": ["park"], "purpose": "traffic", "purpose_text": "And another jam at the gate"}
    request = await ask(tab, "POST", "/view-requests", form)
    people, desk = access_of(site).people, access_of(site).desk
    given = None
    for name in ("zhao", "qian"):
        approver = (await people.log_in(name, Secret(PASSWORD), None, address="", client="")).subject
        _, given = await desk.approve(approver.id, request["id"], "psb", "yes")
    assert given is not None
    return given.id


async def test_an_operator_sees_a_camera_fail_and_recover_and_ends_a_view(site: Site, tab: Tab) -> None:
    # This browser's way by WebRTC is shut: pictures come over a WebSocket.
    await tab.page.add_init_script("delete window.RTCPeerConnection")
    await log_in(tab, site, "chen")
    await tab.open(site.url + "/live?numbers=1")
    await tab.click("[role=treeitem]", "公园门")
    await tab.until("() => !!document.querySelector('video[data-camera=park]')")
    await moves(tab)
    await tab.sees("by MSE")
    await site.camera.kill()
    await tab.sees("The camera does not deliver now")
    await site.camera.start()
    await moves(tab)
    await tab.until("() => !document.body.innerText.includes('does not deliver')")
    assert "camera=" not in await tab.call("() => location.search")
    assert await tab.call("() => new URLSearchParams(location.search).get('cameras')") == "park"

    (running,) = await ask(tab, "GET", "/views/running")
    assert (running["name"], running["path"], running["may_end"]) == ("Chen", "fmp4", True)
    await ask(tab, "DELETE", f"/views/running/{running['view']}", {"reason": "Enough seen"})
    await tab.sees("ended the view")
    await tab.click("figure button", "Try again")
    await moves(tab)
    await tab.click("button", "Keep these cameras as a patrol")
    await tab.type(".el-message-box input", "Gates")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => document.querySelector('.patrols li')?.innerText.includes('Gates')")
    await tab.call("() => document.querySelector('figure').focus()")
    await tab.press("Delete")
    await tab.until("() => !document.querySelector('figure')")
    assert tab.complaints == []


async def test_an_administrator_masks_and_sets_a_code_up_and_is_shown_no_picture(
    site: Site, tab: Tab
) -> None:
    await log_in(tab, site, "feng")
    assert not await tab.call("() => !!document.querySelector('nav a[href=\"/live\"]')")
    await tab.open(site.url + "/cameras/park")
    await tab.click("button", "Edit masks")
    box = await tab.until(
        """() => { const e = document.querySelector('.plate'); e?.scrollIntoView();
          const b = e?.getBoundingClientRect(); return b?.width > 100 && [b.x, b.y, b.width, b.height]; }"""
    )
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.5, 0.75)):
        await tab.page.mouse.click(box[0] + x * box[2], box[1] + y * box[3])
    await tab.sees("3 points")
    await tab.call("() => document.querySelector('[data-corner=\"0\"]').focus()")
    await tab.press("ArrowDown")
    await tab.click("button", "Save masks")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("Saved.")
    (mask,) = (await ask(tab, "GET", "/cameras/park/masks"))["masks"]
    wanted = [(0.25, 0.26), (0.75, 0.25), (0.5, 0.75)]
    assert all(
        abs(x - a) < 0.01 and abs(y - b) < 0.005
        for (x, y), (a, b) in zip(mask["points"], wanted, strict=True)
    )

    await tab.open(site.url + "/settings?tab=account")
    await tab.click("button", "Set up")
    key = await tab.until("() => document.querySelector('.key')?.innerText.replaceAll(' ', '')")
    assert (
        await tab.call(
            "() => document.querySelector('svg[role=img] path:last-child').getAttribute('d').length"
        )
        > 4000
    )
    await tab.type("input[name=code]", totp.code_at(Secret(key), wall_clock() // totp.STEP_MS))
    await tab.click("button", "Want a code from now on")
    await tab.sees("each sign-in takes a code")
    await leave(tab)
    await tab.open(site.url + "/sign-in?problem=no_account&next=//evil.example")
    await tab.sees("there is no account for you here")
    await tab.open(site.url + "/sign-in?problem=%3Cb%3Ecall+0900%3C/b%3E")
    await tab.sees("Single sign-on did not work")
    assert not await tab.call("() => document.body.innerText.includes('0900')")
    assert tab.complaints == []


async def test_a_maintainer_reads_the_working_of_a_look_and_accepts_a_new_view(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "wu")
    await tab.open(site.url + "/cameras/park")
    await tab.sees("Not learnt yet")
    await tab.until(ACCEPTS)  # nothing is learnt that could be forgotten, but the noise may be usual
    await tab.until("() => !!document.querySelector('ul.looks summary')")
    await tab.click("ul.looks summary")
    await tab.sees("compared with no learnt view")
    readings = await tab.call("() => document.querySelectorAll('ul.looks details[open] tbody tr').length")
    assert readings == len(PictureFault)
    assert await tab.call("() => !document.querySelector('ul.looks > li > button')")  # no still for this role

    pixels = np.random.default_rng(7).integers(0, 255, (360, 640, 3), np.uint8)
    normal = learn([Picture.from_bgr(pixels)], "day")
    learnt = StoredReference(
        camera="park", mode="day", version=0, learned=wall_clock(), pictures=3, data=normal.to_bytes()
    )
    await site.service.database.awrite(lambda connection: put_reference(connection, learnt))
    await tab.open(site.url + "/cameras/park")
    await tab.until(ACCEPTS)
    assert not await tab.call("() => document.body.innerText.includes('Not learnt yet')")
    await tab.click("button", "Accept the new view")
    await tab.type(".el-message-box input, .el-message-box textarea", "Turned to the new gate")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("Not learnt yet")
    assert not await tab.call(ACCEPTS)
    await tab.open(site.url + "/journal")
    await tab.sees("Turned to the new gate")
    assert tab.complaints == []


async def test_an_auditor_verifies_and_a_maintainer_is_shown_no_picture(site: Site, tab: Tab) -> None:
    await log_in(tab, site, "shen")
    assert not await tab.call("() => !!document.querySelector('nav a[href=\"/live\"]')")
    await tab.open(site.url + "/register")
    await tab.sees("Signed checkpoint")
    await tab.sees("Shen")  # the log-in, the newest of all
    admin = await site.service.database.aread(lambda connection: find_account(connection, "feng"))
    assert admin is not None
    corner = Mask(points=((0, 0), (5000, 0), (0, 5000)))
    await access_of(site).desk.set_masks(admin.subject.id, "park", [corner])
    await tab.open(site.url + "/register")
    await tab.sees("before: Nothing is masked.")
    drawn = await tab.call("() => document.querySelector('td polygon').getAttribute('points')")
    assert drawn == "0,0 800,0 0,450"
    register, now = access_of(site).register, wall_clock()
    # So much that a signed checkpoint is due.
    await asyncio.gather(*(register.append(entries.login(now, None, "wrong", "")) for _ in range(1001)))
    copy = await tab.call(
        """async () => {
          const {csrf} = await (await fetch('/api/v1/session')).json();
          const told = {method: 'POST', headers: {'X-CSRF-Token': csrf, 'Content-Type': 'application/json'}};
          const span = {from: '2020-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z'};
          return (await fetch('/api/v1/register/exports', {...told, body: JSON.stringify(span)})).text();
        }"""
    )
    checkpoint = await ask(tab, "GET", "/register/checkpoint")
    exported = check_export(copy.splitlines(), Verifier.parse(checkpoint["keys"][0]))
    assert (exported.first, exported.last) == (1, checkpoint["size"])
    await tab.open(site.url + "/register")
    await tab.click("button", "Verify")
    await tab.sees("The register is whole")
    prove = f'button[aria-label="Prove #{checkpoint["size"]}"]'
    await tab.click(prove)
    await tab.sees(f"Proven in this browser: entry {checkpoint['size']}")
    # Whatever the service says besides what was signed is found out, in the browser.
    await tab.call(
        """() => {
          const honest = window.fetch;
          window.fetch = async (url, init) => {
            const answer = await honest(url, init);
            if (!String(url).endsWith('/proof')) return answer;
            const proof = await answer.json();
            return Response.json({...proof, [window.lie]: window.lies[window.lie](proof)});
          };
          window.lies = {
            entry: proof => proof.entry + ' ',
            seq: () => 1,
            hashes: proof => proof.hashes.slice(1),
            checkpoint: proof => proof.checkpoint.replace(/ (\\S{20})\\S{6}/, ' $1AAAAAA'),
          };
        }"""
    )
    for lie in ("entry", "seq", "hashes", "checkpoint"):
        await tab.press("Escape")
        await tab.until(
            "() => ![...document.querySelectorAll('.el-overlay')].some(e => e.getClientRects().length)"
        )
        await tab.call("lie => { window.lie = lie; }", lie)
        await tab.click(prove)
        await tab.until("_ => document.body.innerText.includes('NOT proven')", lie)
    await tab.open(site.url + "/live?cameras=park")
    await tab.sees("Auditors do not watch")
    await leave(tab)
    await log_in(tab, site, "wu")
    await tab.open(site.url + "/cameras/park")
    await tab.sees("Probe now")
    await tab.sees("Privacy masks")
    assert not await tab.call(
        """() => [...document.querySelectorAll('a, button')].some(
          e => /^(Watch|Edit masks|Still)/.test(e.innerText))"""
    )
    await tab.open(site.url + "/live?cameras=park")
    await tab.sees("not what they show")
    assert tab.complaints == []
