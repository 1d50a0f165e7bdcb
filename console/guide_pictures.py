"""The pictures of docs/guide, in both languages, of a demo of its own; and the guides as PDF.

    python console/guide_pictures.py [--only ticket,rates]
    python console/guide_pictures.py --pdf /tmp/guides

A picture is cut to what its text speaks of. The console has to be built anew afterwards to show new ones
under its help; the PDFs are of the console as it is built. Needs Chromium, and fonts that have Chinese.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from rehearsal import Cast, rehearse
from screenshots import log_in
from stage import Stage, demo, greeted
from words import LANGUAGES, words

from console_browser import Tab, browser

FOLDER = Path(__file__).parents[1] / "docs" / "guide" / "pictures"
GUIDES = ("operator", "department", "administrator")
SIZE = (1280, 800)
TALL = (1280, 1080)
QUALITY = 72
PADDING = 0
SETTLE_S = 1.0
ALL = "#content"
DIALOG = ".el-dialog"
DRAWER = ".el-drawer"
FILE = """设备名称,ID,视频层级,部门,区域,网络区,位置类型,IPv4,设备状态
"{known}",{id},,,,,,,维修
学府路 12 号,new-gate-12,departmental,education,old-town,sector,school_gate,127.0.13.60,在用
员工更衣室,changing-room,departmental,health,riverside,sector,changing_room,127.0.14.61,在用
"""
"""A dossier file with a row of each outcome."""


@dataclass(frozen=True)
class Hands:
    """What is done on a page before its picture is taken. Words are given by their keys."""

    tab: Tab
    words: Mapping[str, str]
    cast: Cast

    async def click(self, selector: str, key: str = "") -> None:
        # The last of a name: a dialog comes after the page that it lies on.
        await self.tab.click(selector, self.words[key].split("{")[0] if key else "")

    async def write(self, selector: str, en: str, zh: str) -> None:
        await self.tab.type(selector, zh if self.words["shell.language"] == "English" else en)

    async def choose(self, select: str, text: str, *, several: bool = False) -> None:
        """Of a drop-down list, by what it shows. One that takes several stays open until somebody
        clicks elsewhere."""
        await self.tab.click(select)
        await asyncio.sleep(SETTLE_S)
        await self.tab.click(".el-select-dropdown__item", text)
        if several:
            middle = """() => {
              const box = document.querySelector('.el-dialog__title').getBoundingClientRect();
              return [box.left + box.width / 2, box.top + box.height / 2];
            }"""
            await self.tab.page.mouse.click(*await self.tab.call(middle))


Steps = Callable[[Hands], Awaitable[None]]


async def _nothing(_: Hands) -> None:
    pass


@dataclass(frozen=True)
class Picture:
    """``cut``: of each of these the first that is seen; the picture holds them all."""

    name: str
    who: str
    path: str
    cut: tuple[str, ...] = (ALL,)
    steps: Steps = field(default=_nothing)
    size: tuple[int, int] = SIZE


# --- what is done before ----------------------------------------------------------------------------------


async def _ticket(hands: Hands) -> None:
    several = "() => [...document.querySelectorAll('.card')].some(one => one.innerText.includes('Switch in'))"
    await hands.tab.click(".card", "Switch in" if await hands.tab.call(several) else "")
    await hands.tab.until("() => !!document.querySelector('.el-drawer .history li')")


async def _still(hands: Hands) -> None:
    await hands.click("button", "camera.stillShow")
    await hands.tab.until("() => !!document.querySelector('img.still')?.complete")


async def _interval(hands: Hands) -> None:
    await hands.tab.click(".strip .is-offline")


async def _playing(hands: Hands) -> None:
    moving = "() => [...document.querySelectorAll('video')].every(one => one.currentTime > 2)"
    await hands.tab.until(moving, patience_s=60)


async def _refused(hands: Hands) -> None:
    await hands.tab.until("() => !!document.querySelector('.tile .why .doors')")


async def _emergency(hands: Hands) -> None:
    await hands.click(".page > header button", "access.override")
    await hands.choose(".el-dialog .el-select__wrapper", "", several=True)
    await hands.write(
        ".el-dialog textarea", "Child lost at the crossing, call 110-0417", "路口走失儿童，110 警情 0417 号"
    )


async def _request(hands: Hands) -> None:
    await hands.choose(".el-dialog .pair .el-select__wrapper", hands.words["purpose.event"])
    await hands.write(
        ".el-dialog textarea", "Sports day: closing of the crossing", "运动会期间路口临时管制，查看通行情况"
    )


async def _reports(hands: Hands) -> None:
    await hands.tab.until(
        """() => document.querySelectorAll('table.plain tbody tr').length > 2
             && !document.querySelector('table.plain .el-progress')"""
    )


async def _drill(hands: Hands) -> None:
    await hands.tab.click("table.plain .link")
    await hands.tab.until("() => !!document.querySelector('.el-drawer .plain .link')")


async def _exclusion(hands: Hands) -> None:
    await hands.click(".page > header button", "disputes.apply")
    await asyncio.sleep(SETTLE_S)
    await hands.choose(".el-dialog label:nth-of-type(2) .el-select__wrapper", "", several=True)
    await hands.write(
        ".el-dialog label:nth-of-type(4) :is(input, textarea)",
        "Power cut announced by the grid",
        "电网计划停电",
    )
    await hands.write(
        ".el-dialog label:nth-of-type(5) :is(input, textarea)", "Notice 2026-117", "停电通知 2026-117 号"
    )


async def _import(hands: Hands) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dossiers.csv"
        file.write_text(FILE.format(id=hands.cast["well"], known=hands.cast["well_name"]), "utf-8-sig")
        await hands.tab.page.set_input_files("input[type=file]", file)
        # What the file's rows are told by, since they have no number.
        await hands.click("fieldset .el-checkbox", "cell.id")
        await hands.click("button", "imports.look")
    await hands.tab.until(
        "t => [...document.querySelectorAll('h2')].some(e => e.innerText === t)",
        hands.words["imports.step.preview"],
    )
    await hands.tab.call("() => document.querySelector('.apply').scrollIntoView(false)")


async def _bulk(hands: Hands) -> None:
    await hands.tab.click("[role=columnheader] input[type=checkbox]")
    await hands.click(".chosen button", "bulk.edit")
    await asyncio.sleep(SETTLE_S)


async def _account(hands: Hands) -> None:
    await hands.click("button", "users.new")
    await hands.tab.until("() => !!document.querySelector('.el-dialog .el-checkbox')")
    await hands.tab.type(".el-dialog input", "wang")


async def _policy(hands: Hands) -> None:
    await hands.tab.until("() => document.querySelectorAll('table.plain tbody tr').length > 5")


async def _masks(hands: Hands) -> None:
    await hands.click("button", "masks.edit")
    await hands.tab.until("() => !!document.querySelector('.plate polygon')")


async def _code(hands: Hands) -> None:
    await hands.click("button", "account.totpBegin")
    await hands.tab.until("() => !!document.querySelector('form.totp svg, form.totp canvas')")


PICTURES = (
    Picture("overview", "police", "/", size=(1280, 1000)),
    Picture("map", "police", "/map?at=30.195,120.205"),
    Picture("camera", "police", "/cameras/{dead}", steps=_interval, size=(1280, 900)),
    Picture("still", "police", "/cameras/{ill}", (".panel:has(img.still)",), _still, TALL),
    Picture("faults", "police", "/faults"),
    Picture("ticket", "police", "/faults", (DRAWER,), _ticket),
    Picture("live", "police", "/live?numbers=1&layout=4&cameras={watched}", steps=_playing),
    Picture("refused", "police", "/live?layout=4&cameras={foreign}", (".tile",), _refused),
    Picture("emergency", "police", "/access", (DIALOG,), _emergency),
    Picture("handover", "police", "/shifts"),
    Picture("request", "clinic", "/access?camera={coded}", (DIALOG,), _request),
    Picture("deciding", "traffic-chief", "/access"),
    Picture("rates", "street-head", "/rates?by=department"),
    Picture("drill", "street-head", "/rates?by=department", (DRAWER,), _drill, TALL),
    Picture("exclusion", "traffic-chief", "/disputes", (DIALOG,), _exclusion),
    Picture("disputes", "admin", "/disputes"),
    Picture("reports", "street-head", "/reports", steps=_reports),
    Picture("discovery", "admin", "/discovery"),
    Picture("dossiers", "admin", "/dossiers"),
    Picture("import", "admin", "/dossiers/import", steps=_import, size=TALL),
    Picture("bulk", "admin", "/cameras?department=health", (DIALOG,), _bulk),
    Picture("account", "admin", "/settings?tab=users", (DIALOG,), _account),
    Picture("tiers", "admin", "/settings?tab=tiers"),
    Picture("policies", "admin", "/settings?tab=policies", steps=_policy, size=(1280, 900)),
    Picture("masks", "admin", "/cameras/{masked}", (".panel:has(.plate)",), _masks, TALL),
    Picture("dependencies", "admin", "/causes"),
    Picture("code", "street", "/settings?tab=account", (".panel:has(form.totp)",), _code, TALL),
    Picture("register", "auditor", "/register"),
    Picture("canaries", "police", "/", (".grid > .sight", ".grid > .sight ~ .sight"), size=(1280, 1400)),
)


# --- pictures ---------------------------------------------------------------------------------------------


async def take(tab: Tab, stage: Stage, picture: Picture, cast: Cast, locale: str) -> None:
    await tab.size(*picture.size)
    await tab.open(stage.url + picture.path.format(**cast))
    await tab.until("() => !!document.querySelector('#content') && !document.querySelector('.skeleton')")
    await asyncio.sleep(SETTLE_S)
    await picture.steps(Hands(tab, words(locale), cast))
    await tab.call(
        """selector => {
          document.querySelector(selector)?.scrollIntoView({block: 'center'});
          document.activeElement?.blur();
        }""",
        picture.cut[-1],
    )
    await asyncio.sleep(SETTLE_S)
    box = await tab.until(
        """selectors => {
          const seen = one => one.getClientRects().length;
          const first = selector => [...document.querySelectorAll(selector)].find(seen);
          const boxes = selectors.map(one => first(one)?.getBoundingClientRect());
          if (boxes.some(one => !one)) return null;
          const [left, top, right, bottom] = [
            Math.min(...boxes.map(b => b.left)), Math.min(...boxes.map(b => b.top)),
            Math.max(...boxes.map(b => b.right)), Math.max(...boxes.map(b => b.bottom))];
          return {x: left, y: top, width: right - left, height: bottom - top};
        }""",
        list(picture.cut),
    )
    whole = {"x": 0, "y": 0, "width": picture.size[0], "height": picture.size[1]}
    clip = _around(box, picture.size) if picture.cut != (ALL,) else whole
    # Playwright's own pictures are PNG or JPEG.
    how = {"format": "webp", "quality": QUALITY, "clip": {**clip, "scale": 1}}
    shot = await tab.devtools.send("Page.captureScreenshot", how)
    file = FOLDER / locale / f"{picture.name}.webp"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(base64.b64decode(shot["data"]))
    sys.stdout.write(f"{file}\n")


def _around(box: Mapping[str, float], size: tuple[int, int]) -> dict[str, float]:
    """A little more than the box, and nothing off the page."""
    x, y = max(0, box["x"] - PADDING), max(0, box["y"] - PADDING)
    right = min(size[0], box["x"] + box["width"] + PADDING)
    bottom = min(size[1], box["y"] + box["height"] + PADDING)
    return {"x": x, "y": y, "width": right - x, "height": bottom - y}


async def _speak(tab: Tab, locale: str) -> None:
    kept = {"sharpeyes.locale": locale, "sharpeyes.theme": "light"}
    await tab.call("(kept) => Object.assign(localStorage, kept)", kept)


async def print_guides(tab: Tab, stage: Stage, folder: Path) -> None:
    """The guides as the console shows them."""
    await log_in(tab, stage.url, "police", stage.passwords["police"])
    for locale in LANGUAGES:
        await _speak(tab, locale)
        for guide in GUIDES:
            await tab.size(*SIZE)
            await tab.open(f"{stage.url}/help?guide={guide}")
            await tab.until("() => document.querySelectorAll('article h2').length > 0")
            await tab.call(
                """async () => {
                  for (const one of document.images) { one.loading = 'eager'; await one.decode(); }
                }"""
            )
            file = folder / f"{guide}-{locale}.pdf"
            await tab.page.pdf(path=file, print_background=True, prefer_css_page_size=True)
            sys.stdout.write(f"{file}\n")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="names of pictures, with commas")
    parser.add_argument("--pdf", type=Path, help="no pictures: print the guides to this folder")
    parser.add_argument("--demo", type=Path, help="what a demo that runs already has printed")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    async with (
        contextlib.nullcontext(greeted(given.demo)) if given.demo else demo() as stage,
        browser() as tab,
    ):
        if given.pdf:
            given.pdf.mkdir(parents=True, exist_ok=True)
            await print_guides(tab, stage, given.pdf)
            return
        sys.stderr.write(f"{stage.url}: some minutes until there is something to see\n")
        await stage.story()
        cast = await rehearse(stage)
        who = ""
        for picture in PICTURES:
            if only and picture.name not in only:
                continue
            if picture.who != who:
                who = picture.who
                await log_in(tab, stage.url, who, stage.passwords[who])
            for locale in LANGUAGES:
                await _speak(tab, locale)
                await take(tab, stage, picture, cast, locale)


if __name__ == "__main__":
    asyncio.run(main())
