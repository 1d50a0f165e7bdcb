"""Pictures of every page of the console, in both languages, both themes and two sizes.

    python console/screenshots.py --out /tmp/pictures                  # of a demo of its own, as each role
    python console/screenshots.py --url URL --token-file token.txt [--only overview,cameras]
    python console/screenshots.py --url URL --username wang --password-file pw.txt --only access,live
    python console/screenshots.py --locales zh-CN --themes light --widths 1366      # an eighth of all

Needs Chromium, and fonts that have Chinese (Debian: chromium, fonts-noto-cjk).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from rehearsal import rehearse
from stage import ROLES, demo

from console_browser import Tab, browser

LOCALES = ("zh-CN", "en")
THEMES = ("light", "dark")
HEIGHTS = {1366: 768, 3840: 2160}
"""By width."""
PAGES = {
    "sign-in": "/sign-in",
    "overview": "/",
    "wall": "/wall",
    "cameras": "/cameras",
    "camera": "/cameras/{camera}",
    "map": "/map",
    "near": "/map?at=30.195,120.205",
    "faults": "/faults",
    "tickets": "/faults?view=list",
    "rates": "/rates?by=department",
    "course": "/rates?by=tier&step=hour",
    "exclusions": "/disputes",
    "contests": "/disputes?tab=contests",
    "reports": "/reports",
    "schedules": "/reports?tab=schedules",
    "discovery": "/discovery",
    "runs": "/discovery?tab=runs",
    "shifts": "/shifts",
    "dossiers": "/dossiers",
    "import": "/dossiers/import",
    "causes": "/causes",
    "live": "/live?numbers=1&cameras={watched}",
    "access": "/access",
    "register": "/register",
    "journal": "/journal",
    "help": "/help",
    "settings": "/settings",
    "tiers": "/settings?tab=tiers",
    "departments": "/settings?tab=departments",
    "areas": "/settings?tab=areas",
    "account": "/settings?tab=account",
    "users": "/settings?tab=users",
    "policies": "/settings?tab=policies",
    "messages": "/settings?tab=messages",
    "tokens": "/settings?tab=tokens",
}
SEEN = {
    "operator": set(PAGES)
    - {"register", "settings", "users", "tiers", "departments", "areas"}
    - {"policies", "messages", "tokens", "discovery", "runs", "import"},
    "requester": {"access", "help"},
    "approver": {"access", "help", "exclusions"},
    "auditor": {"access", "journal", "register", "shifts"},
    "maintainer": {"camera", "dossiers", "live"},
    "admin": {
        "camera", "cameras", "discovery", "runs", "dossiers", "exclusions", "help", "import", "journal",
        "settings", "account", "users", "tiers", "departments", "areas", "policies", "messages", "tokens",
    },
}  # fmt: skip
"""Pages of each role: all that look otherwise to it than to those before."""
SHOWN = """() => !document.querySelector('.skeleton') && [...document.querySelectorAll('.tile')].every(
  one => one.querySelector('.why :is(b, p)') || one.querySelector('video').currentTime > 2)"""
"""That nothing is waited for: neither data nor moving pictures, unless a tile says why it has none."""
SETTLE_S = 1.2


@dataclass(slots=True)
class Album:
    """The pictures that are wanted: those of each page in every language, theme and width."""

    folder: Path
    locales: Collection[str] = LOCALES
    themes: Collection[str] = THEMES
    widths: Collection[int] = tuple(HEIGHTS)
    pages: int = 0
    """All that are wanted, of all roles."""
    taken: int = 0
    begun: float = 0.0
    """By the monotonic clock; 0 before the first picture."""

    @property
    def each(self) -> int:
        """Pictures of a page."""
        return len(self.locales) * len(self.themes) * len(self.widths)

    def note(self, file: Path) -> None:
        """Say that a picture was taken, how many are left, and about how long they take."""
        self.taken += 1
        left = self.pages * self.each - self.taken
        minutes = (time.monotonic() - self.begun) / self.taken * left / 60
        _say(f"{self.taken}/{self.taken + left} {file}, {minutes:.0f} min left")


async def shoot(
    tab: Tab, url: str, names: Collection[str], album: Album, *, token: str = "", prefix: str = ""
) -> None:
    """The pages of these names. ``token`` is empty for somebody who has logged in."""
    camera, watched = await _cameras(tab, url, {"Authorization": f"Bearer {token}"} if token else {})
    album.begun = album.begun or time.monotonic()
    for locale, theme in product(album.locales, album.themes):
        await tab.call(
            "(kept) => Object.assign(localStorage, kept)",
            {"sharpeyes.locale": locale, "sharpeyes.theme": theme},
        )
        for name in (one for one in PAGES if one in names):
            signed_in = name != "sign-in"
            await tab.call(
                "(kept) => { sessionStorage.clear(); Object.assign(sessionStorage, kept); }",
                {"sharpeyes.token": token} if token and signed_in else {},
            )
            for width in album.widths:
                await tab.size(width, HEIGHTS[width])
                await tab.open(url + PAGES[name].format(camera=camera, watched=watched))
                await tab.until(SHOWN)
                await asyncio.sleep(SETTLE_S)
                file = album.folder / f"{prefix}{name}-{locale}-{theme}-{width}.png"
                await tab.page.screenshot(path=file)
                album.note(file)
    for complaint in sorted(set(tab.complaints)):
        sys.stderr.write(f"complaint: {complaint}\n")
    tab.complaints.clear()


async def _cameras(tab: Tab, url: str, headers: dict[str, str]) -> list[str]:
    """One that is out of order, which shows more, and some to watch, with commas."""
    await tab.open(url + "/sign-in")
    found: list[str] = await tab.call(
        """async (headers) => {
          const ask = async path => (await fetch("/api/v1/" + path, {headers})).json();
          const {user} = headers.Authorization ? {} : await ask('session');
          const own = user ? `&department=${user.department}` : '';
          const list = async query => (await ask("cameras?" + query)).items;
          const online = await list('state=online&limit=4');
          const mine = await list('state=online&limit=4' + own);
          const ill = [...await list('state=offline&limit=1' + own), ...await list('state=offline&limit=1')];
          return [[...ill, ...online][0].id, (mine.length ? mine : online).map(one => one.id).join()];
        }""",
        headers,
    )
    return found


async def log_in(tab: Tab, url: str, username: str, password: str) -> None:
    await tab.open(url + "/sign-in")
    status = await tab.call(
        """async (username, password) => (await fetch('/api/v1/session', {
          method: 'POST',
          headers: {'Content-Type': 'application/json'},
          body: JSON.stringify({username, password}),
        })).status""",
        username,
        password,
    )
    if status != 201:
        raise SystemExit(f"{username} could not log in: {status}")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--token-file", type=Path, help="file with an API token")
    who.add_argument("--username", help="somebody with an account")
    parser.add_argument("--password-file", type=Path, help="of that account")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--only", type=_some(PAGES), default=tuple(PAGES), help="names of pages, with commas")
    parser.add_argument("--locales", type=_some(LOCALES), default=LOCALES, help="zh-CN, en, or both")
    parser.add_argument("--themes", type=_some(THEMES), default=THEMES, help="light, dark, or both")
    parser.add_argument("--widths", type=_widths, default=tuple(HEIGHTS), help="1366, 3840, or both")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    album = Album(given.out, given.locales, given.themes, given.widths, pages=len(given.only))
    async with browser() as tab:
        if given.token_file:
            token = given.token_file.read_text().strip()
            await shoot(tab, given.url, given.only, album, token=token)
        elif given.username:
            await log_in(tab, given.url, given.username, given.password_file.read_text().strip())
            await shoot(tab, given.url, given.only, album)
        else:
            await _of_a_demo(tab, given.only, album)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _some(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads some of these, with commas."""

    def read(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, text.split(",")))
        if strange := sorted(set(found) - set(known)):
            raise argparse.ArgumentTypeError(f"{', '.join(strange)}: not one of {', '.join(known)}")
        return found or tuple(known)

    return read


def _widths(text: str) -> tuple[int, ...]:
    return tuple(map(int, _some([str(width) for width in HEIGHTS])(text)))


async def _of_a_demo(tab: Tab, only: Collection[str], album: Album) -> None:
    wanted = {role: pages for role, seen in SEEN.items() if (pages := seen & set(only))}
    album.pages = sum(map(len, wanted.values()))
    async with demo() as stage:
        _say(f"{stage.url}: some minutes until there is something to see")
        await stage.story()
        await rehearse(stage)
        for role, pages in wanted.items():
            username = ROLES[role]
            await log_in(tab, stage.url, username, stage.passwords[username])
            await shoot(tab, stage.url, pages, album, prefix=f"{role}-")


if __name__ == "__main__":
    asyncio.run(main())
