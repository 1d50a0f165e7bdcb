"""The registry and the shift log in a browser: imports, edits of many, what is learned, a handover."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console_browser import CHROMIUM, Tab, browser
from console_town import PASSWORD, Site, log_in, serving
from sharpeyes.api.console import ASSETS
from sharpeyes.domain.access import Role
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.faults import Node, NodeKind, NodeOrigin
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.store.cameras import get_cameras
from sharpeyes.store.causes import load_causes, put_node

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)"),
    pytest.mark.skipif(not (ASSETS / "index.html").exists(), reason="the console is not built"),
]
FILE = """\
设备编码*,名称*,部门,区域,视频层级,联网属性,备注
33010800001320000001,Harbour gate,edu,north,community,0,first
33010800001320000002,Harbour quay,edu,north,community,0,second
4711,Harbour crane,edu,north,community,0,a number that is too short
"""
CODES = ("33010800001320000001", "33010800001320000002")


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


async def test_a_file_is_imported_but_for_a_row_and_its_cameras_are_edited_together(
    site: Site, tab: Tab, tmp_path: Path
) -> None:
    await add(site, "chen", Role.ADMIN)
    file = tmp_path / "harbour.csv"
    file.write_bytes(FILE.encode("gb18030"))
    await log_in(tab, site, "chen")
    await tab.open(site.url + "/dossiers/import")
    await tab.page.set_input_files("input[type=file]", file)
    await tab.sees("gb18030")
    await tab.click("button", "Preview")
    # Bare digits mean the opposite elsewhere: nobody guesses, and the code is waiting to be told.
    await tab.sees("0 is 已联网 in some systems")
    await tab.sees("Rejected 3")
    await tab.click(".code .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Not networked")
    await tab.sees("The columns are read otherwise now")
    await tab.click("button", "Preview again")
    await tab.sees("Rejected 1")
    await tab.sees("this has 4 characters")
    await tab.sees("Rejected rows: 1. Mend them in the file")
    await tab.click(".el-checkbox", "Import without what is rejected (1)")
    await tab.click("button", "Import 2 cameras")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => document.querySelector('[aria-current=step]')?.innerText.includes('Imported')")
    await tab.sees("These rows were left out.")
    async with tab.page.expect_download() as saved:
        await tab.click("button", "Download what is wrong")
    left_out = (await (await saved.value).path()).read_text("utf-8-sig")
    assert left_out.count("\n") == 2, left_out  # the heading, and the one row
    assert "this has 4 characters" in left_out

    await tab.open(site.url + "/cameras?q=harbour")
    await tab.sees("2 of 4")
    await tab.call("() => document.querySelector('.rows').focus()")
    await tab.press("ArrowDown")
    await tab.press(" ")
    await tab.sees("1 chosen")
    await tab.click("button", "Choose all 2 that match")
    await tab.type(".search input", "")
    await tab.sees("4 of 4")
    await tab.until(  # a config camera besides: it is refused, with its reason
        "() => { const lines = [...document.querySelectorAll('.line')];"
        " const line = lines.find(e => e.innerText.includes('Dead end'));"
        " line?.querySelector('input').click(); return !!line; }"
    )
    await tab.sees("3 chosen")
    await tab.click("button", "Edit …")
    await tab.click("#bulk label:nth-of-type(1) .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Public Security")
    await tab.click("#bulk label:nth-of-type(2) .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "Departmental")
    await tab.click(".el-dialog button", "Dry run")
    await tab.sees("2 cameras would change")
    await tab.sees("1 refused:")
    await tab.sees("is declared in cameras.yaml")
    await tab.click(".el-dialog button", "Change 2 cameras")
    await tab.sees("2 cameras changed")
    ids = [f"cam-{code}" for code in CODES]
    found = await site.service.database.aread(lambda connection: get_cameras(connection, ids))
    assert {(one.name, one.department, one.tier) for one in found.values()} == {
        ("Harbour gate", "psb", Tier.DEPARTMENTAL),
        ("Harbour quay", "psb", Tier.DEPARTMENTAL),
    }

    await tab.open(site.url + "/cameras?department=psb&tier=departmental")
    await tab.click("button", "Save this view")
    await tab.type(".el-message-box input", "The harbour")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("Remove this view")
    await tab.open(site.url + "/cameras")
    await tab.click(".views .el-select__wrapper")
    await tab.click(".el-select-dropdown__item", "The harbour")
    await tab.until("() => location.search.includes('tier=departmental')")
    await tab.sees("2 of 4")
    assert tab.complaints == []


async def test_a_shift_is_handed_over_by_one_and_signed_for_by_another(site: Site, tab: Tab) -> None:
    await add(site, "wang", Role.OPERATOR)
    await add(site, "li", Role.OPERATOR)
    await log_in(tab, site, "wang")
    await tab.open(site.url + "/shifts")
    await tab.click("button", "Begin a shift")
    await tab.click(".el-dialog button", "Begin a shift")
    await tab.sees("Nothing was written down")
    await tab.type(".shifts textarea", "Dead end: the electrician comes at six")
    await tab.click("button", "Write down")
    await tab.until("() => document.querySelector('.notes')?.innerText.includes('electrician')")
    await tab.click("header button", "Hand over")
    await tab.click(".el-message-box button", "Confirm")
    await tab.sees("another person signs for it")
    buttons = "[...document.querySelectorAll('button')]"
    await tab.until(f"() => {buttons}.find(e => e.innerText === 'Take over and sign')?.disabled")
    await tab.click("header button[aria-label='Sign out']")
    await tab.sees("User name")

    await log_in(tab, site, "li")
    await tab.open(site.url + "/shifts")
    await tab.sees("Wang handed over at")
    await tab.click("button", "Read and sign")
    await tab.sees("the electrician comes at six")
    await tab.click("header button", "Take over and sign")
    await tab.type(".el-dialog textarea", "Read, keys received")
    await tab.click(".el-dialog button", "Take over and sign")
    await tab.sees("Read, keys received")
    await tab.sees("signed by Li")
    await tab.click("header button", "To the shift of now")
    await tab.until("() => /On duty\\s+Li/.test(document.querySelector('.facts')?.innerText)")
    assert tab.complaints == []


async def test_what_was_learned_is_accepted_under_a_name_or_not_at_all(site: Site, tab: Tab) -> None:
    await add(site, "chen", Role.ADMIN)
    for key, cameras in (("learned-1", ["park"]), ("learned-2", ["dead"])):
        node = Node(id=key, kind=NodeKind.LINK, name=f"police {key[-1]}", origin=NodeOrigin.LEARNED)
        await site.service.database.awrite(
            lambda connection, node=node, cameras=cameras: put_node(connection, node, cameras, now=Ms(1))
        )
    await log_in(tab, site, "chen")
    await tab.open(site.url + "/causes")
    await tab.sees("Learned, to be accepted or rejected")
    await tab.click("tr:nth-of-type(2) button", "Reject")
    await tab.click(".el-message-box button", "Confirm")
    await tab.until("() => !document.body.innerText.includes('police 2')")
    await tab.click("button", "Accept")
    await tab.type("#cause label:nth-of-type(1) input", "Fibre to the park")
    await tab.click(".el-dialog button", "Accept")
    await tab.until("() => !document.body.innerText.includes('Learned, to be accepted')")
    await tab.click("button", "Fibre to the park")
    await tab.sees("1 cameras on it")
    nodes, edges = await site.service.database.aread(load_causes)
    assert [(one.name, one.origin) for one in nodes] == [("Fibre to the park", NodeOrigin.DECLARED)]
    assert edges == {"park": "learned-1"}
    assert tab.complaints == []
